"""A run that the tests fork does what a new process does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.program_runs import run, start_starter


@pytest.mark.parametrize("arguments", [["--help"], ["--workers", "none"], ["status"], ["doctor", "--json"], []])
def test_a_fork_prints_and_returns_what_a_new_process_does(arguments: list[str], tmp_path: Path) -> None:
    settings = {"DATABASE_WAIT": "0", "COLUMNS": "70", "NO_COLOR": "1"}
    database = "postgresql://etl@127.0.0.1:9/x"
    forked = run(*arguments, lake=tmp_path, database=database, **settings)
    environment = {**os.environ, **settings, "LAKE_URL": str(tmp_path), "DATABASE_URL": database}
    command = [sys.executable, str(ROOT / "run.py"), *arguments]
    new = subprocess.run(command, check=False, capture_output=True, encoding="utf-8", env=environment, cwd=tmp_path)
    assert forked.returncode == new.returncode
    # the free space changes from moment to moment
    assert forked.stdout.partition("disk")[0] == new.stdout.partition("disk")[0]
    assert forked.stderr == new.stderr


def test_what_python_reads_at_its_start_needs_a_new_process() -> None:
    starter = start_starter()
    environment = dict(os.environ)
    assert starter.can_run(["status"], environment | {"LAKE_URL": "lake"})
    assert not starter.can_run(["status"], environment | {"LC_ALL": "ja_JP.eucJP"})
    assert not starter.can_run(["status"], environment | {"PYTHONUTF8": "0"})
    assert not starter.can_run(["status", "é"], environment)
