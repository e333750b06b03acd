"""Databases of the benchmarks: how they are made, queried and compared."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2 import sql

from state import embedded

KEYS = """
select
    (select count(*) from article_performance),
    (select count(*) from state.articles),
    (select sum(sessions)::bigint from user_performance),
    (select count(*) from user_performance)
"""
# Sessions as files contribute them, 10,000 of each file, and the rows of their users.
SESSIONS = """
insert into state.lake_files (file_id, key, fingerprint, content_hash, size, lines, events)
select n, 'made/' || n || '.tsv', 'made', sha256(n::text::bytea), 1, 10000, 10000
from generate_series(1, %(files)s) as n;
insert into state.file_sessions (first_at, last_at, file_id, events, user_id, session_id)
select 4 * at + 1, at + 60000000, files.file_id, 1, md5('u' || n %% %(users)s), md5('s' || files.file_id || '.' || n)
from state.lake_files as files
cross join generate_series(1, 10000) as n
cross join lateral (select (1500000000 + 86400 * (files.file_id %% 500) + n)::bigint * 1000000 as at) as times
where files.fingerprint = 'made';
insert into user_performance (user_id, date, sessions, session_seconds, displays, clicks)
select user_id, state.find_session_day(first_at), count(*), 60 * count(*), 0, 0
from state.file_sessions group by 1, 2;
analyze
"""
DIFFERENT = """
select count(*) from (
    (select {ours} from public.{table} except all select {theirs} from peer.{table})
    union all
    (select {theirs} from peer.{table} except all select {ours} from public.{table})
) as differing
"""
ARTICLES = "article_id, date, title, category, displays, clicks, cumulative_clicks"
STATE = """
select
    sum(pg_total_relation_size(pg_class.oid)) filter (where nspname = 'state'),
    sum(pg_total_relation_size(pg_class.oid)) filter (where nspname = 'public')
from pg_class inner join pg_namespace on pg_namespace.oid = relnamespace
where relkind = 'r'
"""


def postmaster_id(folder: Path) -> int:
    """Return the process id of the server that `embedded.open_server` runs in a folder."""
    return int((folder / "data" / "postmaster.pid").read_text(encoding="utf-8").split()[0])


@contextmanager
def new_database(server: str) -> Iterator[str]:
    """Make an empty database on a server; return its URI."""
    name = f"bench_{time.monotonic_ns()}"
    with closing(psycopg2.connect(server)) as admin:
        admin.autocommit = True
        with admin.cursor() as cur:
            cur.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
            yield server.replace(f"/{embedded.name_database('bench')}?", f"/{name}?")
            cur.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def rows(url: str, statement: str, **parameters: object) -> list[Any]:
    """Return the rows of a statement."""
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cur:
        cur.execute(statement, parameters)
        return cur.fetchall() if cur.description else []


def until(url: str, question: str, key: str | None = None) -> None:
    """Wait until a statement returns true; raises RuntimeError after 600 s."""
    end = time.monotonic() + 600
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cur:
        connection.autocommit = True
        while True:
            cur.execute(question, {"key": key})
            if cur.fetchone() == (True,):
                return
            if time.monotonic() > end:
                raise RuntimeError(f"waited in vain for {key or question}")
            time.sleep(0.01)


def share_of_state(url: str) -> float:
    """Return the bytes of the state for each byte of the BI tables."""
    ((state, public),) = rows(url, STATE)
    return float(state) / float(public)


def check_same(url: str, peer: str) -> None:
    """Raise RuntimeError unless a peer's tables equal ours."""
    names = {
        "article_performance": (ARTICLES, ARTICLES),
        "user_performance": (
            "user_id, date, sessions, session_seconds, displays, clicks",
            "user_id, date, sessions, session_microseconds * 0.000001, displays, clicks",
        ),
    }
    for table, (ours, theirs) in names.items():
        differing = rows(url, DIFFERENT.format(table=table, ours=ours, theirs=theirs))[0][0]
        if differing:
            raise RuntimeError(f"{peer} and this program differ in {differing} rows of {table}")
