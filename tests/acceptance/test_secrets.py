"""No output contains a password or key, and no data or setting controls a terminal."""

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import psycopg2
import pytest
from psycopg2 import sql

from processor.formats import make_printable
from processor.safe_text import describe_error, remove_passwords
from tests.support.event_files import CLICK, HEADER
from tests.support.paths import ROOT
from tests.support.postgres import as_role
from tests.support.program_runs import on_a_terminal, run
from tests.support.secret import SECRET

KEYS = {"AWS_ACCESS_KEY_ID": f"AKIA{SECRET}", "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_SESSION_TOKEN": f"token{SECRET}"}
NOWHERE = "http://127.0.0.1:9"

WRONG_DATABASES = [
    f"postgresql://user:{SECRET}@127.0.0.1:9/db",
    f"postgresql://user:a@{SECRET}@127.0.0.1:9/db",
    f"postgresql://user:{SECRET}/x@127.0.0.1:9/db",
    f"postgresql://user:x/{SECRET}@127.0.0.1:9/db",
    f"postgresql://user:x?{SECRET}@127.0.0.1:9/db",
    f"postgresql://user:{SECRET}%@127.0.0.1:9/db",
    f"postgresql://user:{SECRET}@127.0.0.1:port/db",
    f"postgresql://user:{SECRET}@no-such-host.invalid/db",
    f"postgresql://user:{SECRET}@127.0.0.1:9/db?connect_timeout=soon",
    f"postgresql://user:{SECRET}@127.0.0.1:9/db?no_such_setting=1",
    f"host=127.0.0.1 port=9 password={SECRET}",
    f"host=127.0.0.1 port=9 password='{SECRET}",
    f"mysql://user:{SECRET}@127.0.0.1/db",
    f"postgresql://user:{SECRET}\n@127.0.0.1:9/db",
    os.fsdecode(f"postgresql://user:{SECRET}".encode() + b"\xff@127.0.0.1:9/db"),
]


def assert_one_safe_line(done: subprocess.CompletedProcess[str]) -> None:
    """Fail unless a run ended with one line without secrets and without escapes for a terminal."""
    assert SECRET not in done.stdout + done.stderr
    (line,) = done.stderr.splitlines()
    assert line.isprintable()
    assert done.stdout == ""


@pytest.mark.parametrize("url", WRONG_DATABASES, ids=range(len(WRONG_DATABASES)))
def test_a_database_that_cannot_be_reached_is_reported_without_the_password(url: str, tmp_path: Path) -> None:
    done = run(lake=tmp_path, database=url, DATABASE_WAIT="0")
    assert done.returncode in (1, 2)
    assert_one_safe_line(done)


@pytest.mark.parametrize(
    "environment",
    [
        {"AWS_ENDPOINT_URL": NOWHERE},
        {"AWS_ENDPOINT_URL": f"http://user:{SECRET}@127.0.0.1:9"},
        {"AWS_ENDPOINT_URL": f"user:{SECRET}@no url"},
        {"AWS_ENDPOINT_URL": NOWHERE, "HTTP_PROXY": f"http://user:{SECRET}@127.0.0.1:9"},
        {"AWS_ENDPOINT_URL": NOWHERE, "AWS_SESSION_TOKEN": f"{SECRET}\n"},
        {"AWS_ENDPOINT_URL": NOWHERE, "AWS_ACCESS_KEY_ID": f"AKIA{SECRET}\r\nX: y"},
        {"AWS_ENDPOINT_URL": NOWHERE, "AWS_SECRET_ACCESS_KEY": f"{SECRET}é"},
        {"AWS_PROFILE": "no-such-profile"},
        {"MAX_TEXT_GIB": "\x1b[31m"},
        {"DATABASE_WAIT": "nan"},
    ],
    ids=range(10),
)
def test_a_lake_that_cannot_be_reached_is_reported_without_the_keys(environment: dict[str, str], database: str) -> None:
    settings = {**KEYS, "AWS_DEFAULT_REGION": "us-east-1", "AWS_MAX_ATTEMPTS": "1", **environment}
    done = run(lake="s3://lake/", database=database, **settings)
    assert done.returncode in (1, 2)
    assert_one_safe_line(done)
    assert SECRET not in dump(database)


def dump(database: str) -> str:
    """Return the content of all tables of the database."""
    connection, shown = psycopg2.connect(database), ""
    with connection, connection.cursor() as cur:
        cur.execute("select schemaname, tablename from pg_tables where schemaname in ('public', 'state')")
        for name in cur.fetchall():
            cur.execute(sql.SQL("select array_agg(whole::text) from {} as whole").format(sql.Identifier(*name)))
            shown = f"{shown}{cur.fetchall()}"
    connection.close()
    return shown


@pytest.fixture
def babbler() -> Iterator[str]:
    """The URL of a server that is not S3 and answers with escapes for a terminal."""

    class Babble(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(int(self.path.split("/")[1].split("-")[1].split("?")[0]))
            self.end_headers()
            self.wfile.write(b"<Error><Code>\x1b[31m\xc2\x9b</Code></Error>" if "403" in self.path else b"log in first")

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Babble)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("status", [200, 403, 404, 418])
def test_an_endpoint_that_is_not_s3_is_reported(status: int, babbler: str, database: str) -> None:
    settings = {**KEYS, "AWS_DEFAULT_REGION": "us-east-1", "AWS_MAX_ATTEMPTS": "1", "AWS_ENDPOINT_URL": babbler}
    done = run(lake=f"s3://status-{status}/", database=database, **settings)
    assert done.returncode in (1, 2)
    assert_one_safe_line(done)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--databse", f"postgresql://user:{SECRET}@host/db"],
        [f"postgresql://user:{SECRET}@host/db"],
        ["--lake", "a", "\x1b[31m\x9b"],
        ["forget"],
        ["--json=\x1b]0;x\x07"],
    ],
    ids=range(5),
)
def test_a_wrong_option_is_one_safe_line(arguments: list[str], tmp_path: Path) -> None:
    done = run(*arguments, lake=tmp_path, database="")
    assert done.returncode == 2
    assert_one_safe_line(done)


