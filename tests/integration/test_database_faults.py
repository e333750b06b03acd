"""The database fails in many ways: temporary errors are retried, lasting ones are reported, and nothing is lost."""

import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import psycopg2
import pytest
from psycopg2.errors import DeadlockDetected
from psycopg2.extensions import parse_dsn

from processor.batches import BatchLimits
from processor.lake.open_lake import open_lake
from processor.pipeline import run as run_pipeline
from processor.plan import Plan
from state.database import Database
from state.errors import DatabaseError
from state.files import FileVersion, Reading
from state.run import Run as RecordedRun
from state.run import begin_run
from state.store import Store
from tests.support.database_queries import ask, held, is_waiting
from tests.support.event_files import CLICK, HEADER, events
from tests.support.ingest import PLAN, SilentTally, ingest_folder, local_reducer
from tests.support.lake_folders import contents, write_lake
from tests.support.postgres import administrate, as_role, configure, new_database, new_server
from tests.support.program_runs import Run, run
from tests.support.proxies import Cut, PostgresProxy
from tests.support.servers import Server, inject
from tests.support.tables import Model
from tests.support.waiting import DEADLINE_SECONDS, wait_until

BAD = CLICK.replace(b"\tu1\t", b"\tbad\t")
ONE = BatchLimits(rows=1)  # each file is a batch of its own
LAKE = {"a.tsv": HEADER + BAD * 3, "b.tsv": events(5, 20, "b"), "c.tsv": events(10, 30, "c")}


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """A folder of three files; only the first one has events of the user `bad`."""
    write_lake(tmp_path / "lake", LAKE)
    return tmp_path / "lake"


@pytest.mark.parametrize(
    ("number", "at"),
    [(signal.SIGKILL, 2), (signal.SIGQUIT, 9), (signal.SIGKILL, 30), (signal.SIGQUIT, 55), (signal.SIGKILL, 80)],
)
def test_a_server_that_dies_and_comes_back_is_waited_for(
    own_server: tuple[str, Server], lake: Path, number: signal.Signals, at: int
) -> None:
    """SIGQUIT is what `pg_ctl stop --mode immediate` sends."""
    uri, server = own_server
    died = threading.Event()

    def fault(statement: int, _: bytes) -> Cut | None:
        if statement == at:
            server.kill(number)
            died.set()
        return None

    with new_database(uri) as database:
        with closing(PostgresProxy(database, fault)) as proxy, Run(lake=lake, database=proxy.url) as running:
            try:
                assert died.wait(DEADLINE_SECONDS)
                wait_until(lambda: "waiting for the database" in running.errors)
            finally:
                server.start()
            assert running.end() == 0
        Model().check(database, LAKE)


def test_a_server_that_dies_for_good_is_reported_and_the_next_run_completes(
    own_server: tuple[str, Server], lake: Path
) -> None:
    uri, server = own_server
    with new_database(uri) as database:
        with Database(database):
            pass  # this makes the schema
        with (
            held(database, "lock table state.file_sessions"),
            Run(lake=lake, database=database, DATABASE_WAIT="1") as running,
        ):
            try:
                wait_until(lambda: is_waiting(database))
                server.kill(signal.SIGKILL)
                assert running.end() == 1
            finally:
                server.start()
            *notes, line = running.errors.splitlines()
            assert line.startswith("no connection to the database: ")
            assert line.endswith("; look at DATABASE_URL")
            assert all(note.startswith(("waiting for the database", "the transaction failed")) for note in notes)
        assert run(lake=lake, database=database).returncode == 0
        Model().check(database, LAKE)


class LosingCommits(Store):
    """A store on a server that crashes after three commits, and comes back in the state after the first of them."""

    def __init__(self, run: RecordedRun, server: Server) -> None:
        """Wrap a run on that server."""
        super().__init__(run)
        self._server, self._commits = server, 0

    def _commit(self) -> None:
        self._commits += 1
        if self._commits == 1:
            self._server.keep()
        if self._commits == 3:
            self._server.restore()

    def ingest(self, readers: Sequence[Callable[[], Reading]], recounts: bool = False) -> list[FileVersion | None]:
        """Ingest files; the server may then crash."""
        versions = super().ingest(readers, recounts)
        self._commit()
        return versions

    def forget(self, key: str) -> bool:
        """Forget a file; the server may then crash."""
        was_known = super().forget(key)
        self._commit()
        return was_known


