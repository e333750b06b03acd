"""A database whose tables are published for change data capture: every command works as before."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from state.database import Database
from tests.support.database_queries import ask
from tests.support.event_files import CLICK, HEADER, events
from tests.support.lake_folders import contents, write_lake
from tests.support.postgres import administrate, as_role, new_database
from tests.support.program_runs import Run, run
from tests.support.servers import oldest_server
from tests.support.tables import Model
from tests.support.waiting import wait_until


@pytest.fixture(params=["oldest", "own"])
def published(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URI of a database with a publication for all tables, on each version."""
    if request.param == "own":
        with new_database(request.getfixturevalue("server")) as uri:
            administrate(as_role("postgres", uri), "create publication everything for all tables")
            yield uri
        return
    with oldest_server() as server, new_database(server) as uri:
        administrate(as_role("postgres", uri), "create publication everything for all tables")
        administrate(
            as_role("postgres", uri),
            "do $$ begin perform pg_create_logical_replication_slot('all', 'pgoutput'); end $$",
        )
        yield uri
        administrate(as_role("postgres", uri), "do $$ begin perform pg_drop_replication_slot('all'); end $$")


@pytest.mark.slow
def test_every_command_works_if_all_tables_are_published(published: str, tmp_path: Path) -> None:
    lake, model = tmp_path / "lake", Model()
    write_lake(lake, {"a.tsv": events(1, 30, "a") + b"bad\n", "b.tsv": events(2, 30, "b"), "c.tsv": HEADER + CLICK})
    assert run(lake=lake, database=published).returncode == 0
    model.check(published, contents(lake))
    write_lake(lake, {"a.tsv": events(3, 25, "a"), "c.tsv": HEADER})
    assert run(lake=lake, database=published).returncode == 0
    model.check(published, contents(lake))
    assert run("verify", lake=lake, database=published).returncode == 0
    (lake / "c.tsv").write_text("no header", encoding="utf-8")
    assert run(lake=lake, database=published).returncode == 1
    model.check(published, contents(lake))
    (lake / "c.tsv").unlink()
    assert run("--prune", lake=lake, database=published).returncode == 0
    model.check(published, contents(lake), pruned=True)
    with Run("watch", "--interval", "1", lake=lake, database=published) as watch:
        write_lake(lake, {"b.tsv": events(4, 20, "b")})
        wait_until(
            lambda: ask(published, "select max(files_counted) from state.runs where command = 'watch'") == [(1,)]
        )
        watch.process.send_signal(signal.SIGTERM)
        assert watch.end() == 0
    model.check(published, contents(lake))
    ask(published, "update article_performance set clicks = 7; select 1")
    assert run("verify", lake=lake, database=published).returncode == 1
    assert run("--rebuild", lake=lake, database=published).returncode == 0
    model.check(published, contents(lake))
    assert run("forget", "a.tsv", lake=lake, database=published).returncode == 0
    del model.counting["a.tsv"]
    model.compare(published)


def test_each_table_that_a_publication_may_hold_identifies_its_rows(database: str) -> None:
    """This holds for tables of later migrations, too: tables without a key are replicated by whole rows."""
    with Database(database):
        pass
    without = """
    select relname from pg_class
    where relnamespace in ('state'::regnamespace, 'public'::regnamespace) and relkind = 'r' and relpersistence = 'p'
        and relreplident = 'd' and not exists (select from pg_index where indrelid = pg_class.oid and indisprimary)
    """
    assert ask(database, without) == []
