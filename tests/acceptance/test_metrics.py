"""Metrics are exported completely and without secrets, and never change how a run ends."""

import base64
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import pytest

from processor.checks import CHECKS, DEFAULT_CHECK_LIMITS
from processor.commands.export_metrics import record_turn
from processor.lake.base import LakeSettings
from processor.output.metrics import OUTCOMES, Metrics, RunCounters
from processor.output.metrics_export import (
    Address,
    Gateway,
    MetricsError,
    MetricsSettingError,
    TextFile,
    parse_target,
    serve,
)
from processor.reducers.events import REASONS
from processor.run_tally import RunTally
from state.read_only_database import ReadOnlyDatabase
from state.reads import Reads
from tests.support.database_queries import execute, held, is_waiting
from tests.support.event_files import CLICK, HEADER
from tests.support.pgbouncer import free_port
from tests.support.program_runs import Run, run
from tests.support.prometheus import PROMTOOL, needs_promtool, samples
from tests.support.secret import SECRET
from tests.support.waiting import wait_until

PUSHGATEWAY = shutil.which("prometheus-pushgateway")
HASH = "$2b$04$5bYqvmxySOZoqwoaBHxjoeAc7ip0SITKHxL1VNNTx8cMZdh0R3K1."  # bcrypt of SECRET