@pytest.mark.parametrize(
    "plan",
    [
        Plan(limits=ONE),
        Plan(limits=ONE, open_reducer=local_reducer(workers=2)),
        Plan(prunes=True, prunes_all=True),
    ],
)
def test_lost_commits_are_reported_and_the_next_run_ingests_them(tmp_path: Path, plan: Plan) -> None:
    """This happens when a server fails over to a standby that lags."""
    lake = tmp_path / "lake"
    files = {f"{name}.tsv": events(5, 10 + number, name) for number, name in enumerate("abcd")}
    write_lake(lake, files)
    with new_server() as (uri, home), new_database(uri) as database:
        model = Model()
        if plan.prunes:
            ingest_folder(lake, database, Plan())
            model.check(database, files)
            for key in files:
                (lake / key).unlink()
            files = {}
        with (
            Database(database) as db,
            begin_run(db, str(lake), relocated=True) as begun,
            pytest.raises(DatabaseError, match="lost what it had committed of 2 files; run again"),
        ):
            run_pipeline(open_lake(str(lake)), LosingCommits(begun, Server(home)), plan, SilentTally())
        tally, errors = ingest_folder(lake, database, plan)
        assert (tally.files_counted, tally.files_forgotten) == ((0, 2) if plan.prunes else (2, 0))
        assert not errors
        model.check(database, files, pruned=plan.prunes)


@pytest.mark.parametrize("before", [b"", events(3, 8, "before")])
def test_a_file_that_failed_is_tried_and_reported_once_even_if_the_connection_was_lost(
    database: str, lake: Path, before: bytes
) -> None:
    with Database(database):
        pass  # this makes the schema
    if before:
        write_lake(lake, {"a.tsv": before})
        ingest_folder(lake, database, PLAN)
    write_lake(lake, {"a.tsv": b"no header", "b.tsv": events(6, 21, "b"), "d.tsv": events(6, 22, "d")})
    cuts = 0

    def fault(_: int, text: bytes) -> Cut | None:
        nonlocal cuts
        if cuts or not text.startswith(b"COMMIT") or ask(database, HAS_FAILED) == [(0,)]:
            return None
        cuts += 1
        return "before"

    with closing(PostgresProxy(database, fault)) as proxy:
        done = run("--json", lake=lake, database=proxy.url)
    assert (done.returncode, cuts, done.stderr.count("not counted a.tsv")) == (1, 1, 1)
    assert json.loads(done.stdout)["files_failed"] == 1
    assert ask(database, "select files_failed from state.runs order by run_id desc limit 1") == [(1,)]


HAS_FAILED = "select count(*) from state.lake_files where error is not null"


def test_a_database_that_refuses_connections_for_a_while_is_waited_for(server: str, database: str, lake: Path) -> None:
    limit, name = "alter database {} connection limit ", parse_dsn(database)["dbname"]
    with held(database, "select"):
        administrate(server, limit + "1", name)
        with Run(lake=lake, database=database) as running:
            wait_until(lambda: "too many connections" in running.errors)
            administrate(server, limit + "3", name)
            assert running.end() == 0
    Model().check(database, LAKE)


def test_too_few_connections_are_reported(database: str, lake: Path) -> None:
    administrate(as_role("postgres", database), "alter database {} connection limit 1", parse_dsn(database)["dbname"])
    done = run(lake=lake, database=database, DATABASE_WAIT="1")
    assert done.returncode == 1
    assert "too many connections" in done.stderr.splitlines()[-1]
    assert "two" in done.stderr.splitlines()[-1]


def test_a_slow_database_is_waited_for(database: str, lake: Path) -> None:
    def fault(_number: int, _text: bytes) -> Cut | None:
        time.sleep(0.02)
        return None

    with closing(PostgresProxy(database, fault)) as proxy:
        done = run(lake=lake, database=proxy.url, DATABASE_WAIT="1")
    assert (done.returncode, done.stderr) == (0, "")
    Model().check(database, LAKE)


def test_a_server_that_never_answers_is_given_up(lake: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://etl@127.0.0.1:{silent.getsockname()[1]}/x?connect_timeout=2"
        done = run(lake=lake, database=url, DATABASE_WAIT="1")
    assert (done.returncode, "timeout expired" in done.stderr.splitlines()[-1]) == (1, True)


# Serialization failure, deadlock, lock timeout, statement timeout, out of memory, disk full, an I/O error.
TEMPORARY = ["40001", "40P01", "55P03", "57014", "53200", "53100", "58030"]


@pytest.mark.parametrize("state", TEMPORARY)
def test_a_temporary_error_is_retried(database: str, lake: Path, state: str) -> None:
    inject(database, state, times=2)
    tally, errors = ingest_folder(lake, database, PLAN)
    assert (tally.files_counted, errors) == (3, {})
    assert ask(database, "select last_value from public.failed") == [(3,)]
    Model().check(database, LAKE)


@pytest.mark.parametrize(
    ("state", "advice", "attempts"),
    [
        ("53100", "free space on the database's disk, then run again", 5),
        ("40001", "run again later", 5),
        (
            "42501",
            "grant this role the right and drop policies that hide rows from it, or name another role in DATABASE_URL",
            1,
        ),
    ],
)
def test_a_lasting_error_is_reported_and_the_other_files_are_counted(
    database: str, lake: Path, state: str, advice: str, attempts: int
) -> None:
    inject(database, state, times=1000)
    done = run(lake=lake, database=database)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        *["the transaction failed (made for a test); trying again"]
        * (2 * (attempts - 1)),  # in the batch, and as a batch of its own
        f"not counted a.tsv: the database refused: made for a test; {advice}",
    ]
    Model().check(database, LAKE | {"a.tsv": b""})
    ask(database, "drop trigger fail on user_performance; select 1")
    assert run(lake=lake, database=database).returncode == 0
    Model().check(database, LAKE)


