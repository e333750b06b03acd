"""Databases of older steps of the schema, and statements on them."""

import shutil
from contextlib import closing
from pathlib import Path

import psycopg2
from psycopg2 import sql

from state.schema import list_migrations
from tests.support.paths import ROOT
from tests.support.program import contents

OLDER = ROOT / "tests" / "support" / "older_databases"


def execute(url: str, *statements: str) -> list[tuple[object, ...]]:
    """The rows that the last statement gives, if any."""
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cur:
        for statement in statements:
            cur.execute(statement)
        return cur.fetchall() if cur.description else []


def make_older(url: str, step: int) -> None:
    """Make a database as a program at that step made it."""
    for number, path in list_migrations().items():
        if number <= step:
            execute(url, path.read_text(encoding="utf-8"), f"insert into state.steps (step) values ({number})")


def older_lake(folder: Path) -> dict[str, bytes]:
    """Make a folder the lake that older databases have counted; its files."""
    shutil.copytree(OLDER / "lake", folder, dirs_exist_ok=True)
    return contents(folder)


def everything(url: str) -> dict[str, list[tuple[object, ...]]]:
    """All rows of all tables, and which transaction wrote each."""
    found = {}
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cur:
        cur.execute("select schemaname, tablename from pg_tables where schemaname in ('state', 'public')")
        for name in cur.fetchall():
            cur.execute(sql.SQL("select ctid, xmin, t.* from {} as t").format(sql.Identifier(*name)))
            found[".".join(name)] = cur.fetchall()
    return found
