"""What all tables that files are ingested into promise: the same cases for the permanent and the comparison tables."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from processor.file_reading import FileReading
from processor.ingest_batch import Tables
from processor.lake.base import FileError
from processor.lake.open_lake import open_lake
from processor.reducing.in_process import InProcessReducer
from state.database import Database
from state.files import Failure, Reading
from state.partial_rows import LostRowsError, Rows
from state.run import begin_run
from state.store import Store
from tests.support.database_queries import execute
from tests.support.event_files import HEADER, events
from tests.support.ingest import SilentTally
from tests.support.lake_folders import write_lake
from tests.support.tables import Model

LAKE = {f"{name}.tsv": events(number, 20, name) + b"bad\n" for number, name in enumerate("abc")}
Open = Callable[[], AbstractContextManager[Tables]]
Read = Callable[[], FileReading]


@pytest.fixture(params=["permanent", "comparison"])
def open_tables(request: pytest.FixtureRequest, database: str) -> Open:
    """Open tables of each kind; after the context, the database shows their content."""

    @contextmanager
    def opened() -> Iterator[Tables]:
        with Database(database) as db, begin_run(db, "/lake", relocated=True) as run:
            store = Store(run)
            if request.param == "permanent":
                yield store
            else:
                with store.comparison_tables() as tables:
                    yield tables
                    tables.apply()

    return opened


@pytest.fixture
def begin(tmp_path: Path) -> Callable[[str], Read]:
    """A function that returns the reader of a file of the lake."""
    write_lake(tmp_path, LAKE)

    def reader(key: str) -> Read:
        lake = open_lake(str(tmp_path))
        file = lake.find(key)
        assert file is not None
        return lambda: FileReading(file, InProcessReducer(lake, []).results(file), SilentTally())

    return reader


def hold(reader: Read) -> Read:
    """Return the same reader with its rows held, as those of files that share a batch are."""

    def read() -> FileReading:
        reading = reader()
        assert list(reading.hold())
        return reading

    return read


def check(database: str, *keys: str) -> None:
    """Fail unless the database holds these files of the lake, and nothing else."""
    model = Model()
    model.counting = {key: LAKE[key] for key in keys}
    model.compare(database)


def test_a_batch_is_ingested(database: str, open_tables: Open, begin: Callable[[str], Read]) -> None:
    with open_tables() as tables:
        versions = tables.ingest([hold(begin(key)) for key in LAKE])
    assert [(version.key, version.events) for version in versions if version] == [(key, 20) for key in LAKE]
    check(database, *LAKE)


def test_batches_add_up(database: str, open_tables: Open, begin: Callable[[str], Read]) -> None:
    with open_tables() as tables:
        assert all(tables.ingest([hold(begin("b.tsv"))]))
        assert all(tables.ingest([begin("c.tsv")]))
        assert all(tables.ingest([hold(begin("a.tsv"))]))
    check(database, *LAKE)


def test_the_same_content_changes_nothing(database: str, open_tables: Open, begin: Callable[[str], Read]) -> None:
    with open_tables() as tables:
        tables.ingest([hold(begin("a.tsv")), hold(begin("b.tsv"))])
        assert tables.ingest([hold(begin("b.tsv"))]) == [None]
        assert tables.ingest([begin("a.tsv")]) == [None]
    check(database, "a.tsv", "b.tsv")


def test_a_recount_writes_the_same_content_again(
    database: str, open_tables: Open, begin: Callable[[str], Read]
) -> None:
    with open_tables() as tables:
        tables.ingest([hold(begin("a.tsv")), hold(begin("b.tsv"))])
        assert all(tables.ingest([hold(begin("b.tsv"))], recounts=True))
    check(database, "a.tsv", "b.tsv")


def raise_file_error() -> Reading:
    raise FileError("it is broken")


class OtherRows:
    """A reading with other rows."""

    def __init__(self, reading: Reading, rows: Iterable[Rows]) -> None:
        self.key, self.is_complete, self.version = reading.key, reading.is_complete, reading.version
        self._rows = rows

    def __iter__(self) -> Iterator[Rows]:
        return iter(self._rows)


def break_after_rows(reader: Read) -> Callable[[], Reading]:
    """Return a reader whose file breaks after its first rows."""

    def rows() -> Iterator[Rows]:
        yield from reader()
        raise FileError("it is broken")

    return lambda: OtherRows(reader(), rows())


class LostRows:
    """Rows that were lost."""

    tables, count, size = None, 1, 0

    def write(self, *_: object) -> None:
        raise LostRowsError("rows were lost")


@pytest.mark.parametrize("how", ["at once", "after its rows", "rows lost"])
def test_a_file_that_cannot_be_read_changes_nothing(
    database: str, open_tables: Open, begin: Callable[[str], Read], how: str
) -> None:
    bad: dict[str, list[Callable[[], Reading]]] = {
        "at once": [hold(begin("a.tsv")), raise_file_error],
        "after its rows": [break_after_rows(begin("a.tsv"))],
        "rows lost": [hold(begin("a.tsv")), lambda: OtherRows(hold(begin("b.tsv"))(), [LostRows()])],
    }
    with open_tables() as tables:
        with pytest.raises((FileError, LostRowsError)):
            tables.ingest(bad[how])
        assert all(tables.ingest([hold(begin("c.tsv"))]))
    check(database, "c.tsv")


def test_a_failed_file_is_recorded_with_its_error(
    database: str, open_tables: Open, begin: Callable[[str], Read]
) -> None:
    with open_tables() as tables:
        tables.ingest([hold(begin("a.tsv"))])
        tables.fail([Failure("x.tsv", "it is broken"), Failure("y.tsv", "it is gone")])
        tables.fail([])
    found = execute(database, "select key, error from state.lake_files where error is not null order by key")
    assert found == [("x.tsv", "it is broken"), ("y.tsv", "it is gone")]


def test_an_empty_file_is_ingested(
    database: str, open_tables: Open, tmp_path: Path, begin: Callable[[str], Read]
) -> None:
    write_lake(tmp_path, LAKE | {"empty.tsv": HEADER})
    with open_tables() as tables:
        (version,) = tables.ingest([hold(begin("empty.tsv"))])
    assert version is not None
    assert (version.lines, version.events, version.rejected) == (0, 0, 0)
    assert execute(database, "select key, events from state.lake_files") == [("empty.tsv", 0)]
