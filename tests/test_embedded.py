"""The server of its own: a database for each lake, shared by all that use it, and gone with the last of them."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from psycopg2.extensions import parse_dsn

from state import embedded
from tests.conftest import ROOT
from tests.processes import ask, wait_until
from tests.tables import Model
from tests.test_run import CLICK, HEADER, contents

HOLD = """
import sys, time
from pathlib import Path
from state import embedded
with embedded.server("held", Path(sys.argv[1])):
    print("up", flush=True)
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """The folder of a server, which is stopped in the end."""
    # Not in pytest's folder: another pytest that starts shuts it to the account that Postgres runs as.
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder, "server")
        embedded.stop(Path(folder, "server"))


def is_stopped(home: Path) -> bool:
    with (home / "server.lock").open("rb") as lock:
        return embedded._locked(lock.fileno())


def test_each_lake_has_a_database_of_its_own_and_keeps_it(home: Path) -> None:
    with embedded.server("s3://a/x/", home) as one, embedded.server("s3://b/x/", home) as other:
        assert parse_dsn(one)["host"] == parse_dsn(other)["host"]
        ask(one, "create table counted (); select 1")
        assert ask(other, "select to_regclass('counted')") == [(None,)]
    assert is_stopped(home)
    with embedded.server("s3://a/x", home) as again:
        assert ask(again, "select to_regclass('counted')::text") == [("counted",)]


def test_nobody_else_reaches_it(home: Path) -> None:
    """It trusts every account that reaches its socket, so that none but its own may."""
    with embedded.server("a", home) as uri:
        assert ask(uri, "show listen_addresses") == [("",)]
        assert ask(uri, "select inet_server_addr() is null") == [(True,)]
        folder = Path(parse_dsn(uri)["host"])
        assert folder.stat().st_mode & 0o077 == 0
        assert {path.name for path in folder.iterdir() if path.is_socket()} == {f".s.PGSQL.{embedded.PORT}"}


def test_the_last_to_leave_stops_the_server(home: Path) -> None:
    with embedded.server("a", home) as uri:
        with embedded.server("b", home):
            pass
        assert ask(uri, "select 1") == [(1,)]
    assert is_stopped(home)


def test_who_was_killed_uses_it_no_more(home: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, home], stdout=subprocess.PIPE, cwd=ROOT) as user:
        assert user.stdout is not None
        assert user.stdout.readline() == b"up\n"
        with embedded.server("held", home, make=False) as uri:
            assert ask(uri, "select 1") == [(1,)]
        assert not is_stopped(home)
        user.kill()
    with embedded.server("held", home, make=False) as uri:
        assert ask(uri, "select 1") == [(1,)]
    assert is_stopped(home)


def test_a_server_that_was_killed_is_started_again_with_what_was_committed(home: Path) -> None:
    with embedded.server("a", home) as uri:
        ask(uri, "create table committed (); select 1")
        os.kill(int(embedded._note(home)[0]), signal.SIGKILL)
        wait_until(lambda: is_stopped(home))
        with embedded.server("a", home) as again:
            assert ask(again, "select to_regclass('committed')::text") == [("committed",)]
    assert is_stopped(home)


def test_it_is_stopped_whoever_uses_it(home: Path) -> None:
    with embedded.server("a", home) as uri, closing(psycopg2.connect(uri)):
        embedded.stop(home)
        assert is_stopped(home)


def test_a_lake_that_was_not_counted_is_not_made_to_be_asked(home: Path) -> None:
    with pytest.raises(embedded.NoDatabaseError), embedded.server("never", home, make=False):
        pass
    assert is_stopped(home)


def test_the_variables_of_libpq_name_the_database_too(tmp_path: Path, database: str) -> None:
    (tmp_path / "lake").mkdir()
    (tmp_path / "lake" / "a.tsv").write_bytes(HEADER + CLICK)
    place = parse_dsn(database)
    names = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGDATABASE": "dbname"}
    environment = {**os.environ, "LAKE_URL": str(tmp_path / "lake")} | {name: place[of] for name, of in names.items()}
    command = [sys.executable, str(ROOT / "run.py")]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    Model().check(database, contents(tmp_path / "lake"))
