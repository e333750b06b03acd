"""Postgres servers of the oldest version, servers that a test kills, and statements that fail."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psycopg2
import pytest

from state import embedded
from state.database import Database
from state.embedded_process import read_pid_file, try_lock
from tests.support.database_queries import ask
from tests.support.postgres import administrate, find_fast_folder
from tests.support.waiting import wait_until

OLDEST = Path("/usr/lib/postgresql/15/bin")


def is_up(folder: str, port: str) -> bool:
    """Whether a server answers, in any language."""
    with suppress(psycopg2.OperationalError):
        return ask(f"postgresql://postgres@/postgres?host={folder}&port={port}", "select 1") == [(1,)]
    return False


@contextmanager
def oldest_server(environment: Mapping[str, str] = MappingProxyType({}), **settings: str) -> Iterator[str]:
    """The URI of a database on a server of the oldest version, which logs what changes for publications."""
    if not (OLDEST / "postgres").exists():
        pytest.skip("PostgreSQL 15 is not installed in Debian's way")
    is_root = os.geteuid() == 0
    account: dict[str, Any] = {"user": "nobody", "group": "nogroup", "extra_groups": []} if is_root else {}
    with tempfile.TemporaryDirectory(dir=find_fast_folder()) as folder:
        Path(folder).chmod(0o777)
        data, log = Path(folder, "data"), Path(folder, "log")
        words = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync", "-D", str(data)]
        subprocess.run([OLDEST / "initdb", *words], check=True, capture_output=True, cwd="/", **account)
        place = {"listen_addresses": "", "unix_socket_directories": folder}
        port = settings.setdefault("port", "5432")
        settings = {**place, "wal_level": "logical", "fsync": "off", **settings}
        with log.open("wb") as said:
            server = subprocess.Popen(
                [OLDEST / "postgres", "-D", data, *(f"--{name}={value}" for name, value in settings.items())],
                stdout=said, stderr=said, cwd="/", env={**os.environ, **environment}, **account,
            )  # fmt: skip
        try:
            wait_until(lambda: is_up(folder, port))
            # like the tests' own server, so that `new_database` finds its folder
            name = embedded.name_database("tests")
            uri = f"postgresql://postgres@/{name}?host={folder}&port={port}"
            administrate(uri.replace(name, "postgres"), "create database {}", name)
            yield uri
        finally:
            server.send_signal(signal.SIGINT)
            server.wait()


def find_process(home: Path) -> int:
    """Return the process id of the embedded server that runs in a folder."""
    running = read_pid_file(home)
    assert running is not None
    return running.process_id


class Server:
    """A separate server that may be killed."""

    def __init__(self, home: Path) -> None:
        """Wrap the running server of a folder."""
        self._home = home

    def kill(self, number: signal.Signals) -> None:
        """Kill it while it works, and wait until none of its processes is left."""
        process = find_process(self._home)
        os.kill(process, number)
        with (self._home / "server.lock").open("rb") as lock:
            wait_until(lambda: try_lock(lock.fileno()))

    def keep(self) -> None:
        """Keep a copy of its data for `restore`; the server starts again, as after a crash."""
        self.kill(signal.SIGKILL)
        subprocess.run(["cp", "-a", self._home / "data", self._home / "kept"], check=True)  # with the same owner
        self.start()

    def restore(self) -> None:
        """Kill it, and start it with the data that `keep` copied."""
        self.kill(signal.SIGKILL)
        shutil.rmtree(self._home / "data")
        (self._home / "kept").rename(self._home / "data")
        self.start()

    def turn_into_standby(self) -> None:
        """Kill it, and start it as a standby, which waits for the log of a primary server and can only be read."""
        self.kill(signal.SIGKILL)
        (self._home / "data" / "standby.signal").touch()
        self.start()

    def start(self) -> None:
        """Start it again, in the same folder; the fixture that made it stops it."""
        with embedded.open_server("tests", self._home):
            pass


def inject(database: str, state: str, times: int) -> None:
    """Make the first `times` statements that write a row of the user `bad` fail with an SQLSTATE."""
    with Database(database):
        pass  # this makes the schema
    administrate(
        database,
        f"""
        create sequence public.failed;
        create function public.fail() returns trigger language plpgsql as $$
        begin
            if nextval('public.failed') <= {times} then
                raise exception 'made for a test' using errcode = '{state}';
            end if;
            return new;
        end $$;
        create trigger fail before insert on public.user_performance
        for each row when (new.user_id = 'bad') execute function public.fail()
        """,
    )
