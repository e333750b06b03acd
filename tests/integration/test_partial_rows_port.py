"""What all rows on their way into the tables promise: the same cases for rows in memory and for staged rows."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from processor.lake.open_lake import open_lake
from processor.reducers.fold import CHUNK_BYTES
from processor.reducing.byte_ranges import ByteRange
from processor.reducing.in_process import reduce_byte_range
from state.database import Database
from state.partial_rows import LostRowsError, Rows, RowsInMemory
from state.run import begin_run
from state.staging import Staging
from tests.support.event_files import events

if TYPE_CHECKING:
    from psycopg2.extensions import cursor

TABLES = ("new_article_days", "new_user_days", "new_sessions", "new_rejected_lines")
Make = Callable[[Mapping[str, bytes]], Rows]


@pytest.fixture
def db(database: str) -> Iterator[Database]:
    """A database that a run has taken."""
    with Database(database) as db, begin_run(db, "/lake"):
        yield db


@pytest.fixture(params=["in memory", "staged"])
def make(request: pytest.FixtureRequest, db: Database) -> Make:
    """Put rows in COPY's text format where the implementation holds them."""
    if request.param == "in memory":
        return RowsInMemory

    def stage(tables: Mapping[str, bytes]) -> Rows:
        with Staging.of(db).open() as connection:
            return connection.stage(tables)

    return stage


@pytest.fixture
def tables(tmp_path: Path) -> Mapping[str, bytes]:
    """The rows of a file with rejected lines, in COPY's text format."""
    (tmp_path / "a.tsv").write_bytes(events(10, 40, "title") + b"one field\n\n\xff\n")
    (file,) = (lake := open_lake(str(tmp_path))).list_files()
    (partial,) = reduce_byte_range(lake, ByteRange(file), CHUNK_BYTES)
    assert partial.rows.tables is not None
    return partial.rows.tables


def make_temporary_tables(db: Database, cur: "cursor") -> None:
    """Make the temporary tables, empty, in place of those that the session has."""
    db.execute(cur, "create_new", made_by="tests")


def written(cur: "cursor") -> dict[str, list[tuple[object, ...]]]:
    """Return the rows of the temporary tables, in an order of their own."""
    found = {}
    for table in TABLES:
        cur.execute(f"select * from {table} order by {table}::text")
        found[table] = cur.fetchall()
    return found


def test_rows_are_written_with_the_number_of_their_file(db: Database, make: Make, tables: Mapping[str, bytes]) -> None:
    rows = make(tables)
    with db.transaction() as cur:
        make_temporary_tables(db, cur)
        rows.write(db, cur, 7)
        found = written(cur)
        make_temporary_tables(db, cur)
        RowsInMemory(tables).write(db, cur, 7)
        assert found == written(cur)
    assert all(found.values())
    assert {row[0] for some in found.values() for row in some} == {7}
    assert sum(map(len, found.values())) == rows.count


def test_a_file_without_rows_writes_none(db: Database, make: Make) -> None:
    rows = make({})
    with db.transaction() as cur:
        make_temporary_tables(db, cur)
        rows.write(db, cur, 7)
        assert not any(written(cur).values())
    assert (rows.count, rows.size) == (0, 0)


def test_only_rows_in_memory_take_memory(make: Make, tables: Mapping[str, bytes]) -> None:
    rows = make(tables)
    assert (rows.size > 0) is (rows.tables is not None)


def test_staged_rows_can_be_taken_only_once(db: Database, tables: Mapping[str, bytes]) -> None:
    with Staging.of(db).open() as connection:
        rows = connection.stage(tables)
    with db.transaction() as cur:
        make_temporary_tables(db, cur)
        rows.write(db, cur, 7)
    with db.transaction() as cur, pytest.raises(LostRowsError):  # the first transaction has taken them
        rows.write(db, cur, 8)
