"""Several runs and readers at once: one run works, and readers see whole files."""

import itertools
import re
import threading
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path

import psycopg2
import pytest
from psycopg2.extensions import cursor

from state.database import Database
from state.errors import BusyError, DatabaseError, SupersededError
from state.read_only_database import ReadOnlyDatabase
from state.reads import Reads
from state.run import begin_run
from tests.support.database_queries import ask, execute, held, holders, is_waiting
from tests.support.event_files import FIRST, HEADER, LATER, events
from tests.support.lake_folders import contents, write_lake
from tests.support.pgbouncer import PROGRAM, pooler
from tests.support.postgres import as_role, new_database
from tests.support.program_runs import Run, run
from tests.support.proxies import Cut, PostgresProxy
from tests.support.tables import Model
from tests.support.waiting import DEADLINE_SECONDS, wait_until

BUSY = r"another run \(process (\d+) on \S+\) has been at work on this database since (.{19}) UTC; wait for it to end\n"
# A lock that the first statement that writes sessions waits for.
SESSIONS = "lock table state.file_sessions in access exclusive mode"
needs_pgbouncer = pytest.mark.skipif(PROGRAM is None, reason="pgbouncer is not installed")


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """A folder with the later lake, without its broken file."""
    write_lake(tmp_path / "lake", {key: data for key, data in LATER.items() if key != "broken.tsv"})
    return tmp_path / "lake"


def assert_leaves(late: Run, worker: Run, begun: datetime) -> None:
    """Fail unless a run ended because another is at work, and named it and since when it works."""
    assert late.end() == 75
    said = re.fullmatch(BUSY, late.errors)
    assert said is not None
    assert int(said[1]) == worker.process.pid
    since = datetime.fromisoformat(f"{said[2]}+00:00")
    assert begun.replace(microsecond=0) <= since <= datetime.now(UTC)


def test_of_ten_runs_on_an_empty_database_one_works(database: str, lake: Path) -> None:
    begun = datetime.now(UTC)
    # The first run waits for the name of the schema until all others have ended.
    with ExitStack() as stack, held(database, "create schema state") as release:
        runs = [stack.enter_context(Run(lake=lake, database=database)) for _ in range(10)]
        wait_until(lambda: sum(it.process.poll() is not None for it in runs) == 9)
        (worker,) = (it for it in runs if it.process.poll() is None)
        for late in runs:
            if late is not worker:
                assert_leaves(late, worker, begun)
        release()
        assert (worker.end(), worker.errors) == (0, "")
    Model().check(database, contents(lake))


def test_runs_that_meet_by_chance_leave_right_tables(database: str, lake: Path) -> None:
    with ExitStack() as stack:
        runs = [stack.enter_context(Run(lake=lake, database=database)) for _ in range(4)]
        codes = [it.end() for it in runs]
    assert set(codes) <= {0, 75}
    assert 0 in codes
    Model().check(database, contents(lake))


def test_the_lock_of_a_killed_run_is_free_at_once(database: str, lake: Path) -> None:
    assert run(lake=lake, database=database).returncode == 0
    write_lake(lake, {"a.tsv": FIRST["a.tsv"]})
    with held(database, SESSIONS), Run(lake=lake, database=database) as killed:
        wait_until(lambda: is_waiting(database))
        killed.process.kill()
        # Its statement no longer waits, either.
        wait_until(lambda: not is_waiting(database) and not holders(database))
    done = run(lake=lake, database=database)
    assert done.returncode == 0, done.stderr
    Model().check(database, contents(lake))


@needs_pgbouncer
def test_through_a_pooler_one_of_two_runs_works(database: str, lake: Path) -> None:
    begun = datetime.now(UTC)
    with pooler(database) as url:
        with held(database, "create schema state") as release, Run(lake=lake, database=url) as worker:
            wait_until(lambda: is_waiting(database))
            with Run(lake=lake, database=url) as late:
                assert_leaves(late, worker, begun)
            release()
            assert worker.end() == 0
        Model().check(database, contents(lake))
        write_lake(lake, {"a.tsv": FIRST["a.tsv"]})
        with held(database, SESSIONS), Run(lake=lake, database=url) as killed:
            wait_until(lambda: is_waiting(database))
            killed.process.kill()
            wait_until(lambda: not is_waiting(database) and not holders(database))
        done = run("--prune", lake=lake, database=url)
        assert done.returncode == 0, done.stderr
        Model().check(database, contents(lake))
        assert run("verify", lake=lake, database=url).returncode == 0
        assert run("--rebuild", lake=lake, database=url).returncode == 0
        Model().check(database, contents(lake))


