"""Batches: how files are gathered, and that a file in a batch is ingested like a file alone."""

import itertools
import json
import time
from collections.abc import Iterator
from datetime import date
from io import BytesIO
from pathlib import Path
from typing import Self

import psycopg2
import pytest
from psycopg2.extensions import cursor

from processor import pipeline
from processor.batches import DEFAULT_BATCH_LIMITS, BatchLimits, make_batches
from processor.file_reading import FileReading
from processor.lake.base import FileError, LakeError, LakeFile
from processor.lake.open_lake import open_lake
from processor.plan import Plan
from processor.reducers.days import DAY_MICROSECONDS
from processor.reducers.events import Rejection
from processor.reducers.partial import Counts, Partial, Span, Text
from processor.reducing.byte_ranges import ByteRange, cut_into_byte_ranges
from processor.reducing.copy_rows import make_copy_rows
from processor.reducing.in_process import InProcessReducer, reduce_byte_range
from processor.reducing.reducer import ReducedPartial
from state.batch_writer import BatchWriter
from state.database import Database
from state.errors import DatabaseError
from state.partial_rows import LostRowsError, Rows, add_file_id
from state.run import begin_run
from state.store import Store
from state.transactions import Transactions
from tests.support.database_queries import execute
from tests.support.event_files import HEADER, events
from tests.support.fuzzed import Memory
from tests.support.ingest import PLAN, SilentTally, ingest_folder, local_reducer
from tests.support.lake_folders import write_lake
from tests.support.tables import Model

MANY = BatchLimits(rows=10**9, text_bytes=10**9, seconds=10**9)


class Lines:
    """A reducer of files with a given number of lines, which can be slow and can fail for some files."""

    def __init__(self, sizes: list[int], fails: dict[int, Exception] | None = None) -> None:
        self.files = [LakeFile(f"{n:02}.tsv", "1-1", len(events(0, size, "t"))) for n, size in enumerate(sizes)]
        self._sizes, self._fails, self.asked = sizes, fails or {}, list[str]()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def results(self, file: LakeFile) -> Iterator[ReducedPartial]:
        number = int(file.key[:2])
        self.asked.append(file.key)
        if number in self._fails:
            raise self._fails.pop(number)
        yield from reduce_byte_range(Memory(events(0, self._sizes[number], "t")), ByteRange(file), 1000)


def gathered(lines: Lines, limits: BatchLimits) -> list[list[str]]:
    """Return the keys of the files of each batch."""
    return [[item.file.key for item in batch] for batch in make_batches(lines.files, lines, SilentTally(), limits)]


def test_all_files_are_one_batch_within_the_limits() -> None:
    assert gathered(Lines([3, 5, 2]), MANY) == [["00.tsv", "01.tsv", "02.tsv"]]
    assert gathered(Lines([]), MANY) == []


def test_a_batch_ends_with_the_file_that_reaches_the_rows() -> None:
    lines = Lines([3])
    ((item,),) = make_batches(lines.files, lines, SilentTally(), MANY)
    assert item.rows
    two = MANY._replace(rows=2 * item.rows)
    assert gathered(Lines([3] * 4), two) == [["00.tsv", "01.tsv"], ["02.tsv", "03.tsv"]]
    assert gathered(Lines([3] * 3), two._replace(rows=two.rows + 1)) == [["00.tsv", "01.tsv", "02.tsv"]]


def test_a_batch_ends_before_the_file_that_would_pass_the_bytes() -> None:
    size = Lines([3]).files[0].size
    assert gathered(Lines([3, 3, 3]), MANY._replace(text_bytes=2 * size)) == [["00.tsv", "01.tsv"], ["02.tsv"]]
    assert gathered(Lines([3, 3, 3]), MANY._replace(text_bytes=2 * size - 1)) == [["00.tsv"], ["01.tsv"], ["02.tsv"]]


def test_a_batch_waits_no_longer_than_the_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(0, 1)
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    assert gathered(Lines([1] * 4), MANY._replace(seconds=2)) == [["00.tsv", "01.tsv"], ["02.tsv", "03.tsv"]]


