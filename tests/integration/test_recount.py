"""Unchanged files that are ingested again, as if they had changed, and the damage that this repairs."""

import os
from pathlib import Path

import pytest

from processor import pipeline
from processor.batches import BatchLimits
from processor.lake.open_lake import open_lake
from processor.lake.selection import Selection
from processor.plan import Plan
from processor.reducers.fold import CHUNK_BYTES
from processor.verify import verify
from state.database import Database
from state.run import begin_run
from state.store import Store
from tests.support.database_queries import ask, execute
from tests.support.event_files import HEADER, events
from tests.support.histories import Crash, CrashingDatabase
from tests.support.ingest import SilentTally, ingest_folder, local_reducer
from tests.support.lake_folders import write_lake
from tests.support.tables import Model

BROKEN_LINE = b"bad\n"
FILES = {f"2019-02-{15 + n}.tsv": events(n, 60, f"title {n}") + BROKEN_LINE for n in range(4)}
ONE = Selection("2019-02-16", "2019-02-16")
RECOUNT = Plan(open_reducer=local_reducer(), selection=ONE, recounts=True)
THE_FILE = "(select file_id from state.lake_files where key = '2019-02-16.tsv')"
DAMAGE = {
    "nothing": "select",
    "fewer article-days": f"delete from state.file_article_days where file_id = {THE_FILE} and clicks > 0",
    "no row": "; ".join(
        f"delete from state.{table} where file_id = {THE_FILE}"
        for table in ("file_article_days", "file_user_days", "file_sessions", "file_rejected_lines")
    ),
    "other numbers": f"update state.file_article_days set displays = displays + 9, clicks = clicks + 8"
    f" where file_id = {THE_FILE}",
    "another day": f"update state.file_article_days set date = '2018-01-01' where file_id = {THE_FILE}",
    "another article": f"update state.file_article_days set article_id = 'x' where file_id = {THE_FILE}",
    "another title": f"update state.file_article_days set title = 'x', title_at = 1 + coalesce(title_at, 0),"
    f" category = 'y', category_at = 9000000000000000 where file_id = {THE_FILE}",
    "user-days twice": "insert into state.file_user_days"
    f" select * from state.file_user_days where file_id = {THE_FILE}",
    "another user": f"update state.file_user_days set user_id = 'x' where file_id = {THE_FILE}",
    "longer sessions": f"update state.file_sessions set last_at = last_at + 7 * 86400000000 where file_id = {THE_FILE}",
    "earlier sessions": f"update state.file_sessions set first_at = first_at - 28 * 86400000000"
    f" where file_id = {THE_FILE}",
    "other sessions": f"update state.file_sessions set session_id = session_id || 'x' where file_id = {THE_FILE}",
    "checkpoint": f"update state.lake_files set events = 0, lines = rejected, newest_at = 7 where file_id = {THE_FILE}",
    "rejected lines": f"update state.file_rejected_lines set reason = 'x', line_number = 9 where file_id = {THE_FILE}",
    "article rows": "update article_performance set clicks = clicks + 1, cumulative_clicks = 7",
    "no article rows": "delete from article_performance; delete from state.articles",
    "user rows": "update user_performance set sessions = sessions + 1, displays = 0",
}


@pytest.fixture
def counted(database: str, tmp_path: Path) -> str:
    """A database into which the files were ingested."""
    write_lake(tmp_path, FILES)
    ingest_folder(tmp_path, database, Plan())
    return database


def file_ids(url: str) -> dict[object, object]:
    return dict(ask(url, "select key, file_id from state.lake_files"))  # type: ignore[arg-type]


def differences(folder: Path, url: str) -> list[object]:
    lake = open_lake(str(folder))
    with Database(url, wait_seconds=5) as db, begin_run(db, lake.url) as run:
        return list(verify(lake, Store(run), Plan(), SilentTally()))


