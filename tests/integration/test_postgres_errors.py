"""Refused connections and statements: the SQLSTATE decides, in any language; a wrong setting ends the run with 2."""

import re
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psycopg2
import pytest
from psycopg2.extensions import parse_dsn

from state.postgres_errors import advise, is_temporary
from tests.support.database_queries import ask
from tests.support.event_files import CLICK, HEADER
from tests.support.lake_folders import contents, write_lake
from tests.support.postgres import administrate, as_role
from tests.support.program_runs import run
from tests.support.secret import SECRET
from tests.support.servers import inject, oldest_server
from tests.support.tables import Model

COMMANDS = [
    [],
    ["--rebuild"],
    ["--dry-run"],
    ["watch"],
    ["verify"],
    ["status"],
    ["explain", "a"],
    ["rejected"],
    ["forget", "a"],
]


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """A lake of one file."""
    write_lake(tmp_path / "lake", {"a.tsv": HEADER + CLICK})
    return tmp_path / "lake"


@contextmanager
def refusing(state: str, message: bytes, severity: bytes = "致命错误".encode()) -> Iterator[str]:
    """The URL of a server that answers every connection with an error, in a language of its own."""
    fields = {b"S": severity, b"V": b"FATAL", b"C": state.encode(), b"M": message}
    body = b"".join(kind + words + b"\0" for kind, words in fields.items()) + b"\0"
    answer = b"E" + struct.pack("!i", len(body) + 4) + body

    def serve() -> None:
        with suppress(OSError):
            while True:
                client, _ = listening.accept()
                with client:
                    while (begin := client.recv(8)) and struct.unpack("!ii", begin)[1] in (80877103, 80877104):
                        client.sendall(b"N")
                    client.recv(10_000)
                    client.sendall(answer)

    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        threading.Thread(target=serve, daemon=True).start()
        yield f"postgresql://etl:{SECRET}@127.0.0.1:{listening.getsockname()[1]}/lake"
        with suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("message", ["密码错误: no", "Passwort für Benutzer falsch"])
@pytest.mark.parametrize("state", ["28P01", "28000", "3D000", "42501", "22023", "42704", "55000", "0A000"])
def test_a_lasting_refusal_is_reported_at_once(lake: Path, state: str, message: str) -> None:
    begun = time.monotonic()
    with refusing(state, message.encode("latin-1" if message.isascii() or "ü" in message else "utf-8")) as url:
        done = run(lake=lake, database=url, DATABASE_WAIT="60")
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2
    assert line.startswith("no connection to the database: connection to server at")
    assert line.endswith("; look at DATABASE_URL")
    assert time.monotonic() - begun < 30


@pytest.mark.parametrize(("state", "advice"), [
    ("57P03", "look at DATABASE_URL"),
    ("57P01", "look at DATABASE_URL"),
    ("53300", "give this role two connections, then run again"),
    ("XX000", "look at DATABASE_URL"),
    ("08006", "look at DATABASE_URL"),
])  # fmt: skip
def test_a_temporary_refusal_is_waited_for(lake: Path, state: str, advice: str) -> None:
    with refusing(state, b"does not exist, invalid certificate, permission denied, authentication failed") as url:
        done = run(lake=lake, database=url, DATABASE_WAIT="1")
    waiting, line = done.stderr.splitlines()
    assert done.returncode == 1
    assert waiting.startswith("waiting for the database, 1 s at most (connection to server at")
    assert line.endswith(f"; {advice}")


@pytest.mark.parametrize(("message", "code"), [
    ("no such database: lake", 2),
    ("password authentication failed", 2),
    ("no more connections allowed (max_client_conn)", 1),
    ("pgbouncer cannot connect to server", 1),
])  # fmt: skip
def test_pgbouncer_is_recognised_by_its_messages(lake: Path, message: str, code: int) -> None:
    with refusing("08P01", message.encode(), b"FATAL") as url:
        done = run(lake=lake, database=url, DATABASE_WAIT="0.5")
    assert done.returncode == code
    assert ("give this role two connections" in done.stderr) == ("no more" in message)


def test_a_server_that_hangs_up_without_an_answer_is_waited_for(lake: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:

        def hang_up() -> None:
            with suppress(OSError):
                while True:
                    listening.accept()[0].close()

        threading.Thread(target=hang_up, daemon=True).start()
        url = f"postgresql://etl@127.0.0.1:{listening.getsockname()[1]}/invalid"
        done = run(lake=lake, database=url, DATABASE_WAIT="0.5")
        listening.shutdown(socket.SHUT_RDWR)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 2)