@needs_pgbouncer
def test_two_connections_of_a_pooler_are_enough_and_one_is_reported(database: str, lake: Path) -> None:
    with pooler(database, default_pool_size=2) as url:
        assert run(lake=lake, database=url).returncode == 0
    Model().check(database, contents(lake))
    with pooler(database, default_pool_size=1, query_wait_timeout=1) as url:
        done = run(lake=lake, database=url)
    assert done.returncode == 1
    assert "default_pool_size" in done.stderr.splitlines()[-1]


class Reader(threading.Thread):
    """A thread that reads both BI tables again and again, and keeps the sums that it has seen."""

    ENDS = "select max(cumulative_clicks) as clicks from article_performance group by article_id"
    SUMS = (
        "select coalesce(sum(clicks), 0)::bigint from article_performance",
        "select coalesce(sum(displays), 0)::bigint from article_performance",
        f"select coalesce(sum(clicks), 0)::bigint from ({ENDS}) as ends",
        "select coalesce(sum(clicks), 0)::bigint from user_performance",
        "select coalesce(sum(displays), 0)::bigint from user_performance",
        "select coalesce(sum(sessions), 0)::bigint from user_performance",
    )

    def __init__(self, url: str, in_one_statement: bool) -> None:
        """Read by one statement, or by several statements in one transaction that sees one state."""
        super().__init__()
        self._url = as_role("bi", url)
        self._statements = (" union all ".join(f"({it})" for it in self.SUMS),) if in_one_statement else self.SUMS
        self.seen: list[set[int]] = []
        self.over = False
        self.looked = threading.Condition()

    def run(self) -> None:
        """Read until the end of the test."""
        with closing(psycopg2.connect(self._url)) as connection:
            connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
            while not self.over:
                with connection, connection.cursor() as cur:
                    sums = set()
                    for statement in self._statements:
                        cur.execute(statement)
                        sums |= {number for (number,) in cur.fetchall()}
                with self.looked:
                    self.seen.append(sums)
                    self.looked.notify_all()

    def look(self) -> None:
        """Wait until a read that begins now has ended."""
        with self.looked:
            enough = len(self.seen) + 2  # the first may have begun before
            assert self.looked.wait_for(lambda: len(self.seen) >= enough, DEADLINE_SECONDS)


def version(file: int, number: int) -> bytes:
    """Return a version of a file, with `number * 4 ** file` clicks, displays and sessions: sums identify versions."""
    lines = (
        f'2019-02-{15 + i % 3} 12:00:00\t{file}.{number}.{i}\t{name}\tu{i % 7}\t{{"id":"a{i % 5}"}}\n'.encode()
        for i in range(number * 4**file)
        for name in ("article_viewed", "my_news_card_viewed")
    )
    return HEADER + b"".join(lines)


@pytest.mark.parametrize("is_batched", [False, True])
def test_readers_see_the_sums_of_whole_files_at_each_statement(database: str, tmp_path: Path, is_batched: bool) -> None:
    """They see whole batches, if files are gathered into batches; pruned files disappear one by one."""
    files, readers, states = 3, [Reader(database, False), Reader(database, True)], [0]
    batch = {} if is_batched else {"BATCH_ROWS": "1"}

    def fault(_number: int, _text: bytes) -> Cut | None:
        for reader in readers:
            reader.look()
        return None

    with Database(database):
        pass  # this makes the schema
    for reader in readers:
        reader.start()
    try:
        with closing(PostgresProxy(database, fault)) as proxy:
            for number in (1, 3, 0):
                for file in range(files):
                    key = f"f{file}.tsv"
                    if number:
                        write_lake(tmp_path, {key: version(file, number)})
                    else:
                        (tmp_path / key).unlink()
                    present = states[-1] // 4**file % 4
                    states.append(states[-1] + (number - present) * 4**file)
                if is_batched and number:
                    del states[-files:-1]
                done = run("--prune-all", lake=tmp_path, database=proxy.url, DATABASE_WAIT="60", **batch)
                assert done.returncode == 0, done.stderr
    finally:
        for reader in readers:
            reader.over = True
            reader.join()
    for reader in readers:
        assert all(len(sums) == 1 for sums in reader.seen)
        assert [sums for (sums,), _ in itertools.groupby(reader.seen)] == states


