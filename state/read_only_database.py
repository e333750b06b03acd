"""The database as commands open it that only read, whatever run is at work."""

from collections.abc import Callable
from typing import Self

from state.connection import Connection
from state.connector import DEFAULT_WAIT_SECONDS
from state.errors import UnusedDatabaseError
from state.recorded_lake import refuse_other_lake
from state.schema import UNUSED, Schema


class ReadOnlyDatabase(Connection):
    """A database that is only read, without the lock: as a context, it has the present schema."""

    def __init__(
        self, url: str, wait_seconds: float = DEFAULT_WAIT_SECONDS, warn: Callable[[str], None] = lambda _: None
    ) -> None:
        """Parse the URL without connecting; raises DatabaseSettingError for a wrong one.

        The parameters are those of `Connection`.
        """
        super().__init__(url, wait_seconds, warn, is_read_only=True)
        self.schema = Schema(self)

    def __enter__(self) -> Self:
        """Check the server and the schema; raises DatabaseError."""
        try:
            self.check_server()
            self.schema.check()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def check_lake(self, lake_url: str, relocated: bool = False) -> None:
        """Check that the database holds that lake; raises UnusedDatabaseError, SupersededError.

        relocated: whether the lake may be recorded under another URL.
        """
        rows = self.fetch_rows("read_lake")
        if not rows:
            raise UnusedDatabaseError(UNUSED)
        if not relocated:
            refuse_other_lake(rows[0].url, lake_url)
