"""Runs of the program as a process of its own."""

import json
import os
import pty
import select
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Self

from tests.support.paths import ROOT
from tests.support.waiting import DEADLINE_SECONDS


def run(*arguments: str, lake: Path | str, database: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the program to its end, without a terminal, in a folder of its own for its report."""
    settings = {"LAKE_URL": str(lake), "DATABASE_URL": database, "DATABASE_WAIT": "5", **environment}
    command = [sys.executable, str(ROOT / "run.py"), *arguments]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            command, check=False, capture_output=True, encoding="utf-8", env={**os.environ, **settings}, cwd=folder
        )
    assert "Traceback" not in done.stdout + done.stderr
    return done


class Run:
    """A run of the program in parallel with the test; the end of its context kills it if it still runs."""

    def __init__(self, *arguments: str, lake: Path | str, database: str, **environment: str) -> None:
        """Start it in a folder of its own."""
        self._folder = tempfile.TemporaryDirectory()
        self._errors = Path(self._folder.name, "errors")
        settings = {"LAKE_URL": str(lake), "DATABASE_URL": database, "DATABASE_WAIT": "60", **environment}
        with self._errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, str(ROOT / "run.py"), *arguments],
                env={**os.environ, **settings}, cwd=self._folder.name, stdout=subprocess.DEVNULL, stderr=errors,
            )  # fmt: skip

    def __enter__(self) -> Self:
        """Return the run, which has started."""
        return self

    def __exit__(self, *_: object) -> None:
        """Kill it if it still runs."""
        self.process.kill()
        self.process.wait()
        self._folder.cleanup()

    @property
    def errors(self) -> str:
        """All that it has written to standard error."""
        return self._errors.read_text(encoding="utf-8")

    def end(self, seconds: float = DEADLINE_SECONDS) -> int:
        """Wait for its end and return its exit code; fail after `seconds`, or if it left a traceback."""
        code = self.process.wait(seconds)
        assert "Traceback" not in self.errors, self.errors
        return code


def read_result(done: subprocess.CompletedProcess[str]) -> dict[str, float]:
    """Return the object that `--json` printed as the one line on standard output, without its seconds."""
    (line,) = done.stdout.splitlines()
    result: dict[str, float] = json.loads(line)
    assert result.pop("seconds") >= 0
    return result


def on_a_terminal(command: list[str], environment: dict[str, str], folder: Path) -> str:
    """Run a command on a terminal of its own; return all that it wrote there."""
    ours, theirs = pty.openpty()
    shown = b""
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env=environment, cwd=folder) as running:
        os.close(theirs)
        while select.select([ours], [], [], 60)[0]:
            try:
                shown += os.read(ours, 65536)
            except OSError:  # the command has closed its side
                break
        running.wait()
    os.close(ours)
    return shown.decode()
