"""What a run may do to the database: ingest a batch of files in one transaction, forget files, record failures.

Every promise follows from two facts: partials are a monoid (`processor.reducers.partial`), and one transaction writes
the results, the contributions and the checkpoints of a batch of files (`Store.ingest`).
"""

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager

from state.batch_writer import BatchWriter
from state.comparison import ComparisonTables
from state.files import Failure, FileVersion, KnownFile, Reading
from state.reads import Reads
from state.run import Run


class Store:
    """What a recorded run may do to its database.

    reads: what can be read of the same database.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._begins_turn = True
        self.reads = Reads(run)

    def ingest(self, readers: Sequence[Callable[[], Reading]], recounts: bool = False) -> list[FileVersion | None]:
        """Write what a batch of files contributes in place of what it contributed before, in one transaction.

        Returns the version of each file, or None if its content is the same and it was not written. Each of `readers`
        begins to read one file, again at each call, since a transaction that fails may be retried. If one of them
        raises, nothing has changed. If `recounts` is true, files whose content is the same are written, too, and
        what they touch is added up again. Raises LostRowsError, DatabaseError, and what `readers` raise.
        """
        commit_id = str(uuid.uuid4())
        written: list[list[FileVersion | None]] = []

        def attempt() -> list[FileVersion | None]:
            readings = [read() for read in readers]
            if written and self._is_committed(readings[0].key, commit_id):
                return written[-1]
            with self._run.transaction() as cur:
                written.append(BatchWriter(self._run, cur).write(readings, commit_id, self._begins_turn, recounts))
            return written[-1]

        versions = self._run.retry(attempt)
        self._begins_turn = self._begins_turn and not any(versions)
        return versions

    def begin_turn(self) -> None:
        """Begin a turn of a watch: the report shows the files that it ingests as new, and no earlier ones."""
        self._begins_turn = True

    def _is_committed(self, key: str, commit_id: str) -> bool:
        with self._run.transaction() as cur:
            found = BatchWriter(self._run, cur).find([key])
        return key in found and found[key].commit_id == commit_id

    def forget(self, key: str) -> bool:
        """Retract what a file contributed and delete its checkpoint; return whether the file was known."""
        was_known = False

        def attempt() -> bool:
            nonlocal was_known
            with self._run.transaction() as cur:
                writer = BatchWriter(self._run, cur)
                found = writer.find([key])
                if found:
                    file_ids = [found[key].file_id]
                    writer.retract(file_ids)
                    self._run.execute(cur, "forget_files", file_ids=file_ids)
                    was_known = True  # a later attempt must know, as this one's commit may have succeeded
            return was_known

        return self._run.retry(attempt)

    def forget_users(self, user_ids: Sequence[str]) -> dict[str, int]:
        """Forget users for good, in one transaction: the lines that carry them count for no user, now and later.

        user_ids: different ids, each without tab, line feed and NUL. Returns how many `users` were given, how many of
        them are `users_new`, not forgotten before, or `users_found` in the tables, and how many `rows` of
        user_performance, `sessions` and `rejected_lines` held them.
        """
        counts: dict[str, int] = {}

        def attempt() -> dict[str, int]:
            with self._run.transaction() as cur:
                for name, count in BatchWriter(self._run, cur).forget_users(user_ids).items():
                    # If the commit of an earlier attempt succeeded after all, this one finds nothing.
                    counts[name] = max(count, counts.get(name, 0))
            return counts

        return self._run.retry(attempt)

    def fail(self, failures: Sequence[Failure]) -> None:
        """Record why the present versions of files cannot be ingested; contributions of earlier versions stay."""

        def attempt() -> None:
            with self._run.transaction() as cur:
                writer = BatchWriter(self._run, cur)
                for failure in failures:
                    writer.fail(failure)

        self._run.retry(attempt)

    def clear_error(self, file: KnownFile) -> None:
        """Delete the error of a file's version that is no longer in the lake."""

        def attempt() -> None:
            with self._run.transaction() as cur:
                self._run.execute(cur, "clear_error", file_id=file.file_id)

        self._run.retry(attempt)

    @property
    def connections(self) -> int:
        """How many connections were made until now: after a new one, another server may answer."""
        return self._run.database.connections

    def redirect_warnings(self, warn: Callable[[str], None]) -> AbstractContextManager[None]:
        """Return a context that sends the database's warnings to `warn` while it lasts."""
        return self._run.database.redirect_warnings(warn)

    @property
    def is_redefined(self) -> bool:
        """Whether the lake was counted under another definition than this run has."""
        return self._run.is_redefined

    def take_lock_again(self) -> bool:
        """Take the lock after it was released; return whether another run held it meanwhile. Raises DatabaseError."""
        return self._run.take_lock_again()

    def release_lock(self, columns: Mapping[str, object] | None = None) -> None:
        """Record what this run did until now, and release the lock for other runs; raises DatabaseError.

        columns: columns of state.runs by their names; None if there is nothing to record.
        """
        try:
            if columns is not None:
                self._run.record_progress(columns)
        finally:
            self._run.release_lock()

    @contextmanager
    def comparison_tables(self) -> Iterator[ComparisonTables]:
        """Create empty comparison tables, which the end of the block drops; all of it is one transaction."""
        with self._run.translate_errors(), self._run.transaction() as cur:
            self._run.execute(cur, "create_comparison_tables")
            self._run.execute(cur, "apply_settings", search_path="pg_temp, state, public")
            yield ComparisonTables(self._run, cur)
