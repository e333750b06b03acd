"""The database as a run opens it, with the run lock."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from state.connection import Connection
from state.connector import DEFAULT_WAIT_SECONDS
from state.run_lock import RunLock
from state.schema import Schema

if TYPE_CHECKING:
    from psycopg2.extensions import cursor


class Database(Connection):
    """A database under the run lock: as a context, it has the present schema.

    Its transactions take the lock, but know no run: `begin_run` gives the run, whose transactions the fence guards.
    """

    def __init__(
        self,
        url: str,
        wait_seconds: float = DEFAULT_WAIT_SECONDS,
        warn: Callable[[str], None] = lambda _: None,
        is_shared: bool = False,
    ) -> None:
        """Parse the URL without connecting; raises DatabaseSettingError for a wrong one.

        is_shared: whether the run releases the lock now and then, and waits for it as long as another run holds it.
        The other parameters are those of `Connection`.
        """
        super().__init__(url, wait_seconds, warn)
        self.schema, self.lock = Schema(self), RunLock(self, is_shared)

    def __enter__(self) -> Self:
        """Take the lock and bring up the schema; raises BusyError, DatabaseError."""
        try:
            self.check_server()
            self.schema.bring_up()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections, which releases the lock."""
        self.close()

    @contextmanager
    def transaction(self) -> Iterator["cursor"]:
        """Open a transaction, once the lock is taken; raises BusyError if another run keeps it."""
        self.lock.take()
        with super().transaction() as cur:
            yield cur

    def close(self) -> None:
        """Close both connections: when one is lost, the other may be, too."""
        super().close()
        self.lock.close()
