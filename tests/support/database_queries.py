"""Statements on the database of a test, and the locks that they hold or wait for."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import psycopg2
from psycopg2 import sql


def ask(url: str, statement: str) -> list[tuple[object, ...]]:
    """Return the rows of one statement, which is committed."""
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cur:
        cur.execute(statement)
        return cur.fetchall()


def execute(url: str, *statements: str) -> list[tuple[object, ...]]:
    """Execute statements in one transaction; return the rows of the last one, if it has any."""
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cur:
        for statement in statements:
            cur.execute(statement)
        return cur.fetchall() if cur.description else []


def everything(url: str) -> dict[str, list[tuple[object, ...]]]:
    """Return all rows of all tables, each with its place on disk and the transaction that wrote it."""
    found = {}
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cur:
        cur.execute("select schemaname, tablename from pg_tables where schemaname in ('state', 'public')")
        for name in cur.fetchall():
            cur.execute(sql.SQL("select ctid, xmin, t.* from {} as t").format(sql.Identifier(*name)))
            found[".".join(name)] = cur.fetchall()
    return found


@contextmanager
def held(url: str, statement: str) -> Iterator[Callable[[], None]]:
    """Hold the locks of a statement until the block ends, or until the function that it yields is called."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cur:
        cur.execute(statement)
        yield connection.rollback


def is_waiting(url: str) -> bool:
    """Whether a statement in the database waits for the lock of another transaction."""
    query = "from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    return ask(url, f"select exists (select {query})") == [(True,)]


def holders(url: str) -> list[int]:
    """Return the process ids of the backends that hold the run lock."""
    query = "from pg_locks where locktype = 'advisory' and granted and database = (select oid from pg_database"
    return [int(str(pid)) for (pid,) in ask(url, f"select pid {query} where datname = current_database())")]
