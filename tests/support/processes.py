"""Runs of the command that go on while a test does something, and what a test waits for."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Self

import psycopg2

from tests.support.paths import ROOT

DEADLINE = 60.0


def wait_until(happened: Callable[[], object], seconds: float = DEADLINE) -> None:
    """Wait for what a busy machine, too, gets done in so many seconds; fail where it does not happen."""
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "what was waited for does not happen"
        time.sleep(0.02)


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

    def end(self, seconds: float = DEADLINE) -> int:
        """Its exit code, waited for; it left no traceback."""
        code = self.process.wait(seconds)
        assert "Traceback" not in self.errors, self.errors
        return code


@contextmanager
def held(url: str, statement: str) -> Iterator[Callable[[], None]]:
    """What a statement locks in a transaction that stays open; until the block ends, or what it gives is called."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cur:
        cur.execute(statement)
        yield connection.rollback


def ask(url: str, statement: str) -> list[tuple[object, ...]]:
    """What a statement gives."""
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cur:
        cur.execute(statement)
        return cur.fetchall()


def is_waiting(url: str) -> bool:
    """Whether a statement in the database waits for what another transaction locked."""
    query = "from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    return ask(url, f"select exists (select {query})") == [(True,)]


def holders(url: str) -> list[int]:
    """The backend that holds the lock of the runs."""
    query = "from pg_locks where locktype = 'advisory' and granted and database = (select oid from pg_database"
    return [int(str(pid)) for (pid,) in ask(url, f"select pid {query} where datname = current_database())")]