def test_a_file_larger_than_a_batch_is_a_batch_alone_and_is_not_held() -> None:
    lines = Lines([3, 200, 3])
    limits = MANY._replace(rows=12)
    found = list(make_batches(lines.files, lines, SilentTally(), limits))
    assert [[item.rows is None for item in batch] for batch in found] == [[False], [True], [False]]
    large = found[1][0]
    first, second = (b"".join(b"".join((part.tables or {}).values()) for part in large.read()) for _ in range(2))
    assert first == second
    assert lines.asked.count("01.tsv") == 2


def test_a_large_file_that_comes_first_is_the_first_batch() -> None:
    assert gathered(Lines([200, 3, 200]), MANY._replace(rows=12)) == [["00.tsv"], ["01.tsv"], ["02.tsv"]]


def test_the_default_limits_of_a_batch() -> None:
    assert BatchLimits() == DEFAULT_BATCH_LIMITS == (200_000, 64 * 1024 * 1024, 0.5)


def test_a_file_that_cannot_be_read_is_in_its_batch_with_its_error() -> None:
    lines = Lines([3, 3, 3], {1: FileError("it is broken")})
    (batch,) = make_batches(lines.files, lines, SilentTally(), MANY)
    assert [str(item.error) for item in batch] == ["None", "it is broken", "None"]
    assert batch[1].rows == 0


def test_files_read_before_the_lake_became_unavailable_are_a_batch() -> None:
    lines, found = Lines([3, 3, 3], {2: LakeError("it is unavailable")}), list[int]()
    with pytest.raises(LakeError):
        found.extend(len(batch) for batch in make_batches(lines.files, lines, SilentTally(), MANY))
    assert found == [2]


def test_a_file_whose_process_was_lost_is_read_again() -> None:
    lines, tally = Lines([3, 3], {1: LostRowsError("a process ended")}), SilentTally()
    (batch,) = make_batches(lines.files, lines, tally, MANY)
    assert [item.error for item in batch] == [None, None]
    assert lines.asked == ["00.tsv", "01.tsv", "01.tsv"]


def test_a_file_whose_rows_were_lost_is_read_again() -> None:
    lines = Lines([3])
    ((item,),) = make_batches(lines.files, lines, SilentTally(), MANY)
    before = item.read()
    item.read_again(LostRowsError("lost"))
    assert lines.asked == ["00.tsv"] * 2
    assert item.read() is not before
    assert list(item.read()) == list(before)


def test_a_file_that_the_database_refuses_leaves_the_batch_without_a_trace(database: str, tmp_path: Path) -> None:
    lake = {f"{name}.tsv": events(5, 10, name).replace(b"\tu1\t", b"\tu%s\t" % name.encode()) for name in "abcd"}
    write_lake(tmp_path, {"a.tsv": lake["a.tsv"]})
    ingest_folder(tmp_path, database, Plan())
    execute(database, "alter table state.file_user_days add constraint no_c check (user_id <> 'uc')")
    write_lake(tmp_path, lake | {"bad.tsv": b"no header\n"})
    tally, errors = ingest_folder(tmp_path, database, Plan())
    assert sorted(errors) == ["bad.tsv", "c.tsv"]
    assert "no_c" in errors["c.tsv"]
    assert (tally.files_counted, tally.files_unchanged, tally.files_failed) == (2, 1, 2)
    execute(database, "alter table state.file_user_days drop constraint no_c")
    model = Model()
    model.counting = {key: data for key, data in lake.items() if key != "c.tsv"}
    model.compare(database)
    ingest_folder(tmp_path, database, Plan())
    model.check(database, lake | {"bad.tsv": b"no header\n"})


class RecordingDatabase(Database):
    """A database that records the names of the statements that it executes."""

    def __init__(self, url: str) -> None:
        super().__init__(url, wait_seconds=5)
        self.names: list[str] = []

    def execute(self, cur: cursor, name: str, **parameters: object) -> None:
        self.names.append(name)
        super().execute(cur, name, **parameters)