WRONG = {
    "PGSERVICE": ("nix", 'definition of service "nix" not found'),
    "PGSERVICEFILE": ("/nix", 'service file "/nix" not found'),
    "PGPORT": ("abc", 'invalid integer value "abc" for connection option "port"'),
    "PGSSLMODE": ("perhaps", 'invalid sslmode value: "perhaps"'),
    "PGREQUIREAUTH": ("abc", 'invalid require_auth value: "abc"'),
    "PGTARGETSESSIONATTRS": ("abc", 'invalid target_session_attrs value: "abc"'),
    "PGOPTIONS": ("-c nonsense=1", "nonsense"),
    "PGHOSTADDR": ("abc", 'could not parse network address "abc"'),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_variable_of_libpq_is_reported_in_one_line(server: str, lake: Path, name: str) -> None:
    value, words = WRONG[name]
    place = parse_dsn(server)
    settings = {"PGHOST": place["host"], "PGUSER": "postgres", "PGDATABASE": "postgres", "DATABASE_WAIT": "30"}
    if name == "PGSERVICEFILE":
        settings["PGSERVICE"] = "x"
    for command in COMMANDS if name == "PGSERVICE" else COMMANDS[:1]:
        done = run(*command, lake=lake, database="", **settings, **{name: value})
        (line,) = done.stderr.splitlines()
        assert (done.returncode, words in line) == (2, True), line


@pytest.mark.parametrize(("url", "words"), [
    ("postgresql://etl@127.0.0.1/x?pool_timeout=3", "a parameter that libpq does not know, pool_timeout:"),
    ("postgresql://etl@127.0.0.1/x?sslmode=prefer&schema=a", "a parameter that libpq does not know, schema:"),
    (f"postgresql://etl:a/b?{SECRET}=c@127.0.0.1/x", "is not a libpq URI"),
    (f"postgresql://etl:a/b?x=1&{SECRET}@127.0.0.1/x", "is not a libpq URI"),
    ("postgresql://etl@127.0.0.1/x?schema", "is not a libpq URI"),
    ("postgresql://etl@127.0.0.1/x?options=-c%20jit=off", "is not a libpq URI"),
    ("postgresql://etl@[::1/x", "is not a libpq URI"),
    ("host=127.0.0.1 nonsense=1", "is not a libpq URI"),
])  # fmt: skip
def test_a_url_that_libpq_cannot_parse_is_reported_in_one_line(lake: Path, url: str, words: str) -> None:
    for command in COMMANDS if "pool_timeout" in url else COMMANDS[:1]:
        done = run(*command, lake=lake, database=url, DATABASE_WAIT="30")
        (line,) = done.stderr.splitlines()
        assert (done.returncode, words in line, SECRET in line) == (2, True, False), line


# The beginning of the SQLSTATE of each class of refusals, and words of the advice.
FINAL = {
    "0A000": "PostgreSQL itself", "22021": "report it", "22P05": "report it", "23514": "trigger", "25006": "written to",
    "42501": "grant", "42703": "undo", "42P01": "undo", "42P07": "rename", "42710": "rename", "3F000": "undo",
    "53100": "free space", "53400": "raise the limit", "54000": "raise that limit", "55000": "replica identity",
    "55P03": "lock_timeout", "58030": "disk and its log", "P0001": "trigger", "XX000": "log", "XX001": "damaged",
    "ABCDE": "log",
}  # fmt: skip


# The same for all classes, including temporary ones and those that no statement causes.
ADVICE = {
    **FINAL, "08P01": "pooler", "08006": "again later", "25P03": "limit", "25001": "limit", "28000": "DATABASE_URL",
    "3D000": "DATABASE_URL", "40001": "again later", "40P01": "again later", "42P06": "rename", "42723": "rename",
    "42P10": "replica identity to default", "42883": "undo", "44000": "trigger", "53200": "memory or connections",
    "53300": "memory or connections", "54011": "raise that limit", "55006": "session that uses", "57P01": "again later",
    "57014": "statement_timeout", "P0004": "trigger", "XX002": "damaged",
}  # fmt: skip


@pytest.mark.parametrize("state", ADVICE)
def test_each_sqlstate_has_its_advice(state: str) -> None:
    kind = type("Said", (psycopg2.OperationalError,), {"pgcode": state})
    assert ADVICE[state] in advise(kind("x"))
    assert is_temporary(kind("x")) == (state not in ("53400", "54000", "54011", "55000"))
    assert not is_temporary(type("Said", (psycopg2.ProgrammingError,), {"pgcode": state})("x"))


def test_a_broken_connection_has_no_sqlstate_and_is_made_again() -> None:
    assert is_temporary(psycopg2.InterfaceError("connection already closed"))
    assert is_temporary(psycopg2.OperationalError("server closed the connection"))
    assert "again later" in advise(psycopg2.OperationalError("server closed the connection"))
    assert "default_pool_size" in advise(psycopg2.OperationalError("query_wait_timeout"))


@pytest.mark.parametrize("state", FINAL)
def test_each_final_answer_names_what_to_do(database: str, lake: Path, state: str) -> None:
    write_lake(lake, {"a.tsv": HEADER + CLICK.replace(b"\tu1\t", b"\tbad\t")})
    inject(database, state, times=1000)
    done = run(lake=lake, database=database)
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 1
    assert last.startswith("not counted a.tsv: the database refused: made for a test; ")
    assert FINAL[state] in last.rpartition(";")[2] + last
    assert "run again later" not in last
    tried = ask(database, "select last_value from public.failed") == [(1,)]
    assert tried == (state[:2] not in ("53", "55", "58") or state in ("53400", "55000"))


@pytest.mark.parametrize("made", [
    "create table article_performance (a integer)",
    "create view freshness as select 1 as a",
    "create schema state",
    "create sequence user_performance",
    "create type daily_overview as (a integer)",
])  # fmt: skip
def test_a_name_that_is_taken_is_reported(database: str, lake: Path, made: str) -> None:
    administrate(database, made)
    done = run(lake=lake, database=database)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1
    assert "already exists; somebody else uses this name: rename or drop theirs, or name another database" in line


def test_a_sequence_that_lags_behind_after_a_restore_is_set_forward(database: str, lake: Path) -> None:
    """This happens after a restore of the tables alone."""
    model = Model()
    run(lake=lake, database=database)
    ask(database, "select setval('state.runs_run_id_seq', 1, false)")
    write_lake(lake, {"b.tsv": HEADER + CLICK})
    done = run(lake=lake, database=database)
    assert (done.returncode, done.stderr) == (0, "")
    model.check(database, contents(lake))
    assert ask(database, "select count(*), max(run_id) from state.runs") == [(2, 2)]
    ask(database, "select setval('state.runs_run_id_seq', 100)")
    assert run(lake=lake, database=database).returncode == 0
    assert ask(database, "select max(run_id) from state.runs") == [(101,)]


def test_a_wrong_password_and_a_missing_database_end_with_2(server: str, lake: Path) -> None:
    done = run(lake=lake, database=server.replace("/lake_", "/nix_"), DATABASE_WAIT="30")
    assert (done.returncode, "does not exist" in done.stderr) == (2, True)
    done = run(lake=lake, database=as_role("nobody", server), DATABASE_WAIT="30")
    assert (done.returncode, "does not exist" in done.stderr) == (2, True)


@pytest.mark.parametrize(("name", "charset"), [("de_DE.UTF-8", "UTF-8"), ("de_DE", "ISO-8859-1")])
def test_a_server_that_speaks_german_is_understood(lake: Path, name: str, charset: str) -> None:
    with tempfile.TemporaryDirectory() as locales:  # the server's account may enter it
        Path(locales).chmod(0o755)
        make = ["localedef", "-i", "de_DE", "-f", charset, f"{locales}/{name}"]
        if shutil.which("localedef") is None or subprocess.run(make, check=False, capture_output=True).returncode:
            pytest.skip("this locale cannot be made here")
        with oldest_server({"LOCPATH": locales}, lc_messages=name) as server:
            done = run(lake=lake, database=re.sub("/lake_[0-9a-f]*", "/nix", server), DATABASE_WAIT="60")
            (line,) = done.stderr.splitlines()
            assert (done.returncode, line.endswith("; look at DATABASE_URL")) == (2, True)
            if "existiert nicht" not in line:
                pytest.skip("this server knows no German")
            administrate(server, "create role etl login")
            administrate(server, "alter role etl connection limit 1")
            done = run(lake=lake, database=as_role("etl", server), DATABASE_WAIT="1")
            assert (done.returncode, "two connections" in done.stderr.splitlines()[-1]) == (1, True)
