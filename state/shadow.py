"""What the tables should hold, counted beside them: to compare with, or to take over."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from state.database import Database
from state.writer import KnownFile, Reading, Version, Writer

if TYPE_CHECKING:
    from psycopg2.extensions import cursor


class Difference(NamedTuple):
    """A row that is not what the lake gives: its table and key, and its columns as they should be and are.

    A row that should not be there has no `wanted`, one that is missing has no `found`. For a file's rows in a state
    table both say how many are missing and how many are wrong.
    """

    table: str
    key: list[str]
    wanted: dict[str, object] | None
    found: dict[str, object] | None


class Shadow:
    """What the tables should hold: counted by the same statements, into temporary tables of the same names."""

    def __init__(self, database: Database, cur: "cursor") -> None:
        """Empty tables in the cursor's transaction."""
        self._db, self._cur = database, cur
        self._writer = Writer(database, cur)

    def count(self, reading: Reading) -> Version:
        """Count a file into the shadow; where reading it raises, it has left nothing there."""
        self._db.execute(self._cur, "clear_new")
        version = self._writer.write(reading, None)
        assert version is not None  # the shadow knew no file of this key
        return version

    def fail(self, key: str, error: str, before: KnownFile | None) -> None:
        """Record why a file's present version counts nowhere; what an earlier one gave is recalled."""
        if before is not None and before.fingerprint is not None:
            file_id = self.recall(before)
        else:
            file_id = self._writer.add(key)
        self._writer.fail(file_id, error)

    def recall(self, file: KnownFile) -> int:
        """Count what a file gave when it was counted, where it cannot be read now; its number in the shadow."""
        (file_id,) = self._db.one(self._cur, "recall_checkpoint", file_id=file.file_id)
        self._db.execute(self._cur, "clear_new")
        self._db.execute(self._cur, "recall_file", file_id=file.file_id)
        self._writer.replace(file_id)
        return int(file_id)

    def differences(self) -> Iterator[Difference]:
        """Every row of the true tables that is not as in the shadow."""
        for name in (
            "differing_files",
            "differing_articles",
            "differing_users",
            "differing_texts",
            "differing_category_days",
            "differing_session_days",
        ):
            with self._cur.connection.cursor("differences") as rows:
                self._db.execute(rows, name)
                yield from map(Difference._make, rows)

    def take_over(self) -> None:
        """Make the true tables what the shadow holds."""
        self._db.execute(self._cur, "take_over_shadow")
