"""What the tables should hold, counted beside them: to compare with, or to take over."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from state.batch_writer import BatchWriter, Failure, Reading, Recollection, Version
from state.connection import Database

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
        self._writer = BatchWriter(database, cur)

    def ingest(self, reads: Sequence[Callable[[], Reading]]) -> list[Version | None]:
        """Ingest a batch of files into the shadow; where reading one raises, the batch has left nothing there."""
        self._writer.clear()
        return self._writer.write([read() for read in reads], None)

    def fail(self, failures: Sequence[Failure]) -> None:
        """Record why the present versions of files that were never ingested count nowhere."""
        for failure in failures:
            self._writer.fail(failure)

    def recall(self, files: Sequence[Recollection]) -> None:
        """Count what files contributed when they were ingested, where they cannot be read now."""
        self._writer.clear()
        self._writer.recall(files)

    def differences(self) -> Iterator[Difference]:
        """Every row of the true tables that is not as in the shadow."""
        for name in (
            "differing_files",
            "differing_articles",
            "differing_users",
            "differing_states",
            "differing_category_days",
            "differing_session_days",
        ):
            with self._cur.connection.cursor("differences") as rows:
                self._db.execute(rows, name)
                yield from map(Difference._make, rows)

    def take_over(self) -> None:
        """Make the true tables what the shadow holds."""
        self._db.execute(self._cur, "take_over_shadow")