def listens(port: int) -> bool:
    """Whether a server listens on a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """A lake of two small files, one of which has a bad line."""
    folder = tmp_path / "lake"
    folder.mkdir()
    (folder / "a.tsv").write_bytes(HEADER + CLICK * 2 + b"bad\n")
    (folder / "b.tsv").write_bytes(HEADER + CLICK.replace(b"2019-02-15", b"2019-02-16"))
    return folder


def test_a_run_exports_what_it_did(lake: Path, database: str, tmp_path: Path) -> None:
    file = tmp_path / "event_lake.prom"
    assert run("--metrics", str(file), lake=lake, database=database).returncode == 0
    exported = samples(file.read_text(encoding="utf-8"))
    size = sum(path.stat().st_size for path in lake.iterdir())
    found = {"rejected": 1, "displays": 2}
    assert {name: exported[name] for name in exported if "_bucket" not in name and "seconds" not in name} == {
        "event_lake_last_run_exit_code{}": 0,
        "event_lake_failed_files{}": 0,
        "event_lake_lock_held{}": 0,
        "event_lake_events_total{}": 3,
        "event_lake_read_bytes_total{}": size,
        **{f'event_lake_files_total{{outcome="{outcome}"}}': 2 * (outcome == "counted") for outcome in OUTCOMES},
        **{f'event_lake_check_findings{{check="{check}"}}': found.get(check, 0) for check in CHECKS},
        **{f'event_lake_rejected_lines_total{{reason="{code}"}}': code == "wrong_field_count" for code in REASONS},
    }
    assert exported["event_lake_newest_event_timestamp_seconds{}"] == 1550311200
    assert exported["event_lake_commit_duration_seconds_count{}"] == 1
    assert 0 < exported["event_lake_commit_duration_seconds_sum{}"] < exported["event_lake_last_run_duration_seconds{}"]
    assert (
        exported["event_lake_last_success_timestamp_seconds{}"] <= exported["event_lake_last_run_timestamp_seconds{}"]
    )
    assert [path.name for path in tmp_path.iterdir() if path != lake] == [file.name]


@needs_promtool
def test_prometheus_finds_nothing_wrong_with_it(lake: Path, database: str, tmp_path: Path) -> None:
    assert PROMTOOL is not None
    file = tmp_path / "event_lake.prom"
    run(lake=lake, database=database, METRICS=str(file))
    done = subprocess.run([PROMTOOL, "check", "metrics"], input=file.read_bytes(), check=False, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_counters_grow_from_run_to_run(lake: Path, database: str, tmp_path: Path) -> None:
    file = tmp_path / "event_lake.prom"
    run(lake=lake, database=database)
    (lake / "c.tsv").write_bytes(b"no header")
    assert run("--rebuild", lake=lake, database=database, METRICS=str(file)).returncode == 1
    run("verify", lake=lake, database=database)
    (lake / "a.tsv").unlink()
    (lake / "c.tsv").unlink()
    assert run("--prune-all", lake=lake, database=database, METRICS=str(file)).returncode == 0
    exported = samples(file.read_text(encoding="utf-8"))
    files = [exported[f'event_lake_files_total{{outcome="{outcome}"}}'] for outcome in OUTCOMES]
    assert (files, exported["event_lake_events_total{}"]) == ([4, 1, 1, 1], 6)
    assert exported['event_lake_rejected_lines_total{reason="wrong_field_count"}'] == 2
    assert exported["event_lake_commit_duration_seconds_count{}"] == 0


def test_a_stopped_run_exports_its_exit_code(lake: Path, database: str, tmp_path: Path) -> None:
    file = tmp_path / "event_lake.prom"
    run(lake=lake, database=database, METRICS=str(file))
    before = samples(file.read_text(encoding="utf-8"))
    (lake / "c.tsv").write_bytes(HEADER + CLICK)
    settings = {"lake": lake, "database": database, "METRICS": str(file)}
    with held(database, "lock table article_performance in access exclusive mode"), Run(**settings) as stopped:  # type: ignore[arg-type]
        wait_until(lambda: is_waiting(database))
        stopped.process.send_signal(signal.SIGTERM)
        assert stopped.end() == 1
    exported = samples(file.read_text(encoding="utf-8"))
    assert exported["event_lake_last_run_exit_code{}"] == 1
    success = "event_lake_last_success_timestamp_seconds{}"
    assert before[success] - 60 < exported[success] <= before[success]


def test_the_numbers_of_another_lake_are_not_exported(lake: Path, database: str, tmp_path: Path) -> None:
    file = tmp_path / "event_lake.prom"
    run(lake=lake, database=database)
    assert run(lake=tmp_path, database=database, METRICS=str(file)).returncode == 2
    exported = samples(file.read_text(encoding="utf-8"))
    assert exported["event_lake_last_run_exit_code{}"] == 2
    assert not any("newest" in name or "success" in name or "_total" in name for name in exported)


def test_a_file_keeps_only_what_is_ours(lake: Path, tmp_path: Path) -> None:
    file = tmp_path / "event_lake.prom"
    unreachable = "postgresql://user@127.0.0.1:9/nowhere"
    file.write_text("event_lake_failed_files 3\nanother_total 1\n", encoding="utf-8")
    assert run(lake=lake, database=unreachable, METRICS=str(file), DATABASE_WAIT="0").returncode == 1
    exported = samples(file.read_text(encoding="utf-8"))
    assert (exported["event_lake_failed_files{}"], "another_total{}" in exported) == (3, False)
    file.write_bytes(b"no metrics \xff")
    assert run(lake=lake, database=unreachable, METRICS=str(file), DATABASE_WAIT="0").returncode == 1
    assert samples(file.read_text(encoding="utf-8"))["event_lake_last_run_exit_code{}"] == 1


def test_a_file_that_cannot_be_written_fails_no_run(lake: Path, database: str, tmp_path: Path) -> None:
    file = tmp_path / "missing" / "event_lake.prom"
    done = run(lake=lake, database=database, METRICS=str(file))
    assert done.returncode == 0
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"the metrics cannot be written to {file} (No such file or directory)")


def test_a_watch_checks_the_counted_events_once_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("processor.output.metrics.time", SimpleNamespace(monotonic=lambda: now[0], time=time.time))
    metrics = Metrics()
    asked = [metrics.must_check]
    metrics.record_checks({"days": 2})
    asked.append(metrics.must_check)
    now[0] += 3600
    asked.append(metrics.must_check)
    assert asked == [True, False, True]


def test_a_watch_whose_checks_fail_says_so_and_goes_on(lake: Path, database: str) -> None:
    assert run(lake=lake, database=database).returncode == 0
    execute(database, "alter table public.user_performance rename to moved")
    metrics, warnings = Metrics(), list[str]()
    console = SimpleNamespace(warn=warnings.append)
    settings = SimpleNamespace(check_limits=DEFAULT_CHECK_LIMITS, lake_settings=LakeSettings())
    with ReadOnlyDatabase(database) as db:
        for _ in range(2):
            record_turn(metrics, Reads(db), SimpleNamespace(console=console, settings=settings), 1)  # type: ignore[arg-type]
    (line,) = warnings
    assert line.startswith("the counted events cannot be checked (")
    assert "event_lake_check_findings" not in [family.name for family in metrics.collect()]


def test_commands_that_do_not_ingest_export_nothing(lake: Path, database: str, tmp_path: Path) -> None:
    file = tmp_path / "event_lake.prom"
    run(lake=lake, database=database)
    for command in (["status"], ["verify"], ["--dry-run"], ["forget", "a.tsv"]):
        assert run(*command, lake=lake, database=database, METRICS=str(file)).returncode == 0
        refused = run(*command, "--metrics", str(file), lake=lake, database=database)
        assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1)
    assert not file.exists()


@pytest.mark.parametrize(
    "text",
    [
        "9109",
        "0.0.0.0:9109",
        "0",
        "99999",
        "event_lake.txt",
        f"ftp://user:{SECRET}@host",
        f"http://user:{SECRET}@host:port",
        f"http://user:{SECRET}@",
        f"https://user:{SECRET}@host/?x",
        f"https://user:12/{SECRET}@host:9091",
        f"http://user:{SECRET}\n@host",
    ],
    ids=range(11),
)
def test_a_wrong_target_for_a_run_is_refused(text: str, lake: Path, database: str) -> None:
    done = run(lake=lake, database=database, METRICS=text)
    (line,) = done.stderr.splitlines()
    assert (done.returncode, done.stdout, line.startswith("METRICS ")) == (2, "", True)
    assert SECRET not in line


def test_a_setting_names_a_target() -> None:
    assert parse_target("9109") == Address("127.0.0.1", 9109)
    assert parse_target("[::]:9109") == Address("::", 9109)
    assert parse_target("host-1:1") == Address("host-1", 1)
    assert parse_target("https://a%40b:c%2Fd@host:9091/x") == Gateway("https://host:9091/x", "a@b", "c/d")
    assert parse_target("http://host") == Gateway("http://host")
    assert parse_target("http://u:p@ss@host:9091") == Gateway("http://host:9091", "u", "p@ss")
    assert parse_target("http://u:p@[::1]:9091/a/") == Gateway("http://[::1]:9091/a/", "u", "p")
    assert SECRET not in repr(parse_target(f"http://u:{SECRET}@host"))
    assert parse_target("a/9109.prom") == TextFile(Path("a/9109.prom"))
    with pytest.raises(MetricsSettingError):
        parse_target("9109 ")


def test_a_port_serves_the_present_metrics(lake: Path, database: str) -> None:
    metrics, tally, address = Metrics(), RunTally(), Address("127.0.0.1", free_port())

    def scraped() -> dict[str, float]:
        with urllib.request.urlopen(f"http://127.0.0.1:{address.port}/metrics") as answer:
            return samples(answer.read().decode())

    run(lake=lake, database=database)
    with serve(address, metrics.registry):
        assert not any("_total" in name for name in scraped())
        with ReadOnlyDatabase(database) as db:
            metrics.registry.register(RunCounters(Reads(db).sum_runs(), tally))
            metrics.record_database(Reads(db).read_health(), Reads(db).read_lock_holder())
        first = scraped()
        for _ in range(2):
            tally.read(10)
            metrics.record_end(0, 1.5)
        exported = scraped()
        assert exported["event_lake_read_bytes_total{}"] == first["event_lake_read_bytes_total{}"] + 20
        assert (
            exported["event_lake_last_success_timestamp_seconds{}"]
            > first["event_lake_last_success_timestamp_seconds{}"]
        )
        with (
            pytest.raises(MetricsError, match="no-such-host"),
            serve(Address("no-such-host.invalid", 1), metrics.registry),
        ):
            pass
        with pytest.raises(MetricsError, match="Address already in use"), serve(address, metrics.registry):
            pass
    assert not listens(address.port)


@pytest.fixture
def gateway() -> Iterator[str]:
    """The URL of a real Pushgateway that asks for a user and a password."""
    if PUSHGATEWAY is None:
        pytest.skip("prometheus-pushgateway is not installed")
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder, "web.yml")
        settings.write_text(f"basic_auth_users: {{etl: {HASH}}}\n", encoding="utf-8")
        command = [PUSHGATEWAY, f"--web.listen-address=127.0.0.1:{port}", f"--web.config.file={settings}"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            wait_until(lambda: listens(port))
            yield f"http://etl:{SECRET}@127.0.0.1:{port}"
            process.kill()


def pushed(url: str) -> dict[str, float]:
    """Return the metrics that a Pushgateway holds."""
    user, host = url.removeprefix("http://").split("@")
    key = base64.b64encode(user.encode()).decode()
    with urllib.request.urlopen(
        urllib.request.Request(f"http://{host}/metrics", headers={"Authorization": f"Basic {key}"})
    ) as answer:
        return {
            name.replace('instance="",job="event_lake",', "").replace('instance="",job="event_lake"', ""): value
            for name, value in samples(answer.read().decode()).items()
            if name.startswith("event_lake_")
        }


def test_a_pushgateway_gets_the_same_and_keeps_what_a_run_does_not_know(
    lake: Path, database: str, gateway: str
) -> None:
    done = run(lake=lake, database=database, METRICS=gateway)
    assert (done.returncode, done.stderr) == (0, "")
    first = pushed(gateway)
    assert first["event_lake_events_total{}"] == 3
    unreachable = "postgresql://user@127.0.0.1:9/nowhere"
    assert run(lake=lake, database=unreachable, METRICS=gateway, DATABASE_WAIT="0").returncode == 1
    later = pushed(gateway)
    assert later["event_lake_last_run_exit_code{}"] == 1
    success = "event_lake_last_success_timestamp_seconds{}"
    assert (later[success], later["event_lake_events_total{}"]) == (first[success], 3)
    wrong = run(lake=lake, database=database, METRICS=gateway.replace(SECRET, f"wrong-{SECRET}"))
    (line,) = wrong.stderr.splitlines()
    assert (wrong.returncode, "(401)" in line, SECRET in line) == (0, True, False)


class Silent(BaseHTTPRequestHandler):
    """Closes each connection without an answer."""

    def do_POST(self) -> None:
        self.close_connection = True


def test_a_gateway_that_cannot_be_reached_fails_no_run_and_shows_no_password(lake: Path, database: str) -> None:
    with HTTPServer(("127.0.0.1", 0), Silent) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        places = ("127.0.0.1:9", "no-such-host.invalid", f"{'x' * 70}.invalid", f"127.0.0.1:{server.server_port}")
        for place in places:
            done = run(lake=lake, database=database, METRICS=f"http://user:{SECRET}@{place}", HTTP_PROXY="")
            (line,) = done.stderr.splitlines()
            assert done.returncode == 0
            assert line.startswith(f"the metrics cannot be pushed to http://{place} (")
            assert SECRET not in done.stdout + done.stderr
        server.shutdown()
