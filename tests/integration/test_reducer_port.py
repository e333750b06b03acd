"""What every reducer promises: the same cases for this process, for a pool of one and two processes, and for Spark."""

import gzip
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from importlib.util import find_spec
from pathlib import Path

import pytest

from processor.lake.base import FileError, Lake, LakeFile, LakeSettings
from processor.lake.open_lake import open_lake
from processor.reducers.definition import Definition
from processor.reducers.partial import Counts, Partial
from processor.reducing.in_process import InProcessReducer
from processor.reducing.process_pool import ProcessPool
from processor.reducing.reducer import ReducedPartial, Reducer
from processor.spark.application import SparkApplication
from processor.spark.reducer import SparkReducer
from state.database import Database
from state.run import begin_run
from state.staging import Staging
from tests.support.event_files import events
from tests.support.fuzzed import of_the_program
from tests.support.lake_folders import write_lake
from tests.support.oracle import read_file

CHUNK_BYTES = 500
EPOCH = date(1970, 1, 1).toordinal()
HAS_SPARK = find_spec("pyspark") is not None and shutil.which("java") is not None
LAKE = {
    "a.tsv": events(10, 60, "first"),
    "b.tsv": b"no header\n" + b"x\n" * 1000,
    "c.tsv.gz": gzip.compress(events(20, 60, "second") + b"bad line\n"),
    "d.tsv": events(30, 2, "small"),
    "e.tsv": b"bad line\n".join(events(5, 40, "more").splitlines(keepends=True)),
    "f.tsv": events(30, 40, "last"),
}
GOOD = [key for key in LAKE if key != "b.tsv"]

Open = Callable[[Sequence[LakeFile]], Reducer]


@pytest.fixture(scope="module")
def application() -> Iterator[SparkApplication]:
    """A Spark application on one local core."""
    with SparkApplication("local[1]") as started:
        started.context()
        yield started


