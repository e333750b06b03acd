"""OpenLineage gets what a run read and wrote, without secrets, and never changes how a run ends."""

import json
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from uuid import UUID

import pytest
from psycopg2.extensions import parse_dsn

from processor.output.lineage import MAX_FILES, MAX_SECONDS, Lineage
from processor.output.lineage_facts import LineageTarget, RunFacts
from state.connection import Place
from state.database import Database
from state.run import begin_run
from tests.support.certificates import make_certificate
from tests.support.database_queries import ask, held, is_waiting
from tests.support.event_files import CLICK, HEADER
from tests.support.lineage_service import Answer, LineageService, check, serve
from tests.support.program_runs import Run, run
from tests.support.proxies import PostgresProxy
from tests.support.secret import SECRET
from tests.support.tables import is_there
from tests.support.waiting import wait_until
from tests.support.watches import is_up, stop, watch


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    folder = tmp_path / "lake"
    folder.mkdir()
    (folder / "a.tsv").write_bytes(HEADER + CLICK * 2 + b"bad\n")
    (folder / "b.tsv").write_bytes(HEADER + CLICK.replace(b"2019-02-15", b"2019-02-16"))
    return folder


@pytest.fixture
def service() -> Iterator[LineageService]:
    with serve() as service:
        yield service


def statistics(event: dict[str, object]) -> dict[str, tuple[int, int, int]]:
    """Return files, lines and bytes of each input of an event, by its name."""
    inputs: object = event["inputs"]
    assert isinstance(inputs, list)
    assert {dataset["namespace"] for dataset in inputs} <= {"file"}
    found = {dataset["name"]: dataset["inputFacets"]["inputStatistics"] for dataset in inputs}
    return {name: (of["fileCount"], of["rowCount"], of["size"]) for name, of in found.items()}


def test_a_run_says_what_it_read_and_wrote(lake: Path, database: str, service: LineageService) -> None:
    done = run(lake=lake, database=database, OPENLINEAGE_URL=service.url)
    assert (done.returncode, len(service.events)) == (0, 2)
    start, complete = service.take()
    for event in (start, complete):
        check(event)
        assert (event["job"]["namespace"], event["job"]["name"]) == ("event_lake", "count")
        assert event["run"]["runId"] == start["run"]["runId"]
        columns = {
            dataset["name"].rpartition(".")[2]: [
                (field["name"], field["type"], field["description"]) for field in dataset["facets"]["schema"]["fields"]
            ]
            for dataset in event["outputs"]
        }
        assert columns == {
            table: ask(
                database,
                f"""
                select column_name::text, format_type(atttypid, atttypmod), col_description(attrelid, attnum)
                from information_schema.columns
                join pg_attribute on attrelid = 'public.{table}'::regclass and attname = column_name
                where table_schema = 'public' and table_name = '{table}' order by ordinal_position
                """,
            )
            for table in ("article_performance", "user_performance")
        }
    assert (start["eventType"], complete["eventType"]) == ("START", "COMPLETE")
    assert start["eventTime"] <= complete["eventTime"]
    sizes = {path: path.stat().st_size for path in lake.iterdir()}
    assert start["inputs"] == []
    assert statistics(complete) == {
        str(lake): (2, 4, sum(sizes.values())),
        str(lake / "a.tsv"): (1, 3, sizes[lake / "a.tsv"]),
        str(lake / "b.tsv"): (1, 1, sizes[lake / "b.tsv"]),
    }


def test_a_run_that_finds_nothing_new_has_read_nothing(lake: Path, database: str, service: LineageService) -> None:
    run(lake=lake, database=database)
    run(lake=lake, database=database, OPENLINEAGE_URL=service.url)
    assert [(event["eventType"], event["inputs"]) for event in service.take()] == [("START", []), ("COMPLETE", [])]
    run("--rebuild", lake=lake, database=database, OPENLINEAGE_URL=service.url, OPENLINEAGE_NAMESPACE="prod")
    start, complete = service.take()
    assert (start["job"]["namespace"], start["job"]["name"]) == ("prod", "rebuild")
    assert len(complete["inputs"]) == 3


def test_an_event_names_some_of_many_files(lake: Path, database: str, service: LineageService) -> None:
    for number in range(MAX_FILES):
        (lake / f"c{number:03}.tsv").write_bytes(HEADER + CLICK)
    assert run(lake=lake, database=database, OPENLINEAGE_URL=service.url).returncode == 0
    _, complete = service.take()
    named = statistics(complete)
    assert named[str(lake)][:2] == (MAX_FILES + 2, MAX_FILES + 4)
    assert len(named) == 1 + MAX_FILES


