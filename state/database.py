"""The database as a run opens it, with the run lock."""

import json
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Self

from state.connection import Connection
from state.connector import DEFAULT_WAIT_SECONDS
from state.errors import BusyError, DatabaseError
from state.recorded_lake import ASSIGNMENT, refuse_other_definition, refuse_other_lake
from state.run_lock import RunLock
from state.schema import Schema

if TYPE_CHECKING:
    from psycopg2.extensions import cursor


class Database(Connection):
    """The database of a run that writes: as a context, it has the present schema, and the run holds the lock.

    A run that lost the lock is stopped by the fence: each transaction first locks the row that names the run.

    With `is_shared`, the run releases the lock now and then, and waits for it as long as another run holds it.
    """

    def __init__(
        self,
        url: str,
        wait_seconds: float = DEFAULT_WAIT_SECONDS,
        warn: Callable[[str], None] = lambda _: None,
        is_shared: bool = False,
    ) -> None:
        """Parse the URL without connecting; raises DatabaseSettingError for a wrong one.

        is_shared: whether the run releases the lock now and then. The other parameters are those of `Connection`.
        """
        super().__init__(url, wait_seconds, warn)
        self.schema, self.lock = Schema(self), RunLock(self, is_shared)
        self._is_shared = is_shared
        self._run_id: int | None = None
        self._definition, self.is_redefined = ASSIGNMENT, False
        self._is_end_recorded = False

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
        """Record the end of the run, unless that was done, and close the connections, which releases the lock."""
        import psycopg2

        try:
            self.record_end(None, None, {})
            # A run that shares the lock stages nothing, and another run may hold the lock now.
            if self._run_id is not None and self.is_connected and not self._is_shared:
                self._clear_staged()
        except (psycopg2.Error, DatabaseError, BusyError):
            pass  # a later run clears it
        finally:
            self.close()

    @contextmanager
    def transaction(self, is_fenced: bool = True) -> Iterator["cursor"]:
        """Open a transaction under the lock; after `record_run` it raises BusyError if another run took over.

        is_fenced: False for the transactions that record which run may write, and for those that need not know.
        """
        assert not (is_fenced and self.lock.is_released), "a transaction that writes, without the lock"
        self.lock.take()
        with super().transaction() as cur:
            is_fenced = is_fenced and self._run_id is not None
            if is_fenced and self.fetch_one(cur, "check_fence", run_id=self._run_id) is None:
                raise BusyError("another run took over this database", "this one stops")
            yield cur

    def record_run(
        self,
        lake_url: str,
        relocated: bool = False,
        check_lake: Callable[[], object] = lambda: None,
        command: str = "count",
        definition: Mapping[str, object] = ASSIGNMENT,
        redefines: bool = False,
    ) -> None:
        """Record this run, the lake and the command.

        Raises SupersededError if the database holds another lake, or was counted under another definition. Otherwise
        `is_redefined` is whether the definition changes: `record_definition` records it together with the tables; while
        no file is counted, this function does.

        lake_url: the lake's. relocated: whether the lake may be recorded under another URL.
        check_lake: called before a lake is recorded for the first time; if it raises, nothing is recorded.
        command: the name of the run's command.
        definition: what the definition changes of the assignment's, by section and key.
        redefines: whether the run counts the whole lake again, so that the definition may be another one.
        """
        self._definition = definition

        def attempt() -> int:
            with self.transaction(is_fenced=False) as cur:
                lake = self.fetch_one(cur, "read_lake")
                if lake is not None and not relocated:
                    refuse_other_lake(lake.url, lake_url)
                if lake is not None and not redefines and lake.has_counted:
                    refuse_other_definition(lake.definition, definition)
                self.is_redefined = lake is not None and lake.definition != definition
                if lake is None or lake.url != lake_url:
                    check_lake()
                process = {"host": socket.gethostname(), "pid": os.getpid(), "command": command}
                self.execute(cur, "advance_run_numbers")
                run_id = int(self.fetch_one(cur, "begin_run", **process).run_id)
                self._set_fence(cur, lake_url, run_id)
                if lake is not None and not redefines and not lake.has_counted:
                    self.record_definition(cur)
                return run_id

        self._run_id = self.retry(attempt)
        self.retry(self._clear_staged)

    def _set_fence(self, cur: "cursor", lake_url: str, run_id: int | None) -> None:
        self.execute(cur, "set_fence", url=lake_url, run_id=run_id, definition=json.dumps(self._definition))

    def record_definition(self, cur: "cursor") -> None:
        """Record the definition that `record_run` got, in the transaction, if any, that fills the tables under it."""
        self.execute(cur, "record_definition", definition=json.dumps(self._definition))

    def release_lock(self) -> None:
        """Release the lock for other runs; `take_lock_again` continues this run."""
        import psycopg2

        try:
            self.lock.release()
        except psycopg2.Error:
            self.close()

    def take_lock_again(self, lake_url: str) -> bool:
        """Take the lock and continue the same run; return whether another run held it meanwhile.

        Raises SupersededError if that run recorded another lake, definition or a newer schema, and DatabaseError.
        """
        import psycopg2

        was_taken = False

        def attempt() -> bool:
            nonlocal was_taken
            try:
                self.lock.take_again()
            except psycopg2.Error:
                self.close()
                raise
            with self.transaction(is_fenced=False) as cur:
                self.schema.refuse_newer(cur)
                lake = self.fetch_one(cur, "read_lake")
                if lake is None:
                    raise DatabaseError("the database records no lake any more: look at DATABASE_URL, then run again")
                refuse_other_lake(lake.url, lake_url)
                refuse_other_definition(lake.definition, self._definition)
                if lake.run_id != self._run_id:
                    was_taken = True  # a later attempt must know, as this one's commit may have succeeded
                    self._set_fence(cur, lake_url, self._run_id)
                return was_taken

        try:
            return self.retry(attempt)
        except BaseException:
            self.release_lock()
            raise

    def record_progress(self, columns: Mapping[str, object]) -> None:
        """Record what this run did until now, as columns of state.runs by their names; raises DatabaseError."""

        def attempt() -> None:
            with self.transaction() as cur:
                self.execute(cur, "record_progress", run_id=self._run_id, **columns)

        self.retry(attempt)

    def record_end(self, exit_code: int | None, error: str | None, columns: Mapping[str, object]) -> None:
        """Record once how this run ended; an error is ignored, as what the run did is committed.

        exit_code, error: None if they are not known, or if there was no error.
        columns: what the run did, as columns of state.runs by their names; empty if that is not known.
        """
        import psycopg2

        # A database that became unavailable is not waited for again.
        if self._is_end_recorded or self._run_id is None or not self.is_connected:
            return
        self._is_end_recorded = True
        with suppress(psycopg2.Error, DatabaseError, BusyError):
            self.rollback()
            # A run that shares the lock may end while another run holds it.
            with self.transaction(is_fenced=not self._is_shared) as cur:
                if columns:
                    self.execute(cur, "record_progress", run_id=self._run_id, **columns)
                self.execute(cur, "record_end", run_id=self._run_id, exit_code=exit_code, error=error)

    def close(self) -> None:
        """Close both connections: when one is lost, the other may be, too."""
        super().close()
        self.lock.close()

    def _clear_staged(self) -> None:
        """Delete what executors of Spark staged and no run took, whether for this run or for one that died."""
        from psycopg2.errors import LockNotAvailable

        # An executor that hangs may still hold its rows; they do no harm, and a later run clears them.
        with suppress(LockNotAvailable), self.transaction() as cur:
            if self.fetch_one(cur, "has_staged").has_staged:
                self.execute(cur, "clear_staged")