def test_no_output_contains_a_password_that_was_used(tmp_path: Path, database: str) -> None:
    lake, folder = tmp_path / "lake", tmp_path / "there"
    lake.mkdir()
    folder.mkdir()
    (lake / "a.tsv").write_bytes(HEADER + CLICK + b"bad\n")
    (lake / "b.tsv.gz").write_bytes(b"broken")
    url = as_role(f"etl:{SECRET}", database)
    shown = ""
    for arguments in (
        [],
        ["verify"],
        ["rejected"],
        ["status"],
        ["explain", "a1"],
        ["--dry-run"],
        ["forget", "a.tsv"],
        ["--rebuild", "--json"],
    ):
        environment = {**os.environ, **KEYS, "LAKE_URL": str(lake), "DATABASE_URL": url}
        command = [sys.executable, str(ROOT / "run.py"), *arguments]
        shown += str(subprocess.run(command, check=False, capture_output=True, env=environment, cwd=folder))
    assert SECRET not in shown
    assert SECRET not in dump(database)
    assert all(SECRET.encode() not in path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_no_process_shows_the_password_of_the_environment(tmp_path: Path) -> None:
    url = f"postgresql://etl:{SECRET}@127.0.0.1:9/db"
    environment = {**os.environ, "LAKE_URL": str(tmp_path), "DATABASE_URL": url, "DATABASE_WAIT": "60"}
    command = [sys.executable, str(ROOT / "run.py")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, encoding="utf-8", env=environment, cwd=tmp_path) as running:
        assert running.stderr is not None
        assert "waiting for the database" in running.stderr.readline()
        shown = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):  # it has ended, or belongs to another account
                shown.append(path.read_bytes())
        running.terminate()
        assert running.wait(30) == 1
    assert any(b"run.py" in line for line in shown)
    assert not any(SECRET.encode() in line for line in shown)


def test_data_reaches_a_terminal_as_text(tmp_path: Path, database: str) -> None:
    odd = "\x1b]0;owned\x07\x9b31m\u202e:smile:[bold]x"
    lake = tmp_path / "lake"
    lake.mkdir()
    title = json.dumps(odd, ensure_ascii=False).encode()
    (lake / f"{odd}.tsv").write_bytes(HEADER + CLICK.replace(b'"T"', title) + odd.encode() + b"\n")
    (lake / f"{odd}.tsv.gz").write_bytes(b"\x1b[31m\x07")
    environment = {**os.environ, "LAKE_URL": str(lake), "DATABASE_URL": database, "TERM": "xterm", "COLUMNS": "300"}
    shown = on_a_terminal([sys.executable, str(ROOT / "run.py")], environment, tmp_path)
    assert f"counted {make_printable(odd)}.tsv: 1 event, 1 line rejected" in shown
    assert f"not counted {make_printable(odd)}.tsv.gz: its compression is broken" in shown
    assert odd not in shown
    for command in ("\x1b]0;", "\x07", "\x9b", "\u202e"):
        assert command not in shown


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", ">/dev/full 2>/dev/null", "| true"])
def test_a_run_is_counted_whatever_happens_to_its_outputs(closed: str, tmp_path: Path, database: str) -> None:
    (tmp_path / "é.tsv").write_bytes(HEADER + CLICK)
    environment = {**os.environ, "LAKE_URL": str(tmp_path), "DATABASE_URL": database, "PYTHONIOENCODING": "ascii"}
    with tempfile.TemporaryDirectory() as folder:
        command = ["/bin/sh", "-c", f"'{sys.executable}' '{ROOT / 'run.py'}' {closed}"]
        done = subprocess.run(command, check=False, capture_output=True, encoding="utf-8", env=environment, cwd=folder)
    assert done.stderr == ""
    assert "é.tsv" in dump(database)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a postgresql://u:p@h/d, http://h/x@y b@c", "a postgresql://h/d, http://h/x@y b@c"),
        (f"postgresql://u:a@{SECRET}@h/d", "postgresql://h/d"),
        (f"postgresql://u:a/{SECRET}@h/d", "postgresql://h/d"),
        (f"postgresql://{SECRET}@h/d", "postgresql://h/d"),
        ("s3://bucket/a@b/c.tsv", "s3://bucket/a@b/c.tsv"),
        (f"'postgresql://h/d?user=u&password={SECRET}&port=1'", "'postgresql://h/d?user=u&password=***&port=1'"),
        (f"sslpassword={SECRET} host=h", "sslpassword=*** host=h"),
        (f"password = '{SECRET} \\' {SECRET}' host=h", "password = *** host=h"),
        (f"PASSWORD='{SECRET}", "PASSWORD=***"),
        ("no password supplied", "no password supplied"),
    ],
)
def test_passwords_are_removed(text: str, shown: str) -> None:
    assert remove_passwords(text) == shown


def test_an_error_is_described_in_one_short_line_without_passwords() -> None:
    assert describe_error(ValueError(" a\n\tb s3://user:pass@host ")) == "a b s3://host"
    assert describe_error(ValueError("x" * 301)) == "x" * 300
    assert describe_error(ValueError("")) == "ValueError"