def test_a_run_that_fails_says_why(lake: Path, database: str, service: LineageService) -> None:
    (lake / "c.tsv").write_bytes(b"no header\n")
    assert run(lake=lake, database=database, OPENLINEAGE_URL=service.url).returncode == 1
    _, fail = service.take()
    check(fail)
    assert (fail["eventType"], len(fail["inputs"])) == ("FAIL", 3)
    assert fail["run"]["facets"]["errorMessage"]["message"].startswith("c.tsv: its first line is not a header")
    for path in lake.iterdir():
        path.unlink()
    assert run("--prune", lake=lake, database=database, OPENLINEAGE_URL=service.url).returncode == 1
    _, fail = service.take()
    ((error,),) = ask(database, "select error from state.runs order by run_id desc limit 1")
    assert fail["run"]["facets"]["errorMessage"]["message"] == error


def test_a_stopped_run_has_failed(lake: Path, database: str, service: LineageService) -> None:
    run(lake=lake, database=database)
    (lake / "c.tsv").write_bytes(HEADER + CLICK)
    lock = "lock table article_performance in access exclusive mode"
    with held(database, lock), Run(lake=lake, database=database, OPENLINEAGE_URL=service.url) as stopped:
        wait_until(lambda: is_waiting(database))
        stopped.process.send_signal(signal.SIGTERM)
        assert stopped.end() == 1
    _, fail = service.take()
    assert (fail["eventType"], fail["inputs"]) == ("FAIL", [])
    assert fail["run"]["facets"]["errorMessage"]["message"] == "stopped by SIGTERM"


def test_a_watch_is_one_run(lake: Path, database: str, service: LineageService) -> None:
    with watch(lake=lake, database=database, OPENLINEAGE_URL=service.url) as watching:
        wait_until(lambda: is_up(database) and bool(service.events))
        stop(watching)
    start, complete = service.take()
    check(start)
    check(complete)
    assert start["job"]["facets"]["jobType"]["processingType"] == "SERVICE"
    assert (start["eventType"], complete["eventType"]) == ("START", "COMPLETE")
    assert statistics(complete)[str(lake)][:2] == (2, 4)


def test_a_command_that_ingests_nothing_sends_nothing(lake: Path, database: str, service: LineageService) -> None:
    run(lake=lake, database=database)
    for command in (["status"], ["verify"], ["--dry-run"], ["forget", "a.tsv"]):
        assert run(*command, lake=lake, database=database, OPENLINEAGE_URL=service.url).returncode == 0
    with Database(database) as at_work, begin_run(at_work, str(lake)):
        assert run(lake=lake, database=database, OPENLINEAGE_URL=service.url).returncode == 75
    assert run(lake="", database=database, OPENLINEAGE_URL=service.url).returncode == 2
    assert service.events == []


def test_no_event_holds_a_secret_and_the_key_is_sent_as_one(lake: Path, database: str, service: LineageService) -> None:
    proxy = PostgresProxy(database)
    place = parse_dsn(proxy.url)
    url = proxy.url.replace("@", f":{SECRET}@")
    done = run(lake=lake, database=url, OPENLINEAGE_URL=service.url, OPENLINEAGE_API_KEY=SECRET)
    proxy.close()
    assert done.returncode == 0
    assert service.headers["Authorization"] == f"Bearer {SECRET}"
    events = service.take()
    assert SECRET not in f"{json.dumps(events)}{done.stdout}{done.stderr}"
    assert {(dataset["namespace"], dataset["name"]) for event in events for dataset in event["outputs"]} == {
        (f"postgres://127.0.0.1:{place['port']}", f"{place['dbname']}.public.{table}")
        for table in ("article_performance", "user_performance")
    }


def test_a_database_on_a_socket_is_on_this_machine(lake: Path, database: str, service: LineageService) -> None:
    run(lake=lake, database=database, OPENLINEAGE_URL=service.url)
    (namespace,) = {dataset["namespace"] for event in service.take() for dataset in event["outputs"]}
    assert namespace == f"postgres://{socket.gethostname()}:{parse_dsn(database)['port']}"


