"""`verify` finds and names every damaged cell and row, and changes nothing."""

import tracemalloc
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from psycopg2 import sql
from psycopg2.errors import UniqueViolation

from processor.lake.open_lake import open_lake
from processor.plan import Plan
from processor.rebuild import rebuild
from processor.verify import verify
from state.comparison import Difference
from state.database import Database
from state.run import begin_run
from state.store import Store
from tests.support.database_queries import execute
from tests.support.ingest import SilentTally, ingest_folder
from tests.support.oracle import REQUIRED
from tests.support.program_runs import run

KEYS = {
    "public.article_performance": ("article_id", "date"),
    "public.user_performance": ("user_id", "date"),
    "state.articles": ("article_id",),
    "state.category_days": ("category", "date"),
    "state.day_totals": ("date",),
}
TABLES = [
    *KEYS,
    *(f"state.file_{name}" for name in ("article_days", "user_days", "sessions", "rejected_lines")),
]
OTHER_VALUE = {
    "text": "coalesce({}, '') || 'x'",
    "bytea": "{} || 'x'::bytea",
    "date": "{} + 1",
    "bigint": "coalesce({}, 0) + 1",
    "integer": "{} + 2",
    "numeric": "{} + 0.000001",
}
# The other columns describe the place of the version and the last run, not what was counted.
CHECKPOINT = [
    "key = 'x'",
    "content_hash = 'x'",
    "events = events + 1, lines = lines + 1",
    "rejected = rejected + 1, lines = lines + 1",
    "empty = empty + 1, lines = lines + 1",
    "newest_at = newest_at + 1",
    "event_days = '{}'",
    "file_id = file_id + 100",
]


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """A lake with something for every table."""
    for name, hour in (("a", 1), ("b", 2)):
        attributes = f'{{"id":"{name}","title":"t","category":"c"}}'
        event = f"2019-02-15 0{hour}:00:00\ts\tarticle_viewed\tu{name}\t{attributes}"
        (tmp_path / f"{name}.tsv").write_text("\t".join(REQUIRED) + f"\n{event}\n{event}\n\nbad\n", encoding="utf-8")
    return tmp_path


def differences(lake: Path, url: str) -> list[Difference]:
    """Return what `verify` finds."""
    place = open_lake(str(lake))
    with Database(url) as db, begin_run(db, place.url) as this_run:
        return list(verify(place, Store(this_run), Plan(), SilentTally()))


def rebuild_tables(lake: Path, url: str) -> None:
    """Rebuild the tables."""
    place = open_lake(str(lake))
    with Database(url) as db, begin_run(db, place.url) as this_run:
        rebuild(place, Store(this_run), Plan(), SilentTally())


def written(url: str, table: str) -> list[tuple[object, ...]]:
    """Return the columns of a table that are not generated, each with its type."""
    schema, name = table.split(".")
    return execute(
        url,
        "select column_name, data_type from information_schema.columns"
        f" where (table_schema, table_name) = ('{schema}', '{name}') and is_generated = 'NEVER'",
    )


def damages(url: str, table: str) -> list[str]:
    """Return statements that each damage a table: one for each column, one row too few, one row too many."""
    columns = written(url, table)
    first = f"where ctid = (select min(ctid) from {table})"
    names = ", ".join(str(column) for column, _ in columns)
    key = {"state.file_rejected_lines": "line_number"}.get(table, KEYS.get(table, ("",))[0])
    more = ", ".join(
        OTHER_VALUE[str(kind)].format(column) if column == key else str(column) for column, kind in columns
    )
    return [
        *(f"update {table} set {it} = {OTHER_VALUE[str(kind)].format(it)} {first}" for it, kind in columns),
        f"delete from {table} {first}",
        f"insert into {table} ({names}) select {more} from {table} {first}",
    ]