def test_an_error_that_concerns_all_files_is_found_with_the_first_of_a_batch(database: str, tmp_path: Path) -> None:
    write_lake(tmp_path / "lake", {f"{number}.tsv": HEADER + BAD for number in range(9)})
    inject(database, "53100", times=1000)
    administrate(
        database,
        "create trigger fail before insert on state.lake_files for each row execute function public.fail()",
    )
    done = run(lake=tmp_path / "lake", database=database)
    *warnings, last = done.stderr.splitlines()
    assert (done.returncode, last) == (
        1, "the database refused: made for a test; free space on the database's disk, then run again"
    )  # fmt: skip
    # the batch, its first file, and the record of its error: five attempts each
    assert warnings == ["the transaction failed (made for a test); trying again"] * 3 * 4


def test_files_committed_before_the_database_became_unavailable_are_reported(database: str, tmp_path: Path) -> None:
    write_lake(tmp_path / "lake", LAKE | {"d.tsv": events(3, 5, "d")})
    inject(database, "XX000", times=1000)
    administrate(
        database,
        """
        create function public.disconnect() returns trigger language plpgsql as $$
        begin perform pg_terminate_backend(pg_backend_pid()); return new; end $$;
        create trigger disconnect before insert on state.lake_files
        for each row when (new.key = 'd.tsv') execute function public.disconnect()
        """,
    )
    done = run("--json", lake=tmp_path / "lake", database=database)
    assert done.returncode == 1
    assert [line for line in done.stderr.splitlines() if line.startswith("counted")] == [
        "counted b.tsv: 20 events", "counted c.tsv: 30 events"
    ]  # fmt: skip


def test_a_deadlock_with_someone_else_is_resolved(database: str, lake: Path) -> None:
    """The other transaction holds a user's row and waits for an article's row, which the run has written first."""
    ingest_folder(lake, database, PLAN)
    write_lake(lake, {"a.tsv": HEADER + BAD * 5})
    undone = False
    with (
        closing(psycopg2.connect(database)) as other,
        other.cursor() as cur,
        Run(lake=lake, database=database) as running,
    ):
        cur.execute("update user_performance set clicks = clicks where user_id = 'bad'")
        wait_until(lambda: is_waiting(database))
        try:
            cur.execute("update article_performance set clicks = clicks where article_id = 'a1'")
        except DeadlockDetected:
            undone = True
        other.rollback()
        assert running.end() == 0
        assert undone != ("the transaction failed (deadlock detected); trying again" in running.errors)
    Model().check(database, contents(lake))


def test_a_database_that_cannot_be_written_to_is_reported(database: str, lake: Path) -> None:
    configure(database, "default_transaction_read_only = on")
    done = run(lake=lake, database=database)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.endswith("; name a database that can be written to")


@pytest.fixture
def small_disk(server: str) -> Iterator[Path]:
    """A disk of 1 MiB that the server may write to."""
    home = Path(parse_dsn(server)["host"])
    disk = home / "small"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size=1m,uid={home.stat().st_uid},mode=700", "none", str(disk)]
    with ExitStack() as stack:
        stack.callback(disk.rmdir)
        if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
            pytest.skip("mounting a small disk needs root and a kernel that allows it")
        stack.callback(subprocess.run, ["umount", str(disk)], check=True)
        yield disk


def test_a_full_disk_is_reported_and_the_files_that_fit_are_counted(
    server: str, database: str, lake: Path, small_disk: Path
) -> None:
    administrate(server, f"create tablespace small location '{small_disk}'")
    try:
        administrate(server, "grant create on tablespace small to etl")
        configure(database, "temp_tablespaces = small")
        lines = (CLICK.replace(b"s1", b"s%0300d" % i).replace(b"u1", b"u%d" % i) for i in range(5_000))
        write_lake(lake, {"big.tsv": HEADER + b"".join(lines)})
        done = run(lake=lake, database=database)
        assert done.returncode == 1
        last = done.stderr.splitlines()[-1]
        assert last.startswith("not counted big.tsv: the database refused: could not extend file")
        assert last.endswith("; free space on the database's disk, then run again")
        Model().check(database, LAKE | {"big.tsv": b""})
        configure(database, "temp_tablespaces = ''")
        assert run(lake=lake, database=database).returncode == 0
        Model().check(database, contents(lake))
    finally:
        administrate(server, "drop tablespace small")