def assert_only_lineage_failed(done: tuple[int, str], database: str, reason: str) -> None:
    code, errors = done
    assert code == 0
    line = f"the lineage cannot be sent ({reason}); look at OPENLINEAGE_URL and at the service there"
    assert (errors.splitlines()[-1], errors.count("lineage")) == (line, 1)
    assert SECRET not in errors
    assert ask(database, "select count(*), max(exit_code) from state.runs") == [(1, 0)]
    assert ask(database, "select sum(clicks) from article_performance") == [(3,)]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (f"http://u:{SECRET}@127.0.0.1:9", "ConnectionError"),
        (f"https://u:{SECRET}@[::1/", "ValueError"),
        (f"u:{SECRET}", "ValueError"),
        ("127.0.0.1", "ValueError"),
        (f"ftp://{SECRET}@127.0.0.1", "InvalidURL"),
        ("http://", "ValueError"),
        ("http://nowhere.invalid", "ConnectionError"),
    ],
)
def test_a_wrong_url_fails_no_run(url: str, reason: str, lake: Path, database: str) -> None:
    done = run("--json", lake=lake, database=database, OPENLINEAGE_URL=url, OPENLINEAGE_API_KEY=SECRET)
    assert_only_lineage_failed((done.returncode, done.stderr), database, reason)


@pytest.mark.parametrize(("answer", "reason"), [("refuse", "HTTP 500"), ("redirect", "HTTP 307")])
def test_a_service_that_refuses_fails_no_run(answer: Answer, reason: str, lake: Path, database: str) -> None:
    with serve(answer) as service:
        done = run(lake=lake, database=database, OPENLINEAGE_URL=service.url)
    assert_only_lineage_failed((done.returncode, done.stderr), database, reason)


@pytest.mark.slow
@pytest.mark.parametrize("answer", ["never", "drip"])
def test_a_service_that_does_not_answer_delays_a_run_a_little(answer: Answer, lake: Path, database: str) -> None:
    with serve(answer) as service, Run(lake=lake, database=database, OPENLINEAGE_URL=service.url) as waiting:
        wait_until(lambda: is_there(database, "exit_code = 0"))
        begun = time.monotonic()
        assert waiting.end() == 0
        assert time.monotonic() - begun < MAX_SECONDS + 5  # and the drawing of the report
        errors = waiting.errors
    assert_only_lineage_failed((0, errors), database, f"no answer within {MAX_SECONDS:g} s")


def test_a_certificate_of_another_authority_fails_no_run(lake: Path, database: str, tmp_path: Path) -> None:
    pair = make_certificate(tmp_path, "service")
    with serve(certificate=pair) as service:
        url = service.url.replace("http", "https")
        done = run(lake=lake, database=database, OPENLINEAGE_URL=url)
        assert_only_lineage_failed((done.returncode, done.stderr), database, "SSLError")
        trusting = run(lake=lake, database=database, OPENLINEAGE_URL=url, REQUESTS_CA_BUNDLE=str(pair[0]))
        assert (trusting.returncode, len(service.events)) == (0, 2)


def test_a_key_that_no_header_can_hold_fails_no_run(lake: Path, database: str, service: LineageService) -> None:
    key = f"{SECRET}\n{SECRET}"
    done = run(lake=lake, database=database, OPENLINEAGE_URL=service.url, OPENLINEAGE_API_KEY=key)
    assert_only_lineage_failed((done.returncode, done.stderr), database, "InvalidHeader")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            "ModuleNotFoundError",
            (
                "OPENLINEAGE_URL is set, but the client of OpenLineage is not installed: "
                "run make lineage, or unset OPENLINEAGE_URL"
            ),
        ),
        (
            "AttributeError",
            (
                "the lineage cannot be sent (AttributeError in its client); "
                "look at OPENLINEAGE_URL and at the service there"
            ),
        ),
    ],
)
def test_a_client_that_cannot_be_imported_fails_no_run(
    lake: Path, database: str, service: LineageService, tmp_path: Path, error: str, said: str
) -> None:
    client = tmp_path / "packages" / "openlineage"
    client.mkdir(parents=True)
    (client / "__init__.py").write_text(f"raise {error}", encoding="utf-8")
    done = run(lake=lake, database=database, OPENLINEAGE_URL=service.url, PYTHONPATH=str(client.parent))
    assert (done.returncode, service.events) == (0, [])
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1] == said


def test_a_thread_that_cannot_start_fails_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(Thread, "start", refuse)
    lineage = Lineage(LineageTarget("http://127.0.0.1:9", "", "default"))
    lineage.end(has_failed=False, error=None)
    assert lineage.close() is None
    lineage.start(RunFacts(UUID(int=1), "count", False, "/lake", Place("host", "5432", "name"), {}))
    lineage.end(has_failed=False, error=None)
    assert "can't start new thread" in str(lineage.close())
