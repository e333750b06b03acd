"""Runs of the program as a process of its own."""

import atexit
import json
import os
import pty
import select
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import IO, Self

from tests.support.paths import ROOT
from tests.support.program_starter import ProgramStarter
from tests.support.waiting import DEADLINE_SECONDS


@cache
def start_starter() -> ProgramStarter:
    """Return the process that forks the runs of this test process."""
    starter = ProgramStarter()
    atexit.register(starter.close)
    return starter


def run(*arguments: str, lake: Path | str, database: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the program to its end, without a terminal, in a folder of its own for its report."""
    settings = {**os.environ, "LAKE_URL": str(lake), "DATABASE_URL": database, "DATABASE_WAIT": "5", **environment}
    command = [sys.executable, str(ROOT / "run.py"), *arguments]
    starter = start_starter()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        out, errors = (stack.enter_context(tempfile.TemporaryFile()) for _ in range(2))
        if starter.can_run(arguments, settings):
            code = starter.run(arguments, settings, folder, out, errors)
        else:
            code = subprocess.run(command, check=False, stdout=out, stderr=errors, env=settings, cwd=folder).returncode
        written = [decode_output(file) for file in (out, errors)]
    assert "Traceback" not in "".join(written)
    return subprocess.CompletedProcess(command, code, *written)


def decode_output(file: IO[bytes]) -> str:
    """Return the text that was written to a file."""
    file.seek(0)
    return file.read().decode().replace("\r\n", "\n").replace("\r", "\n")


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
