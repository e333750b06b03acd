"""Runs of the program, and the smallest lines that it is given."""

import json
import os
import pty
import select
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.paths import ROOT

HEADER = b"TIMESTAMP\tMD5(SESSION_ID)\tEVENT_NAME\tMD5(USER_ID)\tATTRIBUTES\n"


CLICK = b'2019-02-15 10:00:00.000 +0000\ts1\tarticle_viewed\tu1\t{"id": "a1", "title": "T", "category": "C"}\n'


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


def contents(lake: Path) -> dict[str, bytes]:
    return {path.relative_to(lake).as_posix(): path.read_bytes() for path in lake.rglob("*.tsv*")}


def outcome(done: subprocess.CompletedProcess[str]) -> dict[str, float]:
    """What `--json` printed: one line on standard output."""
    (line,) = done.stdout.splitlines()
    told: dict[str, float] = json.loads(line)
    assert told.pop("seconds") >= 0
    return told


SECRET = "h1dden"


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


ODD = "\x1b]0;x\x07\u202e\x9b"