@pytest.fixture
def db(database: str) -> Iterator[Database]:
    """The database of a run."""
    with Database(database, wait_seconds=5) as opened, begin_run(opened, "lake"):
        yield opened


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A folder with large and small files, and one that cannot be read."""
    write_lake(tmp_path / "lake", LAKE)
    return open_lake(str(tmp_path / "lake"))


@pytest.fixture(
    params=[
        "this process",
        "1 process",
        "2 processes",
        pytest.param(
            "Spark",
            marks=[
                pytest.mark.slow,
                pytest.mark.skipif(not HAS_SPARK, reason="pyspark or Java is not installed"),
            ],
        ),
    ]
)
def open_reducer(request: pytest.FixtureRequest, lake: Lake, db: Database) -> Open:
    """A function that opens the reducer; there is one for each implementation."""
    if request.param == "this process":
        return lambda files: InProcessReducer(lake, files, CHUNK_BYTES)
    if request.param == "Spark":
        application = request.getfixturevalue("application")
        return lambda files: SparkReducer(lake, files, application, Staging.of(db), CHUNK_BYTES)
    return lambda files: ProcessPool(lake, files, int(request.param[0]), CHUNK_BYTES)


def list_files(lake: Lake) -> list[LakeFile]:
    return sorted(lake.list_files())


def merge(results: Iterator[ReducedPartial], db: Database) -> dict[str, object]:
    """Return the merged results of a file, as the database merges their rows."""
    numbers = Counter[str]()
    with db.transaction() as cur:
        db.execute(cur, "create_new", made_by="tests")
        for result in results:
            result.rows.write(db, cur, 1)
            numbers.update(events=result.events, rejected=result.reasons.total())
            numbers["lines"] += sum(chunk.lines for chunk in result.chunks.values())
        found: dict[str, object] = dict(numbers)
        for table, columns in (
            ("article_days", "article_id, date, sum(displays)::int as displays, sum(clicks)::int as clicks"),
            ("user_days", "user_id, date, sum(displays)::int as displays, sum(clicks)::int as clicks"),
            ("sessions", "user_id, session_id, min(first_at) >> 2, max(last_at), sum(events)::int"),
        ):
            cur.execute(f"select {columns} from pg_temp.new_{table} group by 1, 2 order by 1, 2")
            found[table] = {tuple(row[:2]): tuple(row[2:]) for row in cur.fetchall()}
        for text in ("title", "category"):
            cur.execute(f"select article_id, {text}_at, {text} from pg_temp.new_article_days where {text} is not null")
            found[text] = {article: (at, shown) for article, at, shown in sorted(cur.fetchall())}
    return found


def expect(key: str) -> dict[str, object]:
    """Return what the oracle reads in a file."""
    reading = read_file(LAKE[key], key)
    partial = Partial()
    for event in reading.events:
        partial.add(of_the_program(event), Definition())
    return {
        "events": len(reading.events),
        "rejected": len(reading.rejected),
        "lines": 1 + len(reading.events) + len(reading.rejected) + reading.empty,
        "article_days": by_date(partial.article_days),
        "user_days": by_date(partial.user_days),
        "sessions": {session: tuple(span) for session, span in partial.sessions.items()},
        "title": {article: tuple(text) for article, text in partial.titles.items()},
        "category": {article: tuple(text) for article, text in partial.categories.items()},
    }


def by_date(days: dict[tuple[str, int], Counts]) -> dict[tuple[str, date], tuple[int, ...]]:
    return {(name, date.fromordinal(EPOCH + day)): tuple(counts) for (name, day), counts in days.items()}


def child_processes() -> set[int]:
    """Return the ids of the child processes of this one."""
    children = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    return {int(child) for path in children for child in path.read_text(encoding="utf-8").split()}


def test_results_merge_to_what_the_oracle_reads(open_reducer: Open, lake: Lake, db: Database) -> None:
    files = [file for file in list_files(lake) if file.key in GOOD]
    with open_reducer(files) as reducer:
        assert {file.key: merge(reducer.results(file), db) for file in files} == {key: expect(key) for key in GOOD}


def test_files_may_be_left_out(open_reducer: Open, lake: Lake, db: Database) -> None:
    files = list_files(lake)
    with open_reducer(files) as reducer:
        for file in files:
            if file.key in ("c.tsv.gz", "f.tsv"):
                assert merge(reducer.results(file), db) == expect(file.key)


def test_a_file_may_be_asked_for_again(open_reducer: Open, lake: Lake, db: Database) -> None:
    files = [file for file in list_files(lake) if file.key in GOOD]
    with open_reducer(files) as reducer:
        next(reducer.results(files[0]))  # the first time, not to the end
        for file in (files[0], files[1], files[1], files[0], files[3]):
            assert merge(reducer.results(file), db) == expect(file.key)


def test_a_file_that_cannot_be_read_raises_file_error(open_reducer: Open, lake: Lake, db: Database) -> None:
    files = list_files(lake)
    with open_reducer(files) as reducer:
        for file in files:
            if file.key == "b.tsv":
                for _ in range(2):
                    with pytest.raises(FileError, match="its first line is not a header") as raised:
                        list(reducer.results(file))
                    assert raised.value.size > 0
            elif file.key in GOOD:
                assert merge(reducer.results(file), db) == expect(file.key)


def test_files_are_read_by_the_settings_of_the_lake(open_reducer: Open, lake: Lake, db: Database) -> None:
    lake.settings = LakeSettings(max_text_gib=0)
    files = [file for file in list_files(lake) if file.key in GOOD]
    with open_reducer(files) as reducer:
        for file in files:
            if file.key == "c.tsv.gz":
                with pytest.raises(FileError, match="it contains more than 0 GiB of text"):
                    list(reducer.results(file))
            else:
                assert merge(reducer.results(file), db) == expect(file.key)


def test_results_come_in_the_order_of_the_lines(open_reducer: Open, lake: Lake) -> None:
    files = list_files(lake)
    with open_reducer(files) as reducer:
        begins = [begin for result in reducer.results(files[0]) for begin in result.chunks]
    assert begins[0] == 0
    assert begins == sorted(begins)
    assert len(begins) > 1


def test_no_files_give_no_results(open_reducer: Open) -> None:
    with open_reducer([]):
        pass


def test_closing_early_leaves_no_process(open_reducer: Open, lake: Lake) -> None:
    files, before = list_files(lake), child_processes()
    with open_reducer(files) as reducer:
        next(reducer.results(files[0]))
    assert child_processes() <= before
