"""A signal ends a run soon, wherever it is, and the next run completes what it left."""

import gzip
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import pytest

from state.database import Database
from tests.support.database_queries import ask, held, holders, is_waiting
from tests.support.event_files import HEADER, LATER, events
from tests.support.lake_folders import contents, write_lake
from tests.support.program_runs import Run, run
from tests.support.proxies import Cut, PostgresProxy, Request, S3Fault, S3Proxy, put
from tests.support.tables import Model
from tests.support.waiting import DEADLINE_SECONDS, wait_until

# A lock that the first statement that writes sessions waits for.
SESSIONS = "lock table state.file_sessions in access exclusive mode"
SIGNALS = [signal.SIGTERM, signal.SIGINT]


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """A folder with the later lake, without its broken file."""
    write_lake(tmp_path / "lake", {key: data for key, data in LATER.items() if key != "broken.tsv"})
    return tmp_path / "lake"


@contextmanager
def reading(database: str, lake: Path) -> Iterator[tuple[Run, str]]:
    """Yield a run that reads a large file, and its report of the files that are left."""
    lines = gzip.compress(events(0, 50, "big")[len(HEADER) :] * 500)
    (lake / "b.tsv.gz").write_bytes(gzip.compress(HEADER) + 1000 * lines)
    with Run(lake=lake, database=database, BATCH_ROWS="1") as held_up:
        copies = "from pg_stat_activity where datname = current_database() and query like 'copy pg\\_temp.new\\_%'"
        counted = "from state.lake_files where counted_at is not null"
        query = f"select exists (select {copies}) and (select count(*) {counted}) = 1"
        # The first rows come after 32 MiB of text, which takes seconds, or minutes on a busy machine.
        wait_until(lambda: ask(database, query) == [(True,)], 10 * DEADLINE_SECONDS)
        yield held_up, " with 3 files left to count"
    write_lake(lake, {"b.tsv.gz": LATER["b.tsv.gz"]})


@contextmanager
def waiting_in_the_database(database: str, lake: Path) -> Iterator[tuple[Run, str]]:
    """Yield a run whose statement waits for another transaction's lock, and its report of the files that are left."""
    with held(database, SESSIONS), Run(lake=lake, database=database) as held_up:
        wait_until(lambda: is_waiting(database))
        yield held_up, " with 4 files left to count"


@contextmanager
def waiting_for_the_database(_: str, lake: Path) -> Iterator[tuple[Run, str]]:
    """Yield a run that waits for a database that does not answer, and its report of the files that are left."""
    with Run(lake=lake, database="postgresql://etl@127.0.0.1:9/none", DATABASE_WAIT="600") as held_up:
        wait_until(lambda: "waiting for the database" in held_up.errors)
        yield held_up, ""


PLACES = [pytest.param(reading, marks=pytest.mark.slow), waiting_in_the_database, waiting_for_the_database]


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("place", PLACES)
def test_a_signal_ends_a_run_soon_wherever_it_is(
    database: str,
    lake: Path,
    number: signal.Signals,
    place: Callable[[str, Path], AbstractContextManager[tuple[Run, str]]],
) -> None:
    with Database(database):
        pass  # this makes the schema
    with place(database, lake) as (held_up, left):
        before = held_up.errors
        held_up.process.send_signal(number)
        assert held_up.process.wait(30) == 1
        said = held_up.errors.removeprefix(before)
        assert said == f"stopped by {number.name}{left}; the next run continues from here\n"
    wait_until(lambda: not holders(database))  # the server may notice later that the process has ended
    done = run(lake=lake, database=database)
    assert done.returncode == 0, done.stderr
    Model().check(database, contents(lake))


@contextmanager
def hanging(bucket: str, name: str) -> Iterator[tuple[S3Proxy, threading.Event, threading.Event]]:
    """An S3 that does not answer requests for objects of that name; it sets an event when it gets one."""
    asked, over = threading.Event(), threading.Event()

    def fault(request: Request) -> S3Fault | None:
        if name in request.path and not over.is_set():
            asked.set()
            over.wait(DEADLINE_SECONDS)
        return None

    with closing(S3Proxy(bucket, fault)) as proxy:
        yield proxy, asked, over


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_a_run_that_waits_for_s3(bucket: str, database: str, number: signal.Signals) -> None:
    for key in ("a.tsv", "d/e.tsv"):
        put(bucket, f"lake/{key}", LATER[key])
    with hanging(bucket, "e.tsv") as (proxy, asked, over):
        settings = {"AWS_ENDPOINT_URL": proxy.url, "BATCH_ROWS": "1"}
        with Run(lake="s3://events/lake/", database=database, **settings) as held_up:
            assert asked.wait(DEADLINE_SECONDS)
            wait_until(lambda: ask(database, "select count(*) from state.lake_files") == [(1,)])
            held_up.process.send_signal(number)
            assert held_up.process.wait(30) == 1
            said = f"stopped by {number.name} with 1 file left to count; the next run continues from here\n"
            assert held_up.errors == said
        over.set()
        done = run(lake="s3://events/lake/", database=database, AWS_ENDPOINT_URL=proxy.url)
    assert done.returncode == 0, done.stderr
    Model().check(database, {key: LATER[key] for key in ("a.tsv", "d/e.tsv")})


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("verify", "with 2 files left to read; nothing has changed"),
        ("--rebuild", "with 2 files left to count; the tables have not changed; pass --rebuild again"),
    ],
)
def test_a_signal_ends_verify_and_rebuild(bucket: str, database: str, command: str, said: str) -> None:
    lake = {key: LATER[key] for key in ("a.tsv", "d/e.tsv")}
    for key, data in lake.items():
        put(bucket, f"lake/{key}", data)
    assert run(lake="s3://events/lake/", database=database).returncode == 0
    before = ask(database, "select article_id, date, xmin::text from article_performance")
    with hanging(bucket, "e.tsv") as (proxy, asked, over):
        with Run(command, lake="s3://events/lake/", database=database, AWS_ENDPOINT_URL=proxy.url) as held_up:
            assert asked.wait(DEADLINE_SECONDS)
            held_up.process.terminate()
            assert held_up.process.wait(30) == 1
            assert held_up.errors == f"stopped by SIGTERM {said}\n"
        over.set()
        assert ask(database, "select article_id, date, xmin::text from article_performance") == before
        done = run(command, lake="s3://events/lake/", database=database, AWS_ENDPOINT_URL=proxy.url)
    assert done.returncode == 0, done.stderr
    Model().check(database, lake)


def test_a_signal_ends_a_run_whose_database_does_not_answer(database: str, lake: Path) -> None:
    """Nothing can be interrupted there, so the process ends itself."""
    asked, over = threading.Event(), threading.Event()

    def fault(_: int, text: bytes) -> Cut | None:
        if text.startswith(b"copy file_sessions") and not over.is_set():
            asked.set()
            over.wait(DEADLINE_SECONDS)
        return None

    with closing(PostgresProxy(database, fault)) as proxy, Run(lake=lake, database=proxy.url) as held_up:
        assert asked.wait(DEADLINE_SECONDS)
        held_up.process.terminate()
        assert held_up.process.wait(30) == 1
        assert held_up.errors == "stopped by SIGTERM with 4 files left to count; the next run continues from here\n"
        over.set()
    wait_until(lambda: not holders(database))
    done = run(lake=lake, database=database)
    assert done.returncode == 0, done.stderr
    Model().check(database, contents(lake))
