"""libpq's TLS settings in DATABASE_URL, with real servers that use TLS: PgBouncer, and Debian's Postgres."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import psycopg2
import pytest
from psycopg2.extensions import parse_dsn

from state import embedded
from state.embedded_account import find_account, run_as
from tests.support.certificates import make_certificate
from tests.support.event_files import FIRST
from tests.support.lake_folders import write_lake
from tests.support.pgbouncer import PROGRAM, free_port, listens, pooler
from tests.support.postgres import administrate, new_database
from tests.support.program_runs import run
from tests.support.tables import Model
from tests.support.waiting import wait_until

POSTGRES = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
SERVERS = [
    pytest.param("pgbouncer", marks=pytest.mark.skipif(PROGRAM is None, reason="pgbouncer is not installed")),
    pytest.param("postgres", marks=pytest.mark.skipif(not POSTGRES, reason="the embedded server speaks no TLS")),
]


class Tls(NamedTuple):
    """A server that accepts only TLS: its URI without settings, its root certificate, and another root certificate."""

    url: str
    root: Path
    wrong_root: Path


@contextmanager
def postgres(folder: Path, root: Path, key: Path) -> Iterator[str]:
    """The URI of a database on Debian's Postgres, over TCP."""
    programs, data, account = POSTGRES[-1], folder / "data", find_account(folder)
    made = run_as(
        [str(programs / "initdb"), "--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale", str(data)],
        account,
    )
    assert made.returncode == 0, made.stdout
    (data / "pg_hba.conf").write_text(
        "hostnossl postgres postgres 127.0.0.1/32 trust\nhostssl all all all trust\n", encoding="utf-8"
    )
    for _ in range(5):
        port = free_port()
        settings = {
            "listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": "", "fsync": "off",
            "ssl": "on", "ssl_cert_file": root, "ssl_key_file": key,
        }  # fmt: skip
        process = subprocess.Popen(
            [str(programs / "postgres"), "-D", str(data), *(f"--{name}={value}" for name, value in settings.items())],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )
        if listens(port, process):
            break  # no other program took the port
    try:
        name = embedded.name_database("tests")
        admin = f"postgresql://postgres@127.0.0.1:{port}/postgres?sslmode=disable"
        wait_until(lambda: _answers(admin))
        administrate(admin, "create database {}", name)
        yield f"postgresql://postgres@127.0.0.1:{port}/{name}?sslmode=require"
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def _answers(url: str) -> bool:
    with suppress(psycopg2.OperationalError):
        psycopg2.connect(url).close()
        return True
    return False


@pytest.fixture(params=SERVERS)
def tls(request: pytest.FixtureRequest, server: str, tmp_path: Path) -> Iterator[Tls]:
    """A server that uses TLS, with an empty database for the role that counts."""
    with tempfile.TemporaryDirectory() as name:
        folder, account = Path(name), Path(parse_dsn(server)["host"]).stat()
        root, key = make_certificate(folder, "right")
        wrong_root, _ = make_certificate(tmp_path, "wrong")
        for path in (folder, root, key):
            os.chown(path, account.st_uid, account.st_gid)
        shutil.copy(root, tmp_path)
        if request.param == "pgbouncer":
            files = {"client_tls_cert_file": root, "client_tls_key_file": key}
            with new_database(server) as database, pooler(database, client_tls_sslmode="require", **files) as url:
                yield Tls(url, tmp_path / root.name, wrong_root)
        else:
            with postgres(folder, root, key) as own, new_database(own) as database:
                yield Tls(database.partition("?")[0], tmp_path / root.name, wrong_root)


def test_tls_is_used_and_the_server_is_verified(tls: Tls, tmp_path: Path) -> None:
    write_lake(tmp_path / "lake", FIRST)
    url = f"{tls.url}?sslmode=verify-full&sslrootcert={tls.root}"
    done = run(lake=tmp_path / "lake", database=url)
    assert (done.returncode, done.stderr) == (0, "")
    Model().check(url, FIRST)


def test_a_server_with_the_wrong_identity_is_refused(tls: Tls, tmp_path: Path) -> None:
    elsewhere = tls.url.replace("@127.0.0.1:", "@db.example.org:")
    cases = {
        f"{tls.url}?sslmode=verify-full&sslrootcert={tls.wrong_root}": "certificate verify failed",
        f"{tls.url}?sslmode=verify-full&sslrootcert={tmp_path / 'none'}": "does not exist",
        f"{elsewhere}?sslmode=verify-full&sslrootcert={tls.root}&hostaddr=127.0.0.1": "does not match host name",
        f"{tls.url}?sslmode=disable": "",
        # Of several hosts, the error of the last one is reported.
        f"{tls.url.replace('@', '@127.0.0.1:9,')}?sslmode=verify-full&sslrootcert={tls.wrong_root}": "verify failed",
    }
    for url, words in cases.items():
        done = run(lake=tmp_path, database=url, DATABASE_WAIT="60")
        (line,) = done.stderr.splitlines()
        assert done.returncode == 2
        assert line.startswith("no connection to the database: ")
        assert line.endswith("; look at DATABASE_URL")
        assert words in line
