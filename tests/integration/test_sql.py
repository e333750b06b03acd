"""No SQL is built from data: every statement was written by hand, and those on the same tables agree."""

import ast
import re
from pathlib import Path

import pytest

from processor.plan import Plan
from state.database import Database
from state.read_statements import read_statements
from tests.support.database_queries import execute
from tests.support.event_files import CLICK, HEADER
from tests.support.ingest import ingest_folder
from tests.support.lake_folders import contents, write_lake
from tests.support.paths import ROOT
from tests.support.postgres import as_role
from tests.support.tables import Model

SOURCES = sorted([ROOT / "run.py", *(ROOT / "processor").rglob("*.py"), *(ROOT / "state").rglob("*.py")])
STATEMENTS = sorted((ROOT / "state" / "statements").glob("*.sql"))
CALLS = {"execute", "executemany", "copy_expert", "copy_from", "mogrify", "callproc", "execute_values", "execute_batch"}


def is_written_by_hand(node: ast.expr) -> bool:
    """Whether an expression is a literal, a statement read from a file, a file of ours, or SQL with inserted names."""
    match node:
        case ast.Constant(value=str()):
            return True
        case ast.Subscript(value=ast.Attribute(attr="statements")):
            return True
        case ast.Call(func=ast.Attribute(attr="read_text"), args=[]):
            return True
        case ast.Call(func=ast.Attribute(attr="format", value=ast.Call() as template), args=parts, keywords=[]):
            return is_sql(template, "SQL") and all(is_sql(part, "Identifier") for part in parts)
        case _:
            return False


def is_sql(node: ast.expr, name: str) -> bool:
    """Whether an expression is from `psycopg2.sql`: SQL of a literal, or an Identifier."""
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name(id="sql"), attr=attribute), args=[argument]):
            return attribute == name and (name == "Identifier" or isinstance(argument, ast.Constant))
        case _:
            return False


def wrong_calls(source: str) -> list[int]:
    """Return the lines of a module on which a cursor may get a statement that was not written by hand."""
    wrong = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        # Transactions.execute takes the cursor and the name of a statement.
        if called in CALLS and not (called == "execute" and len(node.args) == 2 and is_name(node)):
            wrong += [] if node.args and is_written_by_hand(node.args[0]) else [node.lineno]
    return wrong


def is_name(node: ast.Call) -> bool:
    """Whether a call is of `Transactions.execute`, which looks up the statement by its name."""
    assert isinstance(node.func, ast.Attribute)
    return ast.unparse(node.func.value) in ("self", "self._db", "self._run", "self.database", "database", "db")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_no_sql_is_built_from_data(path: Path) -> None:
    assert wrong_calls(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "cur.execute(f'select {x}')",
        "cur.execute('select ' + x)",
        "cur.execute('select %s' % x)",
        "cur.execute(x)",
        "cur.copy_expert(x, file)",
        "cur.execute(sql.SQL(x))",
        "cur.execute(sql.SQL('{}').format(sql.SQL(x)))",
        "cur.execute(f'{x}', [1])",
    ],
)
def test_the_guard_sees_what_is_built(source: str) -> None:
    assert wrong_calls(source) == [1]


@pytest.mark.parametrize("path", [*STATEMENTS, ROOT / "state" / "schema.sql"], ids=lambda path: path.name)
def test_no_statement_builds_another(path: Path) -> None:
    text = path.read_text(encoding="utf-8").lower()
    assert "execute" not in text
    assert "format(" not in text


def test_tables_of_others_in_public_are_not_taken_for_ours(database: str, tmp_path: Path) -> None:
    """These tables have the names of the temporary tables, and can be written to."""
    write_lake(tmp_path, {"a.tsv": HEADER + CLICK, "b.tsv": HEADER + CLICK})
    with Database(database) as db:
        made = re.findall(
            r"create temporary table pg_temp\.(\w+) (\(.*?\n?\)) on commit", db.statements["create_new"], re.DOTALL
        )
    assert len(made) == 13
    owner = as_role("postgres", database)
    execute(
        owner,
        *(f"create table public.{name} {columns}" for name, columns in made),
        "grant all on all tables in schema public to etl",
    )
    _, errors = ingest_folder(tmp_path, database, Plan())
    assert errors == {}
    Model().check(owner, contents(tmp_path))
    for name, _ in made:
        assert execute(owner, f"select from public.{name}") == []


def test_every_temporary_table_of_a_batch_is_dropped_and_emptied() -> None:
    statements = read_statements()
    made = re.findall(r"create temporary table (pg_temp\.\w+)", statements["create_new"])
    dropped = re.findall(r"pg_temp\.\w+", statements["create_new"].split(";")[0])
    emptied = re.findall(r"pg_temp\.\w+", statements["clear_new"])
    assert len(made) > 10
    assert made == dropped == emptied


def test_every_comparison_table_replaces_its_table() -> None:
    statements = read_statements()
    made = set(re.findall(r"create temporary table (\w+) \(like", statements["create_comparison_tables"]))
    replaced = re.findall(r"insert into (?:state|public)\.(\w+)", statements["apply_comparison_tables"])
    assert len(made) > 5
    kept = {"restatements", "restating_files"}  # what earlier runs changed stays
    assert made - kept == set(replaced)
