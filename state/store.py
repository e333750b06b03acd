"""What the database knows of its lake: the checkpoint, and the one transaction that ingests a batch of files.

Two facts make every promise: partials are a monoid (`processor.reducers.partial`), and the results, reducer state and
checkpoints of a batch of files are written by one transaction (`Store.ingest`).
"""

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from state.batch_writer import BatchWriter, Failure, KnownFile, Reading, RejectedLine, Version
from state.comparison import Shadow
from state.connection import Database
from state.staging import Staging


class Store:
    """What a database knows of its lake, and how it changes: one transaction for each batch of files."""

    def __init__(self, database: Database) -> None:
        """The store in a database whose lock is held."""
        self._db = database

    def ingest(self, reads: Sequence[Callable[[], Reading]]) -> list[Version | None]:
        """Write what a batch of files contributes now in place of what it contributed before, in one transaction.

        For each file its version, or None where its content is the same as before. Each of `reads` begins to read a
        file anew at each call, since a transaction that the database broke off is tried again. What one of them raises
        goes up, and nothing has changed then. Raises StagingLostError, DatabaseError.
        """
        commit_id = str(uuid.uuid4())
        written: list[list[Version | None]] = []

        def attempt() -> list[Version | None]:
            readings = [read() for read in reads]
            if written and self._is_committed(readings[0].key, commit_id):
                return written[-1]
            with self._db.transaction() as cur:
                writer = BatchWriter(self._db, cur)
                writer.prepare()
                written.append(writer.write(readings, commit_id))
            return written[-1]

        return self._db.retried(attempt)

    def _is_committed(self, key: str, commit_id: str) -> bool:
        with self._db.transaction() as cur:
            found = BatchWriter(self._db, cur).find([key])
        return key in found and found[key][2] == commit_id

    def forget(self, key: str) -> bool:
        """Retract what a file contributed and forget it; False if it is not known."""
        was_known = False

        def attempt() -> bool:
            nonlocal was_known
            with self._db.transaction() as cur:
                writer = BatchWriter(self._db, cur)
                found = writer.find([key])
                if found:
                    file_ids = [found[key][0]]
                    writer.prepare()
                    writer.retract(file_ids)
                    self._db.execute(cur, "forget_files", file_ids=file_ids)
                    was_known = True  # also to a later attempt, where this one's commit has an unknown outcome
            return was_known

        return self._db.retried(attempt)

    def fail(self, failures: Sequence[Failure]) -> None:
        """Record why the present versions of files count nowhere; what earlier ones contribute stays."""

        def attempt() -> None:
            with self._db.transaction() as cur:
                writer = BatchWriter(self._db, cur)
                for failure in failures:
                    writer.fail(failure)

        self._db.retried(attempt)

    def clear_error(self, file: KnownFile) -> None:
        """Record that the version of a file that could not be read is present no more."""

        def attempt() -> None:
            with self._db.transaction() as cur:
                self._db.execute(cur, "clear_error", file_id=file.file_id)

        self._db.retried(attempt)

    def staging(self) -> Staging:
        """How other processes stage what they reduce for this run."""
        names = ("name_piece", *(name for name in self._db.queries if name.startswith("stage_")))
        return Staging(self._db.reached(), {name: self._db.queries[name] for name in names})

    @property
    def connections(self) -> int:
        """How many connections it took until now: one more, and another server may have taken over."""
        return self._db.connections

    def files(self) -> dict[str, KnownFile]:
        """The checkpoint: every file that was counted or failed, by its key."""
        return {row[1]: KnownFile(*row) for row in self._db.rows("files")}

    def known(self, keys: list[str]) -> dict[str, KnownFile]:
        """The checkpoint of some files, by their keys."""
        return {row[1]: KnownFile(*row) for row in self._db.rows("some_files", keys=keys)}

    def say_to(self, say: Callable[[str], None]) -> None:
        """Let lines for people go there from now on."""
        self._db.say = say

    def take_turn(self, lake_url: str) -> bool:
        """Take the lock that was given back; whether another run had it meanwhile. Raises DatabaseError."""
        return self._db.take_back(lake_url)

    def end_turn(self, numbers: Mapping[str, object] | None = None) -> None:
        """Let other runs have the lock, after what this one did until now was recorded; raises DatabaseError."""
        try:
            if numbers is not None:
                self._db.go_on(numbers)
        finally:
            self._db.give_back()

    def rejected_lines(self, key: str | None) -> Iterator[RejectedLine]:
        """The lines that count nowhere, of one file or of all, as they are asked for."""
        with self._db.errors(), self._db.transaction() as cur, cur.connection.cursor("rejected") as rows:
            self._db.execute(rows, "rejected_lines", key=key)
            for row in rows:
                yield RejectedLine(row[0], row[1], row[2], bytes(row[3]))

    def report_state(self) -> str:
        """What changes with whatever a report shows."""
        return str(self._db.rows("report_state")[0][0])

    def report_rows(self, name: str, **parameters: object) -> list[Any]:
        """The rows of a report that the statement of that name gives."""
        return self._db.rows(name, **parameters)

    def first_rows(self) -> Iterator[tuple[str, Sequence[str], list[tuple[object, ...]]]]:
        """The first rows of both BI tables: the table's name, its columns, the rows."""
        for table in ("article_performance", "user_performance"):
            yield table, *self._db.table(f"first_{table}")

    @contextmanager
    def shadow(self) -> Iterator[Shadow]:
        """Empty tables to count into beside the true ones, in one transaction that leaves none of them."""
        with self._db.errors(), self._db.transaction() as cur:
            self._db.execute(cur, "create_shadow")
            BatchWriter(self._db, cur).prepare()
            self._db.execute(cur, "settings", search_path="pg_temp, state, public")
            yield Shadow(self._db, cur)