def test_files_with_unchanged_content_leave_the_batch_before_anything_is_written(database: str, tmp_path: Path) -> None:
    lake = {f"{n}.tsv": events(n, 10, "title") for n in range(3)}
    write_lake(tmp_path, lake)
    ingest_folder(tmp_path, database, Plan())
    before = execute(database, "select file_id, key from state.lake_files order by key")
    for key in lake:
        (tmp_path / key).touch()
    with RecordingDatabase(database) as db, begin_run(db, str(tmp_path), relocated=True) as run:
        tally = SilentTally()
        pipeline.run(open_lake(str(tmp_path)), Store(run), Plan(), tally)
    assert (tally.files_counted, tally.files_unchanged) == (0, 3)
    assert db.names.count("record_same") == 3
    assert not {"retract", "change_article_days", "record_files"} & set(db.names)
    assert execute(database, "select file_id, key from state.lake_files order by key") == before


def test_a_transaction_that_fails_each_time_is_given_up(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tried, waited, said = list[str](), list[float](), list[str]()

    def attempt() -> None:
        tried.append("x")
        raise psycopg2.OperationalError("unreachable")

    monkeypatch.setattr(time, "sleep", waited.append)
    with pytest.raises(DatabaseError, match="the database refused: unreachable; run again later"):
        Database(database, warn=said.append).retry(attempt)
    assert (len(tried), len(waited)) == (5, 4)
    assert said == ["the transaction failed (unreachable); trying again"] * 4


def test_waiting_for_a_database_is_reported_at_once(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    connect, tried, said = psycopg2.connect, list[str](), list[str]()
    refused = 'connection to server at "x" failed: Connection refused'

    def second(**parameters: str) -> object:
        tried.append("x")
        if len(tried) == 1:
            raise psycopg2.OperationalError(refused)
        return connect(**parameters)  # type: ignore[call-overload]

    monkeypatch.setattr(psycopg2, "connect", second)
    with Database(database, wait_seconds=60, warn=said.append):
        pass
    assert said == [f"waiting for the database, 60 s at most ({refused})"]


def test_a_store_knows_its_database(database: str) -> None:
    said, before = list[str](), list[str]()
    with Database(database, warn=before.append) as db, begin_run(db, "/lake") as run:
        store = Store(run)
        with store.redirect_warnings(said.append):
            db.warn("x")
        db.warn("y")
        assert (store.connections, said, before) == (1, ["x"], ["y"])


class InParts(InProcessReducer):
    """Reduces each 500 bytes of a file to a partial of its own."""

    def results(self, file: LakeFile) -> Iterator[ReducedPartial]:
        for byte_range in cut_into_byte_ranges(file, 500):
            yield from reduce_byte_range(self._lake, byte_range, 500)


def read_parts(folder: Path, key: str) -> FileReading:
    """Begin to read a file in several partials."""
    lake = open_lake(str(folder))
    file = lake.find(key)
    assert file is not None
    return FileReading(file, InParts(lake, [file]).results(file), SilentTally())


def test_one_transaction_takes_any_number_of_batches(database: str, tmp_path: Path) -> None:
    lake = {f"{n}.tsv": events(n, 20, f"title {n}") + b"bad\n" * n for n in range(3)}
    write_lake(tmp_path, lake)
    with Database(database) as db, begin_run(db, str(tmp_path), relocated=True) as run, run.transaction() as cur:
        writer = BatchWriter(run, cur)
        assert all(writer.write([read_parts(tmp_path, "0.tsv")], None))
        assert all(writer.write([read_parts(tmp_path, "1.tsv")], None))
        retracted = [writer.find(["0.tsv"])["0.tsv"].file_id]
        writer.retract(retracted)
        assert writer.write([read_parts(tmp_path, "1.tsv")], None) == [None]
        assert all(writer.write([read_parts(tmp_path, "2.tsv")], None))
        db.execute(cur, "forget_files", file_ids=retracted)
    model = Model()
    model.counting = {key: lake[key] for key in ("1.tsv", "2.tsv")}
    model.compare(database)


class RowsElsewhere:
    """Rows that are not in memory, and that may be lost before they are written."""

    tables, count, size = None, 1, 0

    def __init__(self, rows: Rows, is_lost: bool) -> None:
        self._rows, self._is_lost = rows, is_lost

    def write(self, db: Transactions, cur: cursor, file_id: int) -> None:
        if self._is_lost:
            raise LostRowsError("rows were lost")
        self._rows.write(db, cur, file_id)


def test_a_file_that_is_too_large_when_it_is_read_again_leaves_the_batch_whose_rows_were_lost(
    database: str, tmp_path: Path
) -> None:
    asked = set[str]()

    class LosesOne(InParts):
        """Holds rows elsewhere the first time, and loses those of "c.tsv"."""

        def results(self, file: LakeFile) -> Iterator[ReducedPartial]:
            is_first = file.key not in asked
            asked.add(file.key)
            for result in super().results(file):
                rows = RowsElsewhere(result.rows, is_lost=file.key == "c.tsv")
                yield result._replace(rows=rows) if is_first else result

    lake = {"b.tsv": events(1, 200, "b")}
    write_lake(tmp_path, lake)
    ingest_folder(tmp_path, database, PLAN)
    lake |= {"a.tsv": events(2, 20, "a"), "c.tsv": events(3, 20, "c")}
    write_lake(tmp_path, lake)
    (tmp_path / "b.tsv").touch()
    plan = Plan(open_reducer=LosesOne, limits=MANY._replace(rows=150))
    tally, errors = ingest_folder(tmp_path, database, plan)
    assert (tally.files_counted, tally.files_unchanged, errors) == (2, 1, {})
    Model().check(database, lake)


def test_a_batch_is_one_transaction(database: str, tmp_path: Path) -> None:
    write_lake(tmp_path, {f"{n}.tsv": events(n, 10, "title") for n in range(3)})
    ingest_folder(tmp_path, database, Plan(limits=MANY))
    assert execute(database, "select count(distinct commit_id), count(*) from state.lake_files") == [(1, 3)]


def test_the_latest_text_of_a_file_in_several_partials_is_shown(database: str, tmp_path: Path) -> None:
    lines = []
    for second in (5, 1, 9, 3):
        texts = {"id": "a", "title": f"t{second}", "category": f"c{10 - second}"}
        lines.append(f"2019-02-15 00:00:0{second}\ts\tarticle_viewed\tu\t{json.dumps(texts)}\n")
    lake = {"a.tsv": HEADER + "".join(lines).encode()}
    write_lake(tmp_path, lake)
    ingest_folder(tmp_path, database, Plan(open_reducer=local_reducer(workers=2, chunk_bytes=100)))
    assert execute(database, "select title, category from article_performance") == [("t9", "c1")]
    Model().check(database, lake)


NAMES = ["a", "a\tb", "a\nb", "a\rb", "a\\b", "\\N", "\\.", "\u2028"]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_copied_as_it_is(database: str, tmp_path: Path, name: str) -> None:
    partial = Partial(
        article_days={(name, 17942): Counts(1, 2), (name, 17943): Counts(3, 4)},
        user_days={(name, -1): Counts(5, 6)},
        sessions={(name, f"{name}s"): Span(7, 8, 9)},
        titles={name: Text(17942 * DAY_MICROSECONDS, f"{name}t")},
        categories={name: Text(17944 * DAY_MICROSECONDS - 1, f"{name}c")},
        rejections={(0, 1): Rejection("columns", b"\\x\t\0")},
    )
    write_lake(tmp_path, {})
    ingest_folder(tmp_path, database, Plan())
    with Database(database) as db, db.transaction() as cur:
        db.execute(cur, "create_new", made_by="tests")
        for table, rows in make_copy_rows(partial, "UTC").items():
            cur.copy_expert(db.statements[f"copy_new_{table}"], BytesIO(b"".join(add_file_id(rows, 3))))
        found = {}
        for table in ("article_days", "user_days", "sessions", "rejected_lines"):
            cur.execute(f"select * from pg_temp.new_{table} order by 3")
            found[table] = cur.fetchall()
    one, two = date(2019, 2, 15), date(2019, 2, 16)
    assert found["article_days"] == [
        (3, name, one, 1, 2, 17942 * DAY_MICROSECONDS, None, f"{name}t", None),
        (3, name, two, 3, 4, None, 17944 * DAY_MICROSECONDS - 1, None, f"{name}c"),
    ]
    assert found["user_days"] == [(3, name, date(1969, 12, 31), 5, 6)]
    assert found["sessions"] == [(3, name, f"{name}s", 4 * 7 + 1, 8, 9)]
    assert [(*row[:4], bytes(row[4])) for row in found["rejected_lines"]] == [(3, 0, 1, "columns", b"\\x\t\0")]
    assert make_copy_rows(Partial(), "UTC") == {}


@pytest.mark.parametrize("shown", ["title", "category"])
def test_the_text_before_the_latest_is_found_behind_later_rows_without_one(
    database: str, tmp_path: Path, shown: str
) -> None:
    other = "category" if shown == "title" else "title"

    def file(second: int, **texts: str) -> bytes:
        return (
            HEADER + f"2019-02-15 00:00:0{second}\ts\tarticle_viewed\tu\t{json.dumps({'id': 'a'} | texts)}\n".encode()
        )

    lake = {
        "a.tsv": file(1, **{shown: "first"}),
        "b.tsv": file(2, **{shown: "second"}),
        "c.tsv": file(3, **{other: "later"}),
        "d.tsv": file(4),
    }
    write_lake(tmp_path, lake)
    ingest_folder(tmp_path, database, Plan())
    lake["b.tsv"] = file(2)
    write_lake(tmp_path, lake)
    ingest_folder(tmp_path, database, Plan())
    assert execute(database, f"select {shown}, {other} from article_performance") == [("first", "later")]
    Model().check(database, lake)


BALLAST = """
insert into state.articles (article_id, clicks, last_date)
select repeat('x', 800) || n, 0, '2019-02-15' from generate_series(1, 3000) as n;
insert into state.file_sessions (first_at, last_at, file_id, events, user_id, session_id)
select 4 * n + 1, n, 0, 1, repeat('x', 800), n from generate_series(1, 3000) as n
"""


@pytest.mark.parametrize(("ballast", "way"), [("select", "join_sessions"), (BALLAST, "look_up_sessions")])
def test_a_batch_is_joined_with_small_tables_and_looked_up_in_large_ones(
    database: str, tmp_path: Path, ballast: str, way: str
) -> None:
    lake = {f"{n}.tsv": events(n, 40, f"t{n}") for n in range(4)}
    write_lake(tmp_path, {"0.tsv": lake["0.tsv"]})
    ingest_folder(tmp_path, database, Plan())
    execute(database, ballast)
    write_lake(tmp_path, lake)
    with RecordingDatabase(database) as db, begin_run(db, str(tmp_path), relocated=True) as run:
        tally = SilentTally()
        pipeline.run(open_lake(str(tmp_path)), Store(run), Plan(), tally)
        assert not tally.errors
    assert {"join_sessions", "look_up_sessions"} & set(db.names) == {way}
    Model().check(database, lake)


def test_rejected_lines_of_many_files_keep_their_numbers(database: str, tmp_path: Path) -> None:
    lake = {f"{n}.tsv": HEADER + b"bad\n" * n + events(n, 30, "t").split(b"\n", 1)[1] + b"bad\n" for n in range(4)}
    write_lake(tmp_path, lake)
    ingest_folder(tmp_path, database, Plan(limits=MANY, open_reducer=local_reducer(chunk_bytes=700)))
    Model().check(database, lake)


def test_the_text_of_a_compressed_file_is_guessed() -> None:
    seen: list[LakeFile] = []

    class Asked(InProcessReducer):
        def results(self, file: LakeFile) -> Iterator[ReducedPartial]:
            seen.append(file)
            raise FileError("never mind")

    files = [LakeFile("a.tsv.gz", "1-1", 100), LakeFile("b.tsv", "1-1", 100)]
    reducer = Asked(open_lake("."), [], 1000)
    assert [len(batch) for batch in make_batches(files, reducer, SilentTally(), MANY._replace(text_bytes=899))] == [
        1,
        1,
    ]
    assert [len(batch) for batch in make_batches(files, reducer, SilentTally(), MANY._replace(text_bytes=900))] == [2]
    assert len(seen) == 4
