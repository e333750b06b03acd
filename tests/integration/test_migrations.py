"""The schema is the sum of its migrations, and databases at any step are brought up to it."""

import shutil
from pathlib import Path

import pytest

from processor.lake.open_lake import open_lake
from processor.plan import Plan
from processor.rebuild import rebuild
from processor.verify import verify
from state import schema
from state.database import Database
from state.errors import DatabaseError
from state.run import begin_run
from state.schema import list_migrations
from state.store import Store
from tests.support.database_queries import execute
from tests.support.ingest import SilentTally, ingest_folder
from tests.support.older_schemas import OLDER, make_older, older_lake
from tests.support.paths import ROOT
from tests.support.program_runs import run
from tests.support.tables import Model

# The definition of every object; the order of columns is left out, as a migration can only add columns at the end.
CATALOG = """
select 'column', format('%s.%s.%s', table_schema, table_name, column_name),
    concat_ws(' ', data_type, numeric_precision, numeric_scale, is_nullable, column_default, collation_name,
        identity_generation, generation_expression)
from information_schema.columns where table_schema in ('state', 'public')
union all
select 'constraint', format('%s.%s', conrelid::regclass, conname), pg_get_constraintdef(oid)
from pg_constraint where connamespace in ('state'::regnamespace, 'public'::regnamespace) and contype <> 'n'
union all
select 'index', format('%s.%s', schemaname, indexname), indexdef from pg_indexes where schemaname in ('state', 'public')
union all
select 'view', format('%s.%s', schemaname, viewname), definition from pg_views where schemaname in ('state', 'public')
union all
select 'table', oid::regclass::text, concat_ws(' ', relkind, relpersistence, relreplident, reloptions)
from pg_class where relnamespace in ('state'::regnamespace, 'public'::regnamespace)
union all
select 'function', oid::regprocedure::text, pg_get_functiondef(oid)
from pg_proc where pronamespace in ('state'::regnamespace, 'public'::regnamespace)
union all
select 'comment', format('%s.%s', objoid::regclass, objsubid), ''
from pg_description where classoid = 'pg_class'::regclass and objoid >= 16384 and objsubid = 0
union all
select 'comment', format('%s.%s', attrelid::regclass, attname), col_description(attrelid, attnum)
from pg_attribute inner join pg_class on pg_class.oid = attrelid
where relnamespace in ('state'::regnamespace, 'public'::regnamespace) and col_description(attrelid, attnum) is not null
union all
select 'comment', oid::regclass::text, obj_description(oid, 'pg_class')
from pg_class where relnamespace in ('state'::regnamespace, 'public'::regnamespace)
union all
select 'comment', nspname, obj_description(oid, 'pg_namespace') from pg_namespace where nspname = 'state'
"""


def test_migrations_are_numbered_from_one() -> None:
    assert list(list_migrations()) == list(range(1, len(list_migrations()) + 1))
    assert len(list((ROOT / "state" / "migrations").iterdir())) == len(list_migrations())


def test_the_schema_is_the_sum_of_its_migrations(database: str) -> None:
    make_older(database, max(list_migrations()))
    summed = set(execute(database, CATALOG))
    execute(database, "drop schema state cascade; drop table article_performance, user_performance cascade")
    execute(database, "drop owned by current_user")
    with Database(database):
        pass
    assert set(execute(database, CATALOG)) == summed
    assert execute(database, "select step from state.steps order by step") == [(step,) for step in list_migrations()]


@pytest.mark.parametrize("data", sorted(OLDER.glob("*.sql")), ids=lambda path: path.stem)
def test_an_older_database_is_migrated_and_continues(database: str, tmp_path: Path, data: Path) -> None:
    make_older(database, int(data.stem))
    execute(database, data.read_text(encoding="utf-8"))
    files = older_lake(tmp_path / "lake")
    tally, _ = ingest_folder(tmp_path / "lake", database, Plan())
    assert (tally.files_counted, tally.files_unchanged, tally.files_failed) == (0, 3, 1)
    Model(knows_newest=False).check(database, files)
    lake = open_lake(str(tmp_path / "lake"))
    with Database(database) as db, begin_run(db, lake.url) as this_run:
        assert not list(verify(lake, Store(this_run), Plan(), SilentTally()))
        rebuild(lake, Store(this_run), Plan(), SilentTally())
    Model().check(database, files)
    assert execute(database, "select max(step) from state.steps") == [(max(list_migrations()),)]


def test_a_newer_database_is_refused(database: str, tmp_path: Path) -> None:
    with Database(database):
        pass
    execute(database, "insert into state.steps (step) values (9999)")
    done = run(lake=tmp_path, database=database)
    assert done.returncode == 2
    assert done.stderr == (
        f"the database is at step 9999 of the schema and this program at {max(list_migrations())}: use the newer one\n"
    )


def test_a_migration_that_fails_leaves_nothing(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Database(database):
        pass
    last = max(list_migrations())
    shutil.copytree(ROOT / "state", tmp_path / "state")
    (tmp_path / "state" / "migrations" / f"{last + 1:04}_good.sql").write_text(
        "create table state.good ();", encoding="utf-8"
    )
    wrong = "create table state.wrong (); select 1 / 0;"
    (tmp_path / "state" / "migrations" / f"{last + 2:04}_wrong.sql").write_text(wrong, encoding="utf-8")
    monkeypatch.setattr(schema, "FOLDER", tmp_path / "state")
    with pytest.raises(DatabaseError, match="division by zero"), Database(database):
        pass
    found = execute(database, "select max(step), to_regclass('state.good') is null from state.steps")
    assert found == [(last + 1, False)]
    assert execute(database, "select to_regclass('state.wrong')") == [(None,)]