@pytest.mark.parametrize("at", [b"BEGIN", b"copy pg_temp.new_sessions", b"insert into pg_temp.changed_article_days"])
def test_a_run_that_lost_its_lock_stops_when_another_took_over(database: str, lake: Path, at: bytes) -> None:
    """The run is delayed at the start of a file, or within it, until the other run has taken over.

    Meanwhile the file is replaced, so that the two runs read different versions.
    """
    reached, lost, taken_over = threading.Event(), threading.Event(), threading.Event()

    def fault(_: int, text: bytes) -> Cut | None:
        if reached.is_set() and text.startswith(b"BEGIN"):
            assert taken_over.wait(DEADLINE_SECONDS)
        elif text.startswith(at) and ask(database, "select count(*) from state.lake_files") == [(len(before) - 1,)]:
            reached.set()
            assert (lost if at != b"BEGIN" else taken_over).wait(DEADLINE_SECONDS)
        return None

    before = contents(lake)
    with Database(database):
        pass  # this makes the schema
    with (
        closing(PostgresProxy(database, fault)) as proxy,
        Run(lake=lake, database=proxy.url, BATCH_ROWS="1") as first,
    ):
        assert reached.wait(DEADLINE_SECONDS)
        (holder,) = holders(database)
        ask(as_role("postgres", database), f"select pg_terminate_backend({holder}, 60000)")
        write_lake(lake, {"d/e.tsv": events(30, 40, "replaced")})
        with Run(lake=lake, database=database) as other:
            wait_until(lambda: other.process.poll() is not None or is_waiting(database))
            lost.set()
            assert (other.end(), other.errors) == (0, "")
        taken_over.set()
        assert first.end() == 75
        assert first.errors == "another run took over this database; this one stops\n"
    Model().check(database, contents(lake))


def test_a_run_that_lost_its_lock_continues_if_no_other_took_over(database: str, lake: Path) -> None:
    def fault(number: int, _: bytes) -> Cut | None:
        if number == 40:
            (holder,) = holders(database)
            ask(as_role("postgres", database), f"select pg_terminate_backend({holder}, 60000)")
        return None

    with closing(PostgresProxy(database, fault)) as proxy:
        done = run(lake=lake, database=proxy.url)
        assert (done.returncode, done.stderr, proxy.statements > 40) == (0, "", True)
    Model().check(database, contents(lake))


def test_a_watch_knows_of_another_run_even_if_the_answer_to_its_commit_is_lost(database: str, tmp_path: Path) -> None:
    lake, takeovers, cuts = str(tmp_path), 0, 0

    def fault(_: int, text: bytes) -> Cut | None:
        nonlocal takeovers, cuts
        takeovers += b"insert into state.lake " in text
        if cuts or takeovers < 2 or not text.startswith(b"COMMIT"):
            return None
        cuts += 1
        return "after"

    with (
        closing(PostgresProxy(database, fault)) as proxy,
        Database(proxy.url, is_shared=True) as db,
        begin_run(db, lake) as watch,
    ):
        watch.release_lock()
        assert not watch.take_lock_again()
        watch.release_lock()
        with Database(database) as other, begin_run(other, lake):
            pass
        assert watch.take_lock_again()
        assert cuts == 1


def test_a_run_that_lost_its_lock_holds_off_its_successor_until_its_transaction_ends(database: str, lake: Path) -> None:
    """The successor finds another version of the same file: its sums are right only if it sees the last commit."""
    assert run(lake=lake, database=database).returncode == 0
    write_lake(lake, {"a.tsv": events(2, 33, "second")})
    reached, lost, taken_over = threading.Event(), threading.Event(), threading.Event()
    is_writing = False

    def fault(_: int, text: bytes) -> Cut | None:
        nonlocal is_writing
        if text.startswith(b"BEGIN"):
            is_writing = False
            assert not reached.is_set() or taken_over.wait(DEADLINE_SECONDS)
        is_writing = is_writing or b"file_sessions" in text
        if is_writing and text.startswith(b"COMMIT") and not reached.is_set():
            reached.set()
            assert lost.wait(DEADLINE_SECONDS)
        return None

    with closing(PostgresProxy(database, fault)) as proxy, Run(lake=lake, database=proxy.url) as first:
        wait_until(lambda: reached.is_set() or first.process.poll() is not None)
        (holder,) = holders(database)
        ask(as_role("postgres", database), f"select pg_terminate_backend({holder}, 60000)")
        write_lake(lake, {"a.tsv": events(9, 21, "third")})
        with Run(lake=lake, database=database) as other:
            wait_until(lambda: other.process.poll() is not None or is_waiting(database))
            lost.set()
            assert (other.end(), other.errors) == (0, "")
        taken_over.set()
        assert first.end() in (0, 75)  # its only file may be ingested already
    Model().check(database, contents(lake))
    assert run("verify", lake=lake, database=database).returncode == 0


