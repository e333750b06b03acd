"""The embedded server: a database for each lake, shared by all that use it, and stopped by the last of them."""

import os
import pwd
import re
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import psycopg2
import pytest
from psycopg2.extensions import parse_dsn

from state import embedded
from state.embedded_account import Account, find_account, make_folder
from state.embedded_process import (
    PORT,
    SETTINGS,
    SOCKET_PATH_BYTES,
    USER,
    RunningServer,
    find_reason,
    is_answering,
    read_pid_file,
    try_lock,
)
from state.errors import EmbeddedError, NoDatabaseError
from tests.support.database_queries import ask
from tests.support.event_files import CLICK, HEADER
from tests.support.lake_folders import contents
from tests.support.paths import ROOT
from tests.support.servers import find_process
from tests.support.tables import Model
from tests.support.waiting import wait_until

HOLD = """
import sys, time
from pathlib import Path
from state import embedded
with embedded.open_server("held", Path(sys.argv[1])):
    print("up", flush=True)
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """The folder of a server, which is stopped in the end."""
    # Not in pytest's folder: when another pytest starts, it removes the access of the account that runs Postgres.
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder, "server")
        embedded.stop(Path(folder, "server"))


def is_stopped(home: Path) -> bool:
    with (home / "server.lock").open("rb") as lock:
        return try_lock(lock.fileno())


def test_each_lake_has_a_database_of_its_own_and_keeps_it(home: Path) -> None:
    with embedded.open_server("s3://a/x/", home) as one, embedded.open_server("s3://b/x/", home) as other:
        assert parse_dsn(one)["host"] == parse_dsn(other)["host"]
        ask(one, "create table counted (); select 1")
        assert ask(other, "select to_regclass('counted')") == [(None,)]
    assert is_stopped(home)
    with embedded.open_server("s3://a/x", home) as again:
        assert ask(again, "select to_regclass('counted')::text") == [("counted",)]


def test_only_its_own_account_reaches_the_socket(home: Path) -> None:
    """The server trusts every account that reaches its socket, so only its own account may reach it."""
    with embedded.open_server("a", home) as uri:
        assert ask(uri, "show listen_addresses") == [("",)]
        assert ask(uri, "select inet_server_addr() is null") == [(True,)]
        folder = Path(parse_dsn(uri)["host"])
        assert folder.stat().st_mode & 0o077 == 0
        assert {path.name for path in folder.iterdir() if path.is_socket()} == {f".s.PGSQL.{PORT}"}


def test_the_last_to_leave_stops_the_server(home: Path) -> None:
    with embedded.open_server("a", home) as uri:
        with embedded.open_server("b", home):
            pass
        assert ask(uri, "select 1") == [(1,)]
    assert is_stopped(home)


def test_a_killed_process_no_longer_counts_as_a_user(home: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, home], stdout=subprocess.PIPE, cwd=ROOT) as user:
        assert user.stdout is not None
        assert user.stdout.readline() == b"up\n"
        with embedded.open_server("held", home, make=False) as uri:
            assert ask(uri, "select 1") == [(1,)]
        assert not is_stopped(home)
        user.kill()
    with embedded.open_server("held", home, make=False) as uri:
        assert ask(uri, "select 1") == [(1,)]
    assert is_stopped(home)


def test_a_server_that_was_killed_is_started_again_with_what_was_committed(home: Path) -> None:
    with embedded.open_server("a", home) as uri:
        ask(uri, "create table committed (); select 1")
        os.kill(find_process(home), signal.SIGKILL)
        wait_until(lambda: is_stopped(home))
        with embedded.open_server("a", home) as again:
            assert ask(again, "select to_regclass('committed')::text") == [("committed",)]
    assert is_stopped(home)


def test_stop_ends_the_server_even_if_others_use_it(home: Path) -> None:
    with embedded.open_server("a", home) as uri, closing(psycopg2.connect(uri)):
        embedded.stop(home)
        assert is_stopped(home)


def test_a_server_that_does_not_stop_is_reported_and_keeps_its_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder, "with, comma")
        with monkeypatch.context() as patched:
            patched.setattr("state.embedded_process.STOP_SECONDS", 0.2)
            patched.setattr("os.kill", lambda *_: None)
            with (
                pytest.raises(EmbeddedError, match=r"does not stop: look into .*log, or"),
                embedded.open_server("a", home) as uri,
            ):
                pass
            with pytest.raises(EmbeddedError, match="does not stop"):
                embedded.stop(home)
            with pytest.raises(KeyError, match="the user's own"), embedded.open_server("a", home):
                raise KeyError("the user's own")
            assert ask(uri, "select 1") == [(1,)]
        embedded.stop(home)
        assert not Path(parse_dsn(uri)["host"]).exists()


@pytest.mark.parametrize("refused", ["os.kill", "state.embedded.stop_server"])
def test_a_server_that_may_not_be_stopped_is_reported(
    refused: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    with monkeypatch.context() as patched:
        patched.setattr(refused, refuse)
        with pytest.raises(EmbeddedError, match=r"\(Operation not permitted\)"), embedded.open_server("a", home):
            pass
    embedded.stop(home)
    assert is_stopped(home)


def test_commands_that_read_create_no_database(home: Path) -> None:
    with pytest.raises(NoDatabaseError), embedded.open_server("never", home, make=False):
        pass
    assert is_stopped(home)


def test_the_variables_of_libpq_name_the_database_too(tmp_path: Path, database: str) -> None:
    (tmp_path / "lake").mkdir()
    (tmp_path / "lake" / "a.tsv").write_bytes(HEADER + CLICK)
    place = parse_dsn(database)
    names = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGDATABASE": "dbname"}
    environment = {**os.environ, "LAKE_URL": str(tmp_path / "lake")} | {name: place[of] for name, of in names.items()}
    command = [sys.executable, str(ROOT / "run.py")]
    done = subprocess.run(command, check=False, capture_output=True, encoding="utf-8", cwd=tmp_path, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    Model().check(database, contents(tmp_path / "lake"))


def inodes(process: int) -> set[str]:
    """Return the numbers that the kernel gave to the sockets of a process."""
    found = set()
    for descriptor in Path(f"/proc/{process}/fd").iterdir():
        with suppress(OSError):
            found.add(str(descriptor.readlink()))
    return {name[8:-1] for name in found if name.startswith("socket:[")}


def test_the_server_listens_on_its_socket_only(home: Path) -> None:
    """The server trusts every account that reaches it."""
    with embedded.open_server("a", home) as uri:
        assert ask(uri, "show listen_addresses") == [("",)]
        assert ask(uri, "show unix_socket_directories") == [(f'"{home}"',)]
        held = inodes(find_process(home))
        assert held
        for table in ("tcp", "tcp6", "udp", "udp6"):
            lines = Path("/proc/net", table).read_text(encoding="utf-8").splitlines()[1:]
            assert held.isdisjoint(line.split()[9] for line in lines)
        with pytest.raises(psycopg2.OperationalError):
            psycopg2.connect(host="127.0.0.1", port=PORT, user=USER, connect_timeout=2)


def test_only_its_own_account_reaches_the_files(home: Path) -> None:
    with embedded.open_server("a", home):
        account = find_account(home)
        owner = account.uid if account else os.geteuid()
        for path in (home, home / "data"):
            assert (path.stat().st_uid, stat.S_IMODE(path.stat().st_mode)) == (owner, 0o700)
        for name in ("gate.lock", "users.lock", "server.lock", "log"):
            status = (home / name).stat()
            assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (owner, 0o600)


def test_the_server_runs_with_its_settings(home: Path) -> None:
    with embedded.open_server("a", home) as uri:
        wanted = {
            "checkpoint_timeout": "15min",
            "client_connection_check_interval": "1s",
            "jit": "off",
            "listen_addresses": "",
            "log_timezone": "UTC",
            "max_wal_senders": "0",
            "max_wal_size": "4GB",
            "port": "5432",
            "recovery_init_sync_method": "syncfs" if sys.platform == "linux" else "fsync",
            "server_encoding": "UTF8",
            "shared_buffers": "256MB",
            "timezone": "UTC",
            "unix_socket_directories": f'"{home}"',
            "wal_level": "minimal",
        }
        assert SETTINGS.keys() <= wanted.keys()
        assert {name: ask(uri, f"show {name}")[0][0] for name in wanted} == wanted
        locale = ask(uri, "select distinct datcollate, datctype from pg_database")
    assert locale == [("C", "C")]


def test_the_server_runs_as_an_account_other_than_root(home: Path) -> None:
    with embedded.open_server("a", home):
        status = Path("/proc", str(find_process(home)), "status").read_text(encoding="utf-8")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    account = find_account(home)
    assert set(fields["Uid"].split()) == {str(account.uid if account else os.geteuid())}
    if account is not None:
        assert account.uid != 0
        assert set(fields["Gid"].split()) == {str(account.gid)}
        assert not fields["Groups"].split()


@pytest.mark.parametrize("laid", ["link", "file", "folder"])
def test_a_folder_of_another_account_is_not_used(tmp_path: Path, laid: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    if laid == "link":
        (tmp_path / "server").symlink_to(tmp_path / "elsewhere")
    elif laid == "file":
        (tmp_path / "server").write_bytes(b"")
    elif os.geteuid() == 0:
        (tmp_path / "server").mkdir()
        os.chown(tmp_path / "server", 12345, 12345)
        account = Account(54321, 54321)
        with pytest.raises(EmbeddedError, match="belongs to another account"):
            make_folder(tmp_path / "server", account)
        os.chown(tmp_path / "server", *account)
        make_folder(tmp_path / "server", account)
        return
    else:
        pytest.skip("only root can make a folder of another account")
    with (
        pytest.raises(EmbeddedError, match="belongs to another account"),
        embedded.open_server("a", tmp_path / "server"),
    ):
        pass
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs it as another account")
def test_root_runs_the_server_as_the_owner_of_its_folder_or_as_nobody(tmp_path: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    home = tmp_path / "place" / "server"
    home.mkdir(parents=True)
    assert find_account(home) == (nobody.pw_uid, nobody.pw_gid)
    daemon = pwd.getpwnam("daemon")
    os.chown(home.parent, daemon.pw_uid, daemon.pw_gid)
    assert find_account(home) == find_account(home.parent / "new") == (daemon.pw_uid, daemon.pw_gid)
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    assert find_account(home) == (nobody.pw_uid, nobody.pw_gid)
    os.chown(home, 987_654_321, 0)  # an account without a name
    assert find_account(home) == (daemon.pw_uid, daemon.pw_gid)


def test_other_accounts_run_the_server_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert find_account(tmp_path) is None


def test_a_folder_whose_path_is_too_long_for_a_socket() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name in ("x" * SOCKET_PATH_BYTES, "with, comma"):
            home = Path(folder, name)
            with embedded.open_server("a", home) as uri:
                sockets = Path(parse_dsn(uri)["host"])
                assert sockets.parent == Path(tempfile.gettempdir())
                assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
                assert ask(uri, "select 1") == [(1,)]
            assert not sockets.exists()
        longest = Path(
            folder,
            "y" * (SOCKET_PATH_BYTES - len(os.fsencode(f"{folder}//.s.PGSQL.{PORT}"))),
        )
        with embedded.open_server("a", longest) as uri:
            assert parse_dsn(uri)["host"] == str(longest)


def test_a_server_that_cannot_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    del tmp_path
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder, "server")
        with embedded.open_server("a", home):
            pass
        made = (home / "data" / "PG_VERSION").read_bytes()
        (home / "data" / "PG_VERSION").write_bytes(b"9\n")
        with pytest.raises(EmbeddedError, match="was made by PostgreSQL 9, which is not installed here: install it"):
            embedded.open_server("a", home).__enter__()
        (home / "data" / "PG_VERSION").write_bytes(made)
        with monkeypatch.context() as patched:
            patched.setitem(SETTINGS, "shared_buffers", "soon")
            with pytest.raises(EmbeddedError, match=r"does not start .*shared_buffers.*DATABASE_URL"):
                embedded.open_server("a", home).__enter__()
        with embedded.open_server("a", home) as uri:
            assert ask(uri, "select 1") == [(1,)]


def test_data_that_was_half_made_is_made_again() -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder, "server")
        make_folder(home, find_account(home))
        (home / "new").mkdir()
        (home / "new" / "half").write_bytes(b"x")
        with embedded.open_server("a", home) as uri:
            assert ask(uri, "select 1") == [(1,)]
        assert not (home / "data" / "half").exists()
        assert not (home / "new").exists()


def test_a_folder_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(EmbeddedError, match=r"the embedded server cannot run or stop in .*Not a directory"):
        embedded.open_server("a", tmp_path / "file" / "server").__enter__()


def test_all_spellings_of_a_lake_have_one_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "lake").mkdir()
    (tmp_path / "link").symlink_to("lake")
    places = ["lake", "./lake/", str(tmp_path / "lake"), "~/lake", "link", "x/../lake"]
    assert len({embedded.name_database(place) for place in places}) == 1
    assert embedded.name_database("s3://b/l/") == embedded.name_database("s3://b/l")
    others = {embedded.name_database(place) for place in ("lake", "s3://b/l", "s3://b/l2", "s3://b", "lake2")}
    assert len(others) == 5
    assert all(re.fullmatch("lake_[0-9a-f]{12}", name) for name in others)


@pytest.mark.parametrize("lines", [None, 0, 5, 7, 8])
def test_the_pid_file_of_a_server_is_read_once_it_is_complete(tmp_path: Path, lines: int | None) -> None:
    (tmp_path / "data").mkdir()
    if lines is not None:
        (tmp_path / "data" / "postmaster.pid").write_text("1  \n" * lines, encoding="utf-8")
    assert read_pid_file(tmp_path) == (RunningServer(1, "1", is_ready=False) if lines == 8 else None)


def test_a_server_that_does_not_answer_is_tried_for_some_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[dict[str, object]]()

    def connect(_: str, **more: object) -> None:
        asked.append(more)
        raise psycopg2.OperationalError

    monkeypatch.setattr(psycopg2, "connect", connect)
    assert not is_answering("/nowhere")
    assert asked == [{"connect_timeout": 10, "client_encoding": "UTF8"}]


def test_a_database_has_its_lake_as_a_comment(home: Path) -> None:
    with embedded.open_server("s3://b/whose/", home) as uri:
        said = "select shobj_description(oid, 'pg_database') from pg_database where datname = current_database()"
        assert ask(uri, said) == [("s3://b/whose/",)]


@pytest.mark.parametrize(
    ("output", "why"),
    [
        ("a\nFATAL:  no room\nHINT: x", "no room"),
        ("initdb: error: no\nmore", "no"),
        ("x\nlast\n\n", "last"),
        (" \n", "it printed nothing"),
    ],
)
def test_the_reason_why_a_program_of_postgres_failed(output: str, why: str) -> None:
    assert find_reason(output) == why


def test_psql_opens_the_database_and_stop_ends_the_server(
    home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LAKE_URL", "s3://b/psql/")
    monkeypatch.setattr(embedded, "HOME", home)
    monkeypatch.setattr(embedded.open_server.__wrapped__, "__defaults__", (home, True))  # type: ignore[attr-defined]
    monkeypatch.setattr(embedded.stop, "__defaults__", (home,))
    assert embedded.main(["--no-psqlrc", "--tuples-only", "--command", "select current_database()"]) == 0
    assert capfd.readouterr().out.strip() == embedded.name_database("s3://b/psql/")
    assert embedded.main(["--command", "select wrong"]) != 0
    with embedded.open_server("a", home):
        assert embedded.main(["--stop"]) == 0
        assert is_stopped(home)
