"""A server of the oldest version that the program works with, as Debian installs it."""

import os
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
from tests.conftest import administrate
from tests.processes import ask, wait_until

OLDEST = Path("/usr/lib/postgresql/15/bin")


def is_up(folder: str, port: str) -> bool:
    """Whether a server answers, in whatever language it says so."""
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
    with tempfile.TemporaryDirectory() as folder:
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
            # as the tests' own server names it, so that `new_database` finds its place in it
            name = embedded.database_name("tests")
            uri = f"postgresql://postgres@/{name}?host={folder}&port={port}"
            administrate(uri.replace(name, "postgres"), "create database {}", name)
            yield uri
        finally:
            server.send_signal(signal.SIGINT)
            server.wait()