@pytest.mark.parametrize("chunk_bytes", [500, CHUNK_BYTES])
@pytest.mark.parametrize("rows", [1, 200_000])
def test_the_files_of_the_range_are_written_once_and_no_others(
    counted: str, tmp_path: Path, chunk_bytes: int, rows: int
) -> None:
    before = file_ids(counted)
    plan = Plan(
        open_reducer=local_reducer(1, chunk_bytes),
        limits=BatchLimits(rows=rows),
        selection=Selection("2019-02-16"),
        recounts=True,
    )
    tally, errors = ingest_folder(tmp_path, counted, plan)
    assert (errors, tally.files_counted, tally.files_unchanged, tally.events) == ({}, 3, 0, 180)
    after = file_ids(counted)
    assert {key for key in before if before[key] != after[key]} == FILES.keys() - {"2019-02-15.tsv"}
    Model().check(counted, FILES)
    tally, _ = ingest_folder(tmp_path, counted, Plan())
    assert (tally.files_counted, tally.files_unchanged) == (0, 4)


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_rows_of_a_file_are_repaired(counted: str, tmp_path: Path, damage: str) -> None:
    execute(counted, DAMAGE[damage])
    assert bool(differences(tmp_path, counted)) == (damage != "nothing")
    tally, errors = ingest_folder(tmp_path, counted, RECOUNT)
    assert (errors, tally.files_counted) == ({}, 1)
    if not damage.endswith("rows"):  # those of other files' articles and users are damaged as well
        Model().check(counted, FILES)
        assert not differences(tmp_path, counted)
    ingest_folder(tmp_path, counted, Plan(selection=Selection("2019"), recounts=True))
    Model().check(counted, FILES)
    assert not differences(tmp_path, counted)


def test_new_changed_and_broken_files_of_the_range_are_ingested_as_always(counted: str, tmp_path: Path) -> None:
    model = Model()
    model.check(counted, FILES)
    lake = FILES | {
        "2019-02-16.tsv": HEADER,
        "2019-02-17.tsv": b"broken\n",
        "2019-02-19.tsv": events(9, 20, "new"),
    }
    write_lake(tmp_path, lake)
    plan = Plan(selection=Selection("2019-02-16"), recounts=True, prunes=True)
    (tmp_path / "2019-02-15.tsv").unlink()  # outside
    tally, errors = ingest_folder(tmp_path, counted, plan)
    assert (tally.files_counted, tally.files_failed, tally.files_forgotten, list(errors)) == (
        3,
        1,
        0,
        ["2019-02-17.tsv"],
    )
    model.check(counted, lake)


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["program", "work", "lock"])
def test_a_recount_may_end_at_any_statement(counted: str, tmp_path: Path, victim: str) -> None:
    lake = open_lake(str(tmp_path))
    execute(counted, DAMAGE["other numbers"])
    number, has_ended = 0, True
    while has_ended:
        number, has_ended = number + 1, False
        tally = SilentTally()
        db = CrashingDatabase(counted, number, victim)
        try:
            with db, begin_run(db, lake.url) as run:
                pipeline.run(lake, Store(run), RECOUNT, tally)
        except Crash:
            has_ended = True
        has_ended = db._left <= 0
        if victim != "program" or not has_ended:
            assert tally.files_counted == 1
            Model().check(counted, FILES)
        ingest_folder(tmp_path, counted, RECOUNT)
        Model().check(counted, FILES)
        execute(counted, DAMAGE["other numbers"])
    assert number > 30


def test_a_file_that_a_recount_cannot_read_is_tried_again_by_the_next_run(counted: str, tmp_path: Path) -> None:
    path = tmp_path / "2019-02-16.tsv"
    times, text = (path.stat().st_atime_ns, path.stat().st_mtime_ns), path.read_bytes()

    def run_after(data: bytes, plan: Plan) -> list[str]:
        path.write_bytes(data)
        os.utime(path, ns=times)
        tally = SilentTally()
        lake = open_lake(str(tmp_path))
        with Database(counted, wait_seconds=5) as db, begin_run(db, lake.url) as run:
            pipeline.run(lake, Store(run), plan, tally)
        return list(tally.errors)

    broken = b"x" * len(text)
    for plan in (RECOUNT, Plan()):
        assert len(run_after(broken, plan)) == 1
        assert ask(counted, "select key from state.lake_files where error is not null") == [("2019-02-16.tsv",)]
    assert run_after(text, Plan()) == []
    assert ask(counted, "select key from state.lake_files where error is not null") == []
    Model().check(counted, FILES)
