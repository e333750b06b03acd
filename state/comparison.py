"""The comparison tables: what the BI tables and the state should hold, ingested beside them."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from state.batch_writer import BatchWriter
from state.files import Failure, FileVersion, KeptFile, Reading
from state.run import Run

if TYPE_CHECKING:
    from psycopg2.extensions import cursor

# The statements that compare, in the order of the report.
COMPARE = (
    "compare_files",
    "compare_article_performance",
    "compare_user_performance",
    "compare_articles",
    "compare_category_days",
    "compare_day_totals",
)


class Difference(NamedTuple):
    """A row that is not what it should be: its table, its key, and its columns as they should be and as they are.

    A row that should not exist has no `wanted`, a missing one has no `found`. For the rows of a file in the state, both
    hold numbers instead: how many rows are missing, and how many are wrong.
    """

    table: str
    key: list[str]
    wanted: dict[str, object] | None
    found: dict[str, object] | None


class ComparisonTables:
    """Temporary tables with the names of the permanent ones, into which the same statements ingest."""

    def __init__(self, run: Run, cur: "cursor") -> None:
        """Wrap the empty tables in the cursor's transaction, which is one of the run."""
        self._run, self._cur = run, cur
        self._writer = BatchWriter(run, cur)

    def ingest(self, readers: Sequence[Callable[[], Reading]], recounts: bool = False) -> list[FileVersion | None]:
        """Ingest a batch of files into the comparison tables; if one of `readers` raises, nothing has changed."""
        return self._writer.write([read() for read in readers], None, recounts=recounts)

    def fail(self, failures: Sequence[Failure]) -> None:
        """Record why files that were never ingested cannot be ingested now."""
        for failure in failures:
            self._writer.fail(failure)

    def keep(self, files: Sequence[KeptFile]) -> None:
        """Ingest what files contributed to the permanent tables, if they cannot be read now."""
        self._writer.keep(files)

    def differences(self) -> Iterator[Difference]:
        """Yield every row of the permanent tables that differs from the comparison tables."""
        for name in COMPARE:
            with self._cur.connection.cursor("differences") as rows:
                self._run.execute(rows, name)
                row: Any
                for row in rows:
                    yield Difference(row.name, row.key, row.wanted, row.found)

    def apply(self) -> None:
        """Make the permanent tables equal to the comparison tables."""
        self._run.execute(self._cur, "restate_rebuilt")
        self._run.execute(self._cur, "apply_comparison_tables")
        self._run.record_definition(self._cur)
