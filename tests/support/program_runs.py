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
    """One run of the command, without a terminal, from a folder of its own: its report goes there."""
    settings = {"LAKE_URL": str(lake), "DATABASE_URL": database, "DATABASE_WAIT": "5", **environment}
    command = [sys.executable, str(ROOT / "run.py"), *arguments]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            command, check=False, capture_output=True, encoding="utf-8", env={**os.environ, **settings}, cwd=folder
        )
    assert "Traceback" not in done.stdout + done.stderr
    return done


class Run:
    """A run of the command that goes on; as a context, it has ended at its end."""

    def __init__(self, *arguments: str, lake: Path | str, database: str, **environment: str) -> None:
        """Begin it, in a folder of its own."""
        self._folder = tempfile.TemporaryDirectory()
        self._errors = Path(self._folder.name, "errors")
        settings = {"LAKE_URL": str(lake), "DATABASE_URL": database, "DATABASE_WAIT": "60", **environment}
        with self._errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, str(ROOT / "run.py"), *arguments],
                env={**os.environ, **settings}, cwd=self._folder.name, stdout=subprocess.DEVNULL, stderr=errors,
            )  # fmt: skip

    def __enter__(self) -> Self:
        """It goes on."""
        return self

    def __exit__(self, *_: object) -> None:
        """It is killed where it goes on still."""
        self.process.kill()
        self.process.wait()
        self._folder.cleanup()

    @property
    def errors(self) -> str:
        """What it wrote to standard error until now."""
        return self._errors.read_text(encoding="utf-8")

    def end(self, seconds: float = DEADLINE_SECONDS) -> int:
        """Its exit code, waited for; it left no traceback."""
        code = self.process.wait(seconds)
        assert "Traceback" not in self.errors, self.errors
        return code


def outcome(done: subprocess.CompletedProcess[str]) -> dict[str, float]:
    """What `--json` printed: one line on standard output."""
    (line,) = done.stdout.splitlines()
    told: dict[str, float] = json.loads(line)
    assert told.pop("seconds") >= 0
    return told


def on_a_terminal(command: list[str], environment: dict[str, str], folder: Path) -> str:
    """All that a command writes to its terminal."""
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
