"""What the database knows of its lake: the checkpoint, and the one transaction that counts a file.

Two facts make every promise: partials are a monoid (`processor.reducers`), and a file's results, reducer state and
checkpoint are written by one transaction (`Store.count`).
"""

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any

from state.database import Database, RunEnd
from state.shadow import Shadow
from state.staging import Staging
from state.writer import KnownFile, Reading, RejectedLine, Version, Writer


class Store:
    """What a database knows of its lake, and how it changes: one transaction for each file."""

    def __init__(self, database: Database) -> None:
        """The store in a database whose lock is held."""
        self._db = database

    def count(self, key: str, read: Callable[[], Reading]) -> Version | None:
        """Count what a file gives now instead of what it gave before, in one transaction; None if it was the same.

        `read` begins to read the file anew at each call, since a transaction that the database broke off is tried
        again. What it raises goes up, and nothing has changed then. Raises DatabaseError.
        """
        commit_id = str(uuid.uuid4())
        outcomes: list[Version | None] = []

        def attempt() -> Version | None:
            if outcomes and self._is_committed(key, commit_id):
                return outcomes[-1]
            reading = read()
            rows = iter(reading.rows)
            first = next(rows)  # read before the transaction begins: most files are one partial
            begun = time.monotonic()
            with self._db.transaction() as cur:
                whole = Reading(chain((first,), rows), reading.version)
                writer = Writer(self._db, cur)
                writer.prepare()
                outcomes.append(writer.write(whole, commit_id))
            version = outcomes[-1]
            return version and version._replace(commit_seconds=time.monotonic() - begun)

        return self._db.retried(attempt)

    def _is_committed(self, key: str, commit_id: str) -> bool:
        with self._db.transaction() as cur:
            row = Writer(self._db, cur).find(key)
        return row is not None and row[2] == commit_id

    def forget(self, key: str) -> bool:
        """Take back what a file gave and forget it; False if it is not known."""
        was_known = False

        def attempt() -> bool:
            nonlocal was_known
            with self._db.transaction() as cur:
                writer = Writer(self._db, cur)
                row = writer.find(key)
                if row is not None:
                    writer.prepare()
                    writer.replace(row[0])
                    self._db.execute(cur, "forget_file", file_id=row[0])
                    was_known = True  # also to a later attempt, where this one's commit has an unknown outcome
            return was_known

        return self._db.retried(attempt)

    def fail(self, key: str, error: str) -> None:
        """Record why a file's present version counts nowhere; what an earlier one gave stays."""

        def attempt() -> None:
            with self._db.transaction() as cur:
                writer = Writer(self._db, cur)
                writer.fail(writer.add(key), error)

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

    def end_turn(self, did: RunEnd | None = None) -> None:
        """Let other runs have the lock, after what this one did until now was recorded; raises DatabaseError."""
        try:
            if did is not None:
                self._db.go_on(did)
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
            Writer(self._db, cur).prepare()
            self._db.execute(cur, "settings", search_path="pg_temp, state, public")
            yield Shadow(self._db, cur)
