"""The program is killed, or loses its connection, at any point of a run; the tables still equal one pass."""

import itertools
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from processor import pipeline
from processor.lake.base import LakeFile, Stream
from processor.lake.folder import FolderLake
from state.database import Database
from state.run import begin_run
from state.schema import list_migrations
from state.store import Store
from tests.support import made_lake
from tests.support.database_queries import execute, holders
from tests.support.event_files import FIRST, LATER
from tests.support.ingest import PLAN, SilentTally, ingest_folder
from tests.support.lake_folders import contents, write_lake
from tests.support.older_schemas import OLDER, make_older, older_lake
from tests.support.oracle import expected
from tests.support.paths import ROOT
from tests.support.postgres import copy_of
from tests.support.program_runs import run
from tests.support.proxies import Cut, PostgresProxy
from tests.support.restatements import check_restatements, last_run
from tests.support.tables import Model, tables
from tests.support.waiting import wait_until


@pytest.fixture
def counted(database: str, tmp_path: Path) -> str:
    """The URI of a database that has ingested the first lake, which was then replaced by the later one."""
    write_lake(tmp_path, FIRST)
    ingest_folder(tmp_path, database, PLAN)
    write_lake(tmp_path, LATER)
    return database


def check_whole_files(url: str) -> dict[str, bytes]:
    """Fail unless the tables equal one pass over those versions of the files that the checkpoint names; return them."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cur:
        cur.execute("select to_regclass('state.lake_files') is not null")
        if cur.fetchone() == (False,):
            return {}
        cur.execute("select key, size from state.lake_files where fingerprint is not null")
        versions: Mapping[tuple[str, int], bytes] = {
            (key, len(data)): data for lake in (FIRST, LATER) for key, data in lake.items()
        }
        counting = {key: versions[key, size] for key, size in cur.fetchall()}
    found, wanted = tables(url), expected(counting)
    assert found[:3] == wanted[:3]
    return counting


def check_next_run(folder: Path, url: str, lake: Mapping[str, bytes] = LATER) -> None:
    """Fail unless a run makes the tables equal one pass over the lake, once the server noticed the last run's end."""
    wait_until(lambda: not holders(url))
    ingest_folder(folder, url, PLAN)
    Model().check(url, lake)


def ingest(folder: Path, url: str) -> None:
    """Ingest the folder."""
    ingest_folder(folder, url, PLAN)


def forget_user(folder: Path, url: str) -> None:
    """Forget the user `u1`."""
    with Database(url, wait_seconds=5) as db, begin_run(db, str(folder), command="forget") as this_run:
        Store(this_run).forget_users(["u1"])


def child(work: Callable[[Path, str], None], folder: Path, url: str) -> int:
    """Return the process id of a child that does the work, prints nothing, and ends with 0."""
    pid = os.fork()
    if pid:
        return pid
    try:
        work(folder, url)
    finally:
        os._exit(0)


def ended_at(number: int, folder: Path, url: str, work: Callable[[Path, str], None] = ingest) -> bool:
    """Return whether a child that works on the folder reached that statement, at which it is killed."""
    pids: list[int] = []

    def fault(statement: int, _: bytes) -> Cut | None:
        if statement != number:
            return None
        while not pids:
            time.sleep(0.001)
        os.kill(pids[0], signal.SIGKILL)
        return "before"

    with closing(PostgresProxy(url, fault)) as proxy:
        pids.append(child(work, folder, proxy.url))
        return os.WIFSIGNALED(os.waitpid(pids[0], 0)[1])


@pytest.mark.slow
def test_the_process_ends_at_any_statement_of_a_first_run(database: str, tmp_path: Path) -> None:
    write_lake(tmp_path, LATER)
    number = 1
    while number < 50:
        with copy_of(database) as url:
            assert ended_at(number, tmp_path, url)
            check_whole_files(url)
            check_next_run(tmp_path, url)
        number += 1


@pytest.mark.slow
def test_the_process_ends_at_any_statement_of_a_later_run(counted: str, tmp_path: Path) -> None:
    """Both the run that ended and the next one record what they restated."""
    number, ended = 0, True
    while ended:
        number += 1
        with copy_of(counted) as url:
            run_before, before = last_run(url), check_whole_files(url)
            ended = ended_at(number, tmp_path, url)
            left = check_whole_files(url)
            check_restatements(url, run_before, before, left)
            run_before = last_run(url)
            check_next_run(tmp_path, url)
            check_restatements(url, run_before, left, check_whole_files(url))
    assert number > 80


@pytest.mark.slow
def test_the_process_ends_at_any_statement_that_forgets_a_user(counted: str, tmp_path: Path) -> None:
    number, ended, forgotten = 0, True, set[bool]()
    while ended:
        number += 1
        with copy_of(counted) as url:
            ended = ended_at(number, tmp_path, url, forget_user)
            model = Model()
            model.counting = dict(FIRST)
            is_forgotten = execute(url, "select exists (select from state.forgotten_users)") == [(True,)]
            model.forgotten = {"u1"} if is_forgotten else set()
            model.compare(url)
            forgotten.add(is_forgotten)
            wait_until(lambda url=url: not holders(url))  # type: ignore[misc]
            forget_user(tmp_path, url)
            model.forgotten = {"u1"}
            model.compare(url)
            ingest_folder(tmp_path, url, PLAN)
            model.check(url, LATER)
    assert number > 40
    assert forgotten == {False, True}