def first_key(url: str, table: str) -> list[object]:
    """Return how `verify` names the first row of a table."""
    if table in KEYS:
        ((key,),) = execute(
            url, f"select jsonb_build_array({', '.join(KEYS[table])}) from {table} order by ctid limit 1"
        )
    else:
        ((key,),) = execute(
            url,
            f"select jsonb_build_array(key) from {table} as t join state.lake_files using (file_id)"
            " order by t.ctid limit 1",
        )
    assert isinstance(key, list)
    return key


@pytest.mark.parametrize("table", TABLES)
def test_every_damaged_cell_is_found(lake: Path, database: str, table: str) -> None:
    ingest_folder(lake, database, Plan())
    assert not differences(lake, database)
    for damage in damages(database, table):
        key = first_key(database, table)
        execute(database, damage)
        found = differences(lake, database)
        named = [difference for difference in found if difference.table == table.split(".")[1]]
        assert named, damage
        if not damage.startswith("insert"):
            assert key in [difference.key for difference in named], damage
        rebuild_tables(lake, database)
    assert not differences(lake, database)


@pytest.mark.parametrize("damage", CHECKPOINT)
def test_a_damaged_checkpoint_is_found(lake: Path, database: str, damage: str) -> None:
    ingest_folder(lake, database, Plan())
    execute(database, f"update state.lake_files set {damage} where key = 'a.tsv'")
    assert ["a.tsv"] in [difference.key for difference in differences(lake, database)]


@pytest.mark.parametrize("table", TABLES)
def test_a_duplicate_row_is_found(lake: Path, database: str, table: str) -> None:
    ingest_folder(lake, database, Plan())
    names = ", ".join(str(column) for column, _ in written(database, table))
    try:
        execute(database, f"insert into {table} ({names}) select {names} from {table} limit 1")
    except UniqueViolation:
        return  # this table cannot have a duplicate row
    assert table.split(".")[1] in [difference.table for difference in differences(lake, database)]


def test_rows_without_a_file_are_found(lake: Path, database: str) -> None:
    ingest_folder(lake, database, Plan())
    execute(database, "insert into state.file_sessions values (0, 1, 99, 2, 'u', 's')")
    (found,) = differences(lake, database)
    assert (found.table, found.key, found.found) == ("file_sessions", ["no file 99"], {"rows": 1})


def contents(url: str) -> dict[str, list[tuple[object, ...]]]:
    """Return all rows of all tables, except `state.runs` and `state.lake`."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cur:
        cur.execute(
            "select schemaname, tablename from pg_tables"
            " where schemaname in ('state', 'public') and tablename not in ('runs', 'lake')"
        )
        found = {}
        for schema, name in cur.fetchall():
            cur.execute(sql.SQL("select ctid, xmin, t.* from {} as t").format(sql.Identifier(schema, name)))
            found[name] = cur.fetchall()
    return found


def test_verify_names_what_differs_and_changes_nothing(lake: Path, database: str) -> None:
    ingest_folder(lake, database, Plan())
    before = contents(database)
    done = run("verify", lake=lake, database=database)
    assert (done.returncode, done.stderr) == (0, "")
    assert contents(database) == before
    execute(database, "update article_performance set clicks = 9 where article_id = 'a'")
    execute(database, "delete from user_performance where user_id = 'ub'")
    before = contents(database)
    done = run("verify", lake=lake, database=database)
    assert done.returncode == 1
    assert "article_performance a 2019-02-15: clicks is 9, should be 2" in done.stdout
    assert "user_performance ub 2019-02-15 is missing" in done.stdout
    assert "2 differences" in done.stderr
    assert contents(database) == before


def test_differences_come_in_flat_memory(lake: Path, database: str) -> None:
    ingest_folder(lake, database, Plan())
    execute(
        database,
        "insert into user_performance (user_id, date, sessions, session_seconds, displays, clicks)"
        " select 'user ' || n, '2019-02-15', 0, 0, 1, 0 from generate_series(1, 40000) as n",
    )
    place = open_lake(str(lake))
    with Database(database) as db, begin_run(db, place.url) as this_run:
        tracemalloc.start()
        found = sum(1 for _ in verify(place, Store(this_run), Plan(), SilentTally()))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert found == 40000
    assert peak < 10_000_000
