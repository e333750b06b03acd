"""Whatever happened before, both tables equal one pass over the present files."""

import os
import threading
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from psycopg2 import sql
from psycopg2.extensions import cursor

from processor import batches
from processor.lake.open_lake import open_lake
from processor.plan import Plan, PruneError
from processor.rebuild import rebuild as rebuild_lake
from processor.run_tally import RunTally
from state.database import Database
from state.errors import DatabaseError
from state.files import FileVersion
from state.run import begin_run
from state.store import Store
from tests.support.histories import Histories, end_connection
from tests.support.ingest import SilentTally, ingest_folder, local_reducer
from tests.support.oracle import REQUIRED
from tests.support.postgres import as_role
from tests.support.tables import Model, tables

COUNTED = (
    "article_performance",
    "user_performance",
    "state.articles",
    "state.file_rejected_lines",
    *(f"state.file_{name}" for name in ("article_days", "user_days", "sessions")),
)


@pytest.mark.parametrize("histories", [15, pytest.param(85, marks=pytest.mark.slow)])
def test_any_history_gives_one_pass_over_the_present_files(database: str, histories: int) -> None:
    with Database(database):
        pass  # this makes the schema

    class TheseHistories(Histories):
        url = database

    run_state_machine_as_test(TheseHistories, settings=settings(max_examples=histories, stateful_step_count=12))


def text(*events: tuple[str, str, str, str]) -> bytes:
    """Return a file of events: (time, session, user, article)."""
    lines = ["\t".join(REQUIRED)]
    lines += [f'{time}\t{session}\tarticle_viewed\t{user}\t{{"id":"{it}"}}' for time, session, user, it in events]
    return "\n".join(lines).encode()


ONE = text(("2019-02-15 23:59:59", "s", "u", "a"), ("2019-02-15 12:00:00", "t", "u", "b"))
TWO = text(("2019-02-16 00:00:01", "s", "u", "a"), ("2019-02-16 12:00:00", "t", "v", "c"))
BROKEN = b"no header\n"


class Lake:
    """A folder of files, in which every write gets another modification time."""

    def __init__(self, folder: Path, **files: bytes) -> None:
        self.folder, self.time = folder, 1_550_000_000
        self.files: dict[str, bytes] = {}
        for name, data in files.items():
            self.put(name, data)

    def put(self, name: str, data: bytes, time: int | None = None) -> None:
        self.time += 1
        path = self.folder / f"{name}.tsv"
        path.write_bytes(data)
        os.utime(path, (time or self.time, time or self.time))
        self.files[path.name] = data

    def remove(self, name: str) -> None:
        (self.folder / f"{name}.tsv").unlink()
        del self.files[f"{name}.tsv"]


def rebuild(lake: Lake, url: str, plan: Plan, listener: SilentTally | None = None) -> RunTally:
    place, tally = open_lake(str(lake.folder)), listener or SilentTally()
    with Database(url, wait_seconds=5) as db, begin_run(db, place.url) as run:
        rebuild_lake(place, Store(run), plan, tally)
    return tally


