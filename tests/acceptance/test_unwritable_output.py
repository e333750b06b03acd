"""A command whose output cannot be written ends with 1 and one line; one whose reader has ended stays silent."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from processor.plan import Plan
from tests.support.event_files import CLICK, HEADER
from tests.support.ingest import ingest_folder
from tests.support.lake_files import fingerprints
from tests.support.paths import ROOT
from tests.support.waiting import DEADLINE_SECONDS, wait_until

LINE = "standard output cannot be written (No space left on device); send it to a place with room"
COMMANDS = [
    "--help", "watch --help", "", "--json", "--rebuild", "--dry-run", "--dry-run --json", "status", "status --json",
    "explain a1", "explain a1 --json", "rejected", "rejected --tsv", "doctor", "doctor --json", "verify",
    "verify --json", "forget a.tsv --json",
]  # fmt: skip


@pytest.fixture
def lake(tmp_path: Path, database: str) -> Path:
    """A lake of one file, which is ingested."""
    folder = tmp_path / "lake"
    folder.mkdir()
    (folder / "a.tsv").write_bytes(HEADER + CLICK + b"bad\n" + CLICK)
    ingest_folder(folder, database, Plan())
    return folder


def run_in_shell(redirection: str, lake: Path, database: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the program by a line of the shell, whose exit code is the program's."""
    command = ["/bin/bash", "-o", "pipefail", "-c", f"'{sys.executable}' '{ROOT / 'run.py'}' {redirection}"]
    environment = {**os.environ, "LAKE_URL": str(lake), "DATABASE_URL": database, "DATABASE_WAIT": "5"}
    return subprocess.run(command, check=False, capture_output=True, encoding="utf-8", env=environment, cwd=folder)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk_ends_a_command_with_1_and_one_line(
    command: str, lake: Path, database: str, tmp_path: Path
) -> None:
    done = run_in_shell(f"{command} >/dev/full", lake, database, tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines().count(LINE) == 1
    assert "--json" in command or done.stderr.splitlines() == [LINE]
    assert "Traceback" not in done.stderr


def test_files_are_ingested_although_the_output_is_lost(lake: Path, database: str, tmp_path: Path) -> None:
    (lake / "b.tsv").write_bytes(HEADER + CLICK)
    assert run_in_shell(">/dev/full", lake, database, tmp_path).returncode == 1
    assert "b.tsv" in fingerprints(database)


@pytest.mark.parametrize("command", ["status", "status --json", "", "--json"])
def test_the_line_itself_may_be_lost(command: str, lake: Path, database: str, tmp_path: Path) -> None:
    done = run_in_shell(f"{command} >/dev/full 2>/dev/full", lake, database, tmp_path)
    assert (done.returncode, done.stderr) == (1, "")


def test_a_full_standard_error_ends_a_run_with_1(lake: Path, database: str, tmp_path: Path) -> None:
    assert run_in_shell("--json 2>/dev/full", lake, database, tmp_path).returncode == 1


@pytest.mark.parametrize("command", ["--help", "", "--json", "status", "status --json", "rejected --tsv"])
def test_a_reader_that_has_ended_changes_nothing(command: str, lake: Path, database: str, tmp_path: Path) -> None:
    done = run_in_shell(f"{command} | true", lake, database, tmp_path)
    assert done.returncode == 0
    assert "--json" in command or done.stderr == ""
    assert "cannot be written" not in done.stderr


def test_another_exit_code_stays(lake: Path, database: str, tmp_path: Path) -> None:
    done = run_in_shell("--workers 0 >/dev/full", lake, database, tmp_path)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def test_a_watch_that_lost_its_output_ends_with_1(lake: Path, database: str, tmp_path: Path) -> None:
    (lake / "b.tsv").write_bytes(HEADER + CLICK)
    environment = {**os.environ, "LAKE_URL": str(lake), "DATABASE_URL": database}
    with Path("/dev/full").open("wb") as full, (tmp_path / "errors").open("wb") as errors:
        watch = subprocess.Popen(
            [sys.executable, str(ROOT / "run.py"), "watch"], env=environment, cwd=tmp_path, stdout=full, stderr=errors
        )
    try:
        wait_until(lambda: "b.tsv" in fingerprints(database))
        watch.send_signal(signal.SIGTERM)
        assert watch.wait(DEADLINE_SECONDS) == 1
    finally:
        watch.kill()
        watch.wait()
    assert (tmp_path / "errors").read_text(encoding="utf-8").splitlines() == [LINE]