@pytest.mark.slow
@pytest.mark.parametrize("cut", ["before", "after"])
def test_the_connection_is_cut_at_any_statement(counted: str, tmp_path: Path, cut: Cut) -> None:
    """A run continues by itself; if the connection is cut `after` a COMMIT, its outcome is unknown to the run."""
    number, seen = 0, set()
    while True:
        number += 1

        def fault(statement: int, text: bytes, number: int = number) -> Cut | None:
            seen.add(text.rstrip(b"\0"))
            return cut if statement == number else None

        with copy_of(counted) as url, closing(PostgresProxy(url, fault)) as proxy:
            tally, errors = ingest_folder(tmp_path, proxy.url, PLAN)
            assert list(errors) == ["broken.tsv"]
            # A commit that took place is noticed: the file is counted and reported once. A file that cannot be read is
            # tried and reported once.
            assert (tally.files_counted, tally.files_unchanged, tally.files_failed) == (2, 2, 1)
            Model().check(url, LATER)
        if proxy.statements < number:
            break
    assert number > 80
    assert b"COMMIT" in seen


@pytest.mark.slow
@pytest.mark.parametrize(("step", "ending"), [(0, "cut"), (1, "killed"), (1, "cut")])
def test_a_run_ends_at_any_statement_that_makes_the_schema_or_brings_it_up(
    database: str, tmp_path: Path, step: int, ending: str
) -> None:
    """The process is killed before the statement, or the connection is cut after it; an older database has data."""
    lake = older_lake(tmp_path)
    make_older(database, step)
    if step:
        execute(database, (OLDER / f"{step:04}.sql").read_text(encoding="utf-8"))
    number, made = 0, False
    while not made:
        number += 1

        def fault(statement: int, text: bytes, number: int = number) -> Cut | None:
            nonlocal made
            if statement != number:
                return None
            made = text.startswith(b"select run_id from state.lake")
            return "after"

        with copy_of(database) as url:
            if ending == "killed":
                assert ended_at(number, tmp_path, url)
                made = execute(url, "select max(step) from state.steps") == [(max(list_migrations()),)]
                check_next_run(tmp_path, url, lake)
            else:
                with closing(PostgresProxy(url, fault)) as proxy:
                    ingest_folder(tmp_path, proxy.url, PLAN)
                Model().check(url, lake)
            assert execute(url, "select step from state.steps order by step") == [(it,) for it in list_migrations()]
    assert number > (30 if step else 15)


class EndingLake(FolderLake):
    """A lake whose nth read kills the process."""

    def __init__(self, folder: Path, number: int) -> None:
        """Open the lake in a folder."""
        super().__init__(str(folder))
        self._left = number

    def open(self, file: LakeFile, start: int = 0, stop: int | None = None) -> Stream:
        """Open a stream whose reads may end the process."""
        stream: Any = super().open(file, start, stop)
        read = stream.read

        def ending(size: int = -1) -> bytes:
            self._left -= 1
            if not self._left:
                os._exit(9)
            return bytes(read(min(size, 700)))

        stream.read = ending
        return stream  # type: ignore[no-any-return]


def test_the_process_ends_at_any_read_of_the_lake(counted: str, tmp_path: Path) -> None:
    number, code = 0, 9
    while code == 9:
        number += 1
        with copy_of(counted) as url:
            pid = os.fork()
            if not pid:
                try:
                    lake = EndingLake(tmp_path, number)
                    with Database(url, wait_seconds=5) as db, begin_run(db, lake.url) as this_run:
                        pipeline.run(lake, Store(this_run), PLAN, SilentTally())
                finally:
                    os._exit(0)
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            check_whole_files(url)
            check_next_run(tmp_path, url)
    assert number > 8


@pytest.mark.slow
def test_runs_are_killed_at_random_moments(database: str, tmp_path: Path) -> None:
    draw, lake, model = random.Random(4), tmp_path / "lake", Model()
    environment = {**os.environ, "LAKE_URL": str(lake), "DATABASE_URL": database}
    longest, killed = 1.5, 0
    for turn in itertools.count():
        if turn % 5 == 0:
            made_lake.write(lake, days=4, lines=1500 + 100 * turn, seed=turn)
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "run.py")],
            cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        with suppress(subprocess.TimeoutExpired):
            process.wait(draw.uniform(0.1, longest))
        process.kill()
        if process.wait() == -signal.SIGKILL:
            killed += 1
        else:  # the machine is faster than expected
            longest = max(0.2, 0.8 * longest)
        if turn % 5 == 4:
            wait_until(lambda: not holders(database))  # the server may notice only now that the run was killed
            assert run(lake=lake, database=database).returncode == 0
            model.check(database, contents(lake))
            if killed >= 10:
                break