def rows_as_stored(url: str) -> list[list[tuple[object, ...]]]:
    """Return every row with its place on disk and its transaction, which show any write."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cur:
        found = []
        for table in COUNTED:
            name = sql.Identifier(*table.split("."))
            cur.execute(sql.SQL("select ctid, xmin, t.* from {} as t order by ctid").format(name))
            found.append(cur.fetchall())
    return found


def test_the_same_bytes_again_write_no_row(database: str, tmp_path: Path) -> None:
    lake = Lake(tmp_path, one=ONE, two=TWO)
    ingest_folder(tmp_path, database, Plan())
    before = rows_as_stored(database)
    lake.put("one", ONE)
    tally, _ = ingest_folder(tmp_path, database, Plan())
    assert (tally.files_counted, tally.files_unchanged) == (0, 2)
    assert rows_as_stored(database) == before
    model = Model()
    model.check(database, lake.files)
    lake.put("two", ONE)
    ingest_folder(tmp_path, database, Plan())
    assert rows_as_stored(database) != before
    model.check(database, lake.files)


@pytest.mark.parametrize("rebuilds", [False, True])
def test_the_error_of_a_changed_file_is_cleared_when_it_is_missing(
    database: str, tmp_path: Path, rebuilds: bool
) -> None:
    lake, model = Lake(tmp_path, one=ONE, two=TWO, never=BROKEN), Model()
    ingest_folder(tmp_path, database, Plan())
    model.check(database, lake.files)
    lake.put("one", BROKEN)
    ingest_folder(tmp_path, database, Plan())
    assert model.check(database, lake.files).failed == {"one.tsv", "never.tsv"}
    lake.remove("one")
    lake.remove("never")
    if rebuilds:
        rebuild(lake, database, Plan())
    else:
        ingest_folder(tmp_path, database, Plan())
    found = model.check(database, lake.files)
    assert not found.failed
    assert found.counting.keys() == {"one.tsv", "two.tsv"}


def test_the_error_of_a_changed_file_is_cleared_when_the_old_version_is_back(database: str, tmp_path: Path) -> None:
    lake, model = Lake(tmp_path), Model()
    lake.put("one", ONE, time=1)
    ingest_folder(tmp_path, database, Plan())
    lake.put("one", BROKEN, time=2)
    model.counting = {"one.tsv": ONE}
    ingest_folder(tmp_path, database, Plan())
    assert model.check(database, lake.files).failed == {"one.tsv"}
    lake.put("one", ONE, time=1)
    tally, _ = ingest_folder(tmp_path, database, Plan())
    assert (tally.files_unchanged, model.check(database, lake.files).failed) == (1, set())


@pytest.mark.parametrize("rebuilds", [False, True])
def test_pruning_is_refused_if_more_than_half_are_missing(database: str, tmp_path: Path, rebuilds: bool) -> None:
    def run(plan: Plan) -> RunTally:
        return rebuild(lake, database, plan) if rebuilds else ingest_folder(tmp_path, database, plan)[0]

    lake, model = Lake(tmp_path, a=ONE, b=TWO, c=ONE, d=TWO), Model()
    ingest_folder(tmp_path, database, Plan())
    model.check(database, lake.files)
    for name in "abc":
        lake.remove(name)
    with pytest.raises(PruneError, match="3 of 4 counted files are missing"):
        run(Plan(prunes=True))
    model.check(database, lake.files)
    lake.put("a", ONE)
    assert run(Plan(prunes=True)).files_forgotten == 2
    model.check(database, lake.files, pruned=True)
    for name in "ad":
        lake.remove(name)
    with pytest.raises(PruneError, match="empty"):
        run(Plan(prunes=True))
    model.check(database, lake.files)
    assert run(Plan(prunes=True, prunes_all=True)).files_forgotten == 2
    assert not model.check(database, lake.files, pruned=True).user_performance


def test_a_refused_pruning_is_refused_again(database: str, tmp_path: Path) -> None:
    lake, model = Lake(tmp_path, a=ONE, b=TWO, c=ONE), Model()
    ingest_folder(tmp_path, database, Plan())
    model.check(database, lake.files)
    for name in "abc":
        lake.remove(name)
    lake.put("d", TWO)
    for _ in range(2):
        with pytest.raises(PruneError, match="3 of 4 counted files are missing"):
            ingest_folder(tmp_path, database, Plan(prunes=True))
        model.check(database, lake.files)


def test_a_forgotten_file_is_ingested_again_if_it_is_present(database: str, tmp_path: Path) -> None:
    lake, model = Lake(tmp_path, one=ONE, two=TWO), Model()
    ingest_folder(tmp_path, database, Plan())
    with Database(database) as db, begin_run(db, str(tmp_path)) as run:
        assert Store(run).forget("one.tsv")
        assert not Store(run).forget("one.tsv")
    model.counting = {"two.tsv": TWO}
    model.compare(database)
    assert ingest_folder(tmp_path, database, Plan())[0].files_counted == 1
    model.check(database, lake.files)


class Onlooker(SilentTally):
    """A tally that queries the database on a connection of its own after each file."""

    def __init__(self, url: str, query: str) -> None:
        super().__init__()
        self.seen: list[object] = []
        self._url, self._query = url, query

    def ingested(self, version: FileVersion) -> None:
        super().ingested(version)
        with closing(psycopg2.connect(self._url)) as connection, connection.cursor() as cur:
            cur.execute(self._query)
            self.seen.append(cur.fetchall())


def test_readers_keep_the_old_tables_until_a_rebuild_is_done(database: str, tmp_path: Path) -> None:
    lake = Lake(tmp_path, one=ONE)
    ingest_folder(tmp_path, database, Plan())
    lake.put("one", TWO)
    lake.put("two", ONE)
    query = "select user_id, date, clicks from user_performance order by 1, 2"
    onlooker = Onlooker(database, query)
    rebuild(lake, database, Plan(), onlooker)
    assert onlooker.seen[0] == onlooker.seen[1]
    with closing(psycopg2.connect(database)) as connection, connection.cursor() as cur:
        cur.execute(query)
        assert cur.fetchall() != onlooker.seen[0]
    Model().check(database, lake.files)


@pytest.mark.parametrize("name", ["article_performance", "category_performance", "freshness", "state.file_sessions"])
def test_a_transaction_that_began_before_a_rebuild_ended_sees_all_old_tables(
    database: str, tmp_path: Path, name: str
) -> None:
    """A backup is such a transaction."""
    lake = Lake(tmp_path, one=ONE, two=TWO)
    ingest_folder(tmp_path, database, Plan())
    query = sql.SQL("select to_jsonb(t) - 'age' from {} as t order by 1").format(sql.Identifier(*name.split(".")))
    with closing(psycopg2.connect(database)) as reader, reader.cursor() as cur:
        cur.execute(query)
        before = cur.fetchall()
        reader.rollback()
        reader.set_session(isolation_level="REPEATABLE READ")
        cur.execute("select 1")
        lake.put("one", TWO)
        rebuild(lake, database, Plan())
        cur.execute(query)
        assert cur.fetchall() == before
    Model().check(database, lake.files)


class Uncommitted(Database):
    """A database whose connection ends after the last statement of a rebuild, before its COMMIT."""

    def __init__(self, url: str, wait_seconds: float) -> None:
        super().__init__(url, wait_seconds)
        self._url = url

    def execute(self, cur: cursor, name: str, **parameters: object) -> None:
        super().execute(cur, name, **parameters)
        if name == "apply_comparison_tables":
            end_connection(as_role("postgres", self._url), cur.connection.info.backend_pid)


def test_a_rebuild_that_does_not_commit_changes_nothing_for_the_next_run(database: str, tmp_path: Path) -> None:
    lake = Lake(tmp_path, **dict.fromkeys("abcd", ONE))
    ingest_folder(tmp_path, database, Plan())
    for name in "abcd":
        lake.remove(name)
    lake.put("e", ONE)
    ingest_folder(tmp_path, database, Plan(prunes=True, prunes_all=True))
    with (
        Uncommitted(database, wait_seconds=5) as db,
        begin_run(db, str(tmp_path), relocated=True) as run,
        pytest.raises(DatabaseError),
    ):
        rebuild_lake(open_lake(str(tmp_path)), Store(run), Plan(), SilentTally())
    for name in "fghijk":
        lake.put(name, TWO)
    assert ingest_folder(tmp_path, database, Plan())[1] == {}
    Model().check(database, lake.files)


def test_sessions_of_thousands_of_years_add_up(database: str, tmp_path: Path) -> None:
    """The sum is more microseconds than a bigint holds, whether one file contributes it or many."""
    ends = ("0001-01-01 00:00:00", "9999-12-31 23:59:59")
    whole = [(end, f"s{i}", "u", "a") for i in range(40) for end in ends]
    lake = Lake(tmp_path, first=text(*whole[::2]), **{f"b{i}": text(it) for i, it in enumerate(whole[1::2])})
    lake.put("whole", text(*[(end, f"{session}'", user, it) for end, session, user, it in whole]))
    model = Model()
    assert ingest_folder(tmp_path, database, Plan())[1] == {}
    model.check(database, lake.files)
    lake.remove("first")
    lake.remove("whole")
    ingest_folder(tmp_path, database, Plan(prunes=True))
    model.check(database, lake.files, pruned=True)
    lake.put("first", text(*whole))
    rebuild(lake, database, Plan())
    model.check(database, lake.files)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_file_whose_many_rejected_lines_come_first_is_ingested(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setattr(batches, "MAX_REJECTED_LINES", 10)
    good = text(*[(f"2019-02-15 12:00:{i:02}", "s", "u", "a") for i in range(30)])
    header, events = good.split(b"\n", 1)
    lake = Lake(tmp_path, good=header + b"\n" + b"bad\n" * 30 + events, bad=header + b"\n" + b"bad\n" * 31 + events)
    tally, errors = ingest_folder(
        tmp_path, database, Plan(open_reducer=local_reducer(workers=workers, chunk_bytes=200))
    )
    assert (tally.files_counted, tally.rejected) == (1, 30)
    assert errors["bad.tsv"].startswith("31 of its 61 lines were rejected")
    model = Model()
    model.check(database, lake.files)
    rebuild(lake, database, Plan(open_reducer=local_reducer(workers=workers, chunk_bytes=200)))
    model.check(database, lake.files)


def test_a_rebuild_writes_no_correct_row_of_the_bi_tables(database: str, tmp_path: Path) -> None:
    lake = Lake(tmp_path, one=ONE, two=TWO)
    ingest_folder(tmp_path, database, Plan())
    before = rows_as_stored(database)
    rebuild(lake, database, Plan())
    assert rows_as_stored(database)[:2] == before[:2]


def test_ingesting_into_comparison_tables_takes_no_lock_for_each_file(database: str, tmp_path: Path) -> None:
    lake = Lake(tmp_path, a=ONE, b=TWO, c=ONE, d=TWO, e=ONE)
    onlooker = Onlooker(
        database,
        "select count(*) from pg_locks join pg_stat_activity using (pid)"
        " where datname = current_database() and application_name <> ''",  # not those of a reader that is ending
    )
    rebuild(lake, database, Plan(limits=batches.BatchLimits(rows=1)), onlooker)
    assert onlooker.seen[1:-1] == onlooker.seen[2:]


def test_readers_see_whole_files_only(database: str, tmp_path: Path) -> None:
    """File n holds 2 ** n clicks of its own users and sessions, so each sum shows which files are in it."""
    lake = Lake(tmp_path)
    files = 7
    for n in range(files):
        its = [(f"2019-02-15 12:00:{i % 60:02}", f"s{n}.{i}", f"u{n}.{i % 3}", f"a{i % 5}") for i in range(2**n)]
        lake.put(f"f{n}", text(*its))
    with Database(database):
        pass  # this makes the schema
    seen: set[tuple[int, ...]] = set()
    begun, done = threading.Event(), threading.Event()

    def poll() -> None:
        with closing(psycopg2.connect(database)) as connection:
            connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
            is_last = False
            while not is_last:
                is_last = done.is_set()  # reads once more when all files are counted
                with connection, connection.cursor() as cur:
                    sums = []
                    for query in (
                        "select coalesce(sum(clicks), 0) from article_performance",
                        "select coalesce(sum(clicks), 0) from user_performance",
                        "select coalesce(sum(sessions), 0) from user_performance",
                        "select coalesce(sum(2 ^ substr(key, 2, 1)::integer), 0)::bigint from state.lake_files",
                        "select coalesce(sum(clicks), 0) from state.file_article_days",
                    ):
                        cur.execute(query)
                        sums.append(int((cur.fetchone() or (-1,))[0]))
                    seen.add(tuple(sums))
                begun.set()

    reader = threading.Thread(target=poll)
    reader.start()
    try:
        assert begun.wait(60)
        ingest_folder(tmp_path, database, Plan(open_reducer=local_reducer(chunk_bytes=100)))
        for n in range(0, files, 2):
            lake.remove(f"f{n}")
        ingest_folder(
            tmp_path, database, Plan(prunes=True, prunes_all=True, open_reducer=local_reducer(chunk_bytes=100))
        )
    finally:
        done.set()
        reader.join()
    one_after_another = {2 ** (n + 1) - 1 for n in range(files)}
    then_pruned = {2**files - 1 - sum(2**m for m in range(0, n, 2)) for n in range(1, files + 2, 2)}
    assert {sums[0] for sums in seen} <= {0} | one_after_another | then_pruned
    assert all(len(set(sums)) == 1 for sums in seen)
    assert len(seen) > 1
    Model().check(database, lake.files)
    assert tables(database).user_performance