def test_a_watch_that_takes_the_lock_again_refuses_another_lake_or_schema(database: str, tmp_path: Path) -> None:
    lake = str(tmp_path)
    with Database(database, is_shared=True) as db, begin_run(db, lake) as watch:
        watch.release_lock()
        execute(database, "update state.lake set url = '/another/lake'")
        with pytest.raises(SupersededError, match="holds the lake /another/lake"):
            watch.take_lock_again()
        assert holders(database) == []
        execute(database, f"update state.lake set url = '{lake}'")
        ask(database, "insert into state.steps (step) values (9999) returning step")
        with pytest.raises(SupersededError, match="at step 9999 of the schema"):
            watch.take_lock_again()
        assert holders(database) == []
        ask(database, "delete from state.steps where step = 9999 returning step")
        assert not watch.take_lock_again()
        assert len(holders(database)) == 1


def test_a_watch_whose_database_lost_the_lake_reports_that(database: str, tmp_path: Path) -> None:
    lake = str(tmp_path)
    with Database(database, is_shared=True) as db, begin_run(db, lake) as watch:
        watch.release_lock()
        execute(database, "delete from state.lake")  # as after a failover to a server that lacked the last commits
        with pytest.raises(DatabaseError, match="records no lake any more: look at DATABASE_URL"):
            watch.take_lock_again()
        assert holders(database) == []
        with Database(database) as other, begin_run(other, lake):
            pass
        assert watch.take_lock_again()


def test_a_lock_that_was_just_released_is_tried_once_more(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The holder may end after the lock was refused, and before anyone looks who holds it."""
    monkeypatch.setattr("state.run_lock.WAIT_LOCK_SECONDS", -1)
    first = Database(database)
    first.__enter__()

    class Late(Database):
        def fetch_one(self, cur: cursor, name: str, **parameters: object) -> object:
            if name == "read_lock_holder":
                first.__exit__(None, None, None)
                wait_until(lambda: not holders(database))
            return super().fetch_one(cur, name, **parameters)

    with Late(database) as second:
        assert len(holders(database)) == 1
        assert second.lock._holder is not None


def test_a_holder_that_cannot_be_seen_is_reported_as_such(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("state.run_lock.WAIT_LOCK_SECONDS", 0.2)

    class Blind(Database):
        def fetch_one(self, cur: cursor, name: str, **parameters: object) -> object:
            return None if name == "read_lock_holder" else super().fetch_one(cur, name, **parameters)

    with Database(database), pytest.raises(BusyError) as busy, Blind(database):
        pass
    assert str(busy.value) == "another run is at work on this database; wait for it to end"


@pytest.mark.parametrize(("seconds", "lines"), [(0.2, 1), (60, 0)])
def test_a_run_that_shares_the_lock_waits_for_another_and_reports_it_once(
    database: str, monkeypatch: pytest.MonkeyPatch, seconds: float, lines: int
) -> None:
    monkeypatch.setattr("state.run_lock.WAIT_LOCK_SECONDS", seconds)
    said, first = list[str](), Database(database)
    first.__enter__()
    threading.Timer(2, first.__exit__, (None, None, None)).start()
    with Database(database, warn=said.append, is_shared=True):
        pass
    assert len(said) == lines
    for line in said:
        assert re.fullmatch(r"another run \(process \d+ on .*\) has been at work .*; this one continues after it", line)


def test_connections_are_closed_if_opening_fails(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next run finds the lock free."""
    monkeypatch.setattr("state.run_lock.WAIT_LOST_LOCK_SECONDS", 0.1)
    with Database(database) as first:
        busy = Database(database)
        with pytest.raises(BusyError):
            busy.__enter__()
        assert first.connections == 1
    asking = ReadOnlyDatabase(database)
    execute(database, "insert into state.steps (step) select max(step) + 1 from state.steps")
    newer = Database(database)
    for one in (newer, asking):
        with pytest.raises(SupersededError):
            one.__enter__()
    for one in (busy, newer, asking):
        assert not one.is_connected
        assert not isinstance(one, Database) or one.lock._holder is None


def test_a_run_on_another_database_of_the_server_is_no_obstacle(server: str, database: str, tmp_path: Path) -> None:
    with new_database(server) as other, Database(other) as at_work, begin_run(at_work, str(tmp_path)):
        with Database(database), ReadOnlyDatabase(database) as reader:
            holder = Reads(reader).read_lock_holder()
        assert holder is not None
        with ReadOnlyDatabase(database) as reader:
            assert Reads(reader).read_lock_holder() is None
