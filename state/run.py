"""A recorded run: its fenced transactions, its turns with the lock, and the record of what it did."""

import json
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from state.database import Database
from state.errors import BusyError, DatabaseError
from state.recorded_lake import NO_OVERRIDES, refuse_other_definition, refuse_other_lake
from state.transactions import T, Transactions

if TYPE_CHECKING:
    from psycopg2.extensions import cursor


@contextmanager
def begin_run(
    database: Database,
    lake_url: str,
    relocated: bool = False,
    check_lake: Callable[[], object] = lambda: None,
    command: str = "count",
    definition: Mapping[str, object] = NO_OVERRIDES,
    redefines: bool = False,
) -> Iterator["Run"]:
    """Record a run, its lake and its command; the end of the context records its end, unless that was done.

    Raises SupersededError if the database holds another lake, or was counted under another definition.

    database: opened, with its lock held. lake_url: the lake's. relocated: whether the lake may be recorded under
    another URL. check_lake: called before a lake is recorded for the first time; if it raises, nothing is recorded.
    command: the name of the run's command. definition: what the definition overrides of the assignment's, by section
    and key. redefines: whether the run counts the whole lake again, so that the definition may be another one.
    """

    def attempt() -> Run:
        with database.transaction() as cur:
            lake = database.fetch_one(cur, "read_lake")
            if lake is not None and not relocated:
                refuse_other_lake(lake.url, lake_url)
            if lake is not None and not redefines and lake.has_counted:
                refuse_other_definition(lake.definition, definition)
            if lake is None or lake.url != lake_url:
                check_lake()
            process = {"host": socket.gethostname(), "pid": os.getpid(), "command": command}
            database.execute(cur, "advance_run_numbers")
            run_id = int(database.fetch_one(cur, "begin_run", **process).run_id)
            is_redefined = lake is not None and lake.definition != definition
            run = Run(database, run_id, lake_url, definition, is_redefined)
            run.set_fence(cur)
            if lake is not None and not redefines and not lake.has_counted:
                run.record_definition(cur)
            return run

    run = database.retry(attempt)
    try:
        run.retry(run.clear_staged)
        yield run
    finally:
        run.end()


class Run(Transactions):
    """A run that the database records, by `begin_run`: each of its transactions first locks the fence.

    So a run that lost the lock writes nothing once another took over.

    is_redefined: whether the lake was counted under another definition than this run has. `record_definition` records
    it together with the tables; while no file is counted, `begin_run` does.
    """

    def __init__(
        self, database: Database, run_id: int, lake_url: str, definition: Mapping[str, object], is_redefined: bool
    ) -> None:
        """Name the run.

        database: opened, with its lock held. run_id: the run's number in `state.runs`. lake_url, definition: those of
        `begin_run`.
        """
        self.database, self.is_redefined = database, is_redefined
        self.statements = database.statements
        self._run_id, self._lake_url, self._definition = run_id, lake_url, definition
        self._is_end_recorded = False

    @contextmanager
    def transaction(self) -> Iterator["cursor"]:
        """Open a transaction under the lock and behind the fence; raises BusyError if another run took over."""
        assert not self.database.lock.is_released, "a transaction of a run, without the lock"
        with self.database.transaction() as cur:
            if self.fetch_one(cur, "check_fence", run_id=self._run_id) is None:
                raise BusyError("another run took over this database", "this one stops")
            yield cur

    def execute(self, cur: "cursor", name: str, **parameters: object) -> None:
        """Execute a statement; raises psycopg2.Error. The parameters are those of `Transactions.execute`."""
        self.database.execute(cur, name, **parameters)

    def retry(self, attempt: Callable[[], T]) -> T:
        """Return what an attempt returns; try again after errors that pass. Raises DatabaseError."""
        return self.database.retry(attempt)

    def set_fence(self, cur: "cursor") -> None:
        """Record that this run is the one that may write, and its lake."""
        definition = json.dumps(self._definition)
        self.execute(cur, "set_fence", url=self._lake_url, run_id=self._run_id, definition=definition)

    def record_definition(self, cur: "cursor") -> None:
        """Record the definition of the run, in the transaction, if any, that fills the tables under it."""
        self.execute(cur, "record_definition", definition=json.dumps(self._definition))

    def release_lock(self) -> None:
        """Release the lock for other runs; `take_lock_again` continues this run."""
        import psycopg2

        try:
            self.database.lock.release()
        except psycopg2.Error:
            self.database.close()

    def take_lock_again(self) -> bool:
        """Take the lock and continue the same run; return whether another run held it meanwhile.

        Raises SupersededError if that run recorded another lake, definition or a newer schema, and DatabaseError.
        """
        import psycopg2

        was_taken = False

        def attempt() -> bool:
            nonlocal was_taken
            try:
                self.database.lock.take_again()
            except psycopg2.Error:
                self.database.close()
                raise
            with self.database.transaction() as cur:
                self.database.schema.refuse_newer(cur)
                lake = self.fetch_one(cur, "read_lake")
                if lake is None:
                    raise DatabaseError("the database records no lake any more: look at DATABASE_URL, then run again")
                refuse_other_lake(lake.url, self._lake_url)
                refuse_other_definition(lake.definition, self._definition)
                if lake.run_id != self._run_id:
                    was_taken = True  # a later attempt must know, as this one's commit may have succeeded
                    self.set_fence(cur)
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
        if self._is_end_recorded or not self.database.is_connected:
            return
        self._is_end_recorded = True
        with suppress(psycopg2.Error, DatabaseError, BusyError):
            self.database.rollback()
            # A run that shares the lock may end while another run holds it.
            shares = self.database.lock.is_shared
            with self.database.transaction() if shares else self.transaction() as cur:
                if columns:
                    self.execute(cur, "record_progress", run_id=self._run_id, **columns)
                self.execute(cur, "record_end", run_id=self._run_id, exit_code=exit_code, error=error)

    def end(self) -> None:
        """Record the end of the run, unless that was done, and delete what Spark staged for it; ignores errors."""
        import psycopg2

        with suppress(psycopg2.Error, DatabaseError, BusyError):  # a later run clears what is left
            self.record_end(None, None, {})
            # A run that shares the lock stages nothing, and another run may hold the lock now.
            if self.database.is_connected and not self.database.lock.is_shared:
                self.clear_staged()

    def clear_staged(self) -> None:
        """Delete what executors of Spark staged and no run took, whether for this run or for one that died."""
        from psycopg2.errors import LockNotAvailable

        # An executor that hangs may still hold its rows; they do no harm, and a later run clears them.
        with suppress(LockNotAvailable), self.transaction() as cur:
            if self.fetch_one(cur, "has_staged").has_staged:
                self.execute(cur, "clear_staged")
