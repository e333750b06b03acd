"""Who may do what in the database: `state/roles.sql`, under which all tests run."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest

from tests.support.database_queries import ask
from tests.support.event_files import CLICK, HEADER
from tests.support.postgres import as_role, make_roles
from tests.support.program_runs import run


@pytest.fixture
def counted(tmp_path: Path, database: str) -> str:
    """The URI of a database that has ingested a lake."""
    (tmp_path / "a.tsv").write_bytes(HEADER + CLICK + b"bad\n")
    assert run(lake=tmp_path, database=database).returncode == 0
    return database


def test_the_role_that_counts_has_no_right_beyond_its_database(counted: str) -> None:
    rights = "rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls"
    assert ask(counted, f"select {rights} from pg_roles where rolname = current_user") == [(False,) * 5]
    assert ask(counted, "select count(*) from pg_auth_members where member = to_regrole('etl')") == [(0,)]
    owner = "select pg_get_userbyid(datdba) = current_user from pg_database where datname = current_database()"
    assert ask(counted, owner) == [(False,)]


def test_the_role_that_counts_can_run_every_command(tmp_path: Path, counted: str) -> None:
    for arguments in (
        ["--rebuild"],
        ["verify"],
        ["--prune"],
        ["rejected"],
        ["status"],
        ["explain", "a1"],
        ["--dry-run"],
        ["forget", "a.tsv"],
    ):
        assert run(*arguments, lake=tmp_path, database=counted).returncode == 0


def test_the_bi_role_sees_every_table_and_view_of_public(tmp_path: Path, counted: str) -> None:
    (tmp_path / "late.tsv").write_bytes(HEADER + CLICK)
    assert run(lake=tmp_path, database=counted).returncode == 0
    relations = ask(
        counted,
        "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'v', 'm')",
    )
    assert {"article_performance", "user_performance"} <= {name for (name,) in relations}
    for (name,) in relations:
        rows = ask(as_role("bi", counted), f"table public.{name}")
        assert rows or name == "busy_users"  # nobody is busy here


def test_the_bi_role_sees_tables_that_were_there_before_it(counted: str) -> None:
    owner = as_role("postgres", counted)
    ask(
        owner,
        "revoke all on all tables in schema public from bi; revoke all on schema public from bi, public; select 1",
    )
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        ask(as_role("bi", counted), "table public.article_performance")
    make_roles(owner)
    assert len(ask(as_role("bi", counted), "table public.article_performance")) > 0


REFUSED = [
    "table state.lake_files",
    "table state.rejected_lines",
    "update article_performance set clicks = 1",
    "insert into user_performance (user_id, date) values ('a', now())",
    "delete from article_performance",
    "truncate user_performance",
    "drop table article_performance",
    "create table public.mine (a integer)",
    "create schema mine",
    "create temporary table mine (a integer)",
    "create function public.mine() returns integer language sql return 1",
]


def test_the_bi_role_sees_and_changes_nothing_else(counted: str) -> None:
    for statement in REFUSED:
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            ask(as_role("bi", counted), statement)


def test_no_other_role_gets_in(server: str, counted: str) -> None:
    connection = psycopg2.connect(server)
    with connection, connection.cursor() as cur:
        cur.execute("select to_regrole('stranger') is null")
        if cur.fetchone() == (True,):
            cur.execute("create role stranger login")
    connection.close()
    with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
        psycopg2.connect(as_role("stranger", counted))


@pytest.fixture
def server_without_tls() -> Iterator[int]:
    """The port of a server that answers like a Postgres without TLS."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                client.recv(8)
                client.sendall(b"N")

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("sslmode=require", "server does not support SSL, but SSL was required"),
        ("sslmode=verify-full", "server does not support SSL, but SSL was required"),
        ("sslmode=perhaps", 'invalid sslmode value: "perhaps"'),
    ],
)
def test_tls_settings_pass_through(setting: str, words: str, server_without_tls: int, tmp_path: Path) -> None:
    url = f"postgresql://etl:hidden@127.0.0.1:{server_without_tls}/db?{setting}"
    done = run(lake=tmp_path, database=url, DATABASE_WAIT="30")
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2
    assert words in line
    assert "hidden" not in line
