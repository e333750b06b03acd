"""The statements that ingest files look up the rows that they touch; none reads a table that grows with history.

A plan shows which tables a statement reads; the rows that it reads from an index are counted by executing it.
"""

import re
import shutil
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import psycopg2
import pytest
from psycopg2.extensions import cursor

from processor import pipeline
from processor.checks import CheckLimits, check_all
from processor.lake.open_lake import open_lake
from processor.lake.selection import Selection
from processor.plan import Plan
from state.check_reads import CheckReads
from state.database import Database
from state.files import Failure
from state.read_statements import CONSTANTS
from state.run import begin_run
from state.store import Store
from tests.support.database_queries import ask, execute
from tests.support.event_files import HEADER, events
from tests.support.ingest import SilentTally, ingest_folder
from tests.support.lake_folders import write_lake
from tests.support.postgres import copy_of, new_database
from tests.support.waiting import wait_until

GROWING = {
    "article_performance", "articles", "category_days", "day_totals", "file_article_days", "file_rejected_lines",
    "file_sessions", "file_user_days", "lake_files", "restatements", "restating_files", "user_performance",
}  # fmt: skip
# The rows of a history of 300 files, which grows in every way: more days, more files of a day, more articles, more
# sessions of a user, files that share an article or a session, and a user with many events.
HISTORY = """
create temporary table numbered as
select (select max(file_id) from state.lake_files) + n as file_id, n from generate_series(1, 300) as n;
insert into state.lake_files (file_id, key, fingerprint, content_hash, size, lines, events)
select file_id, 'made/' || n || '.tsv', 'made', sha256(n::text::bytea), 1, 1, 1 from numbered;
create temporary table made as
select file_id, n.n, date '2015-01-01' + numbered.n as date
from numbered cross join generate_series(1, 300) as n (n);
insert into state.file_sessions (first_at, last_at, file_id, events, user_id, session_id)
select file_id * 4000 + 1, file_id * 1000 + 1, file_id, 1, md5('u' || n), md5('s' || file_id || '.' || n) from made;
insert into state.file_user_days (file_id, date, displays, clicks, user_id)
select file_id, date, 1, 1, md5('u' || n) from made;
insert into state.file_article_days (file_id, date, displays, clicks, article_id, title_at, title)
select file_id, date, 1, 1, md5('a' || file_id || '.' || n), 1, 'title' from made;
insert into state.file_rejected_lines (file_id, line_number, reason, raw) select file_id, n, 'nul_byte', '' from made;
insert into state.articles (article_id, title_at, title, clicks, last_date)
select md5('a' || file_id || '.' || n), 1, 'title', 1, date from made;
insert into article_performance (article_id, date, title, displays, clicks, cumulative_clicks)
select md5('a' || file_id || '.' || n), date, 'title', 1, 1, 1 from made;
insert into user_performance (user_id, date, sessions, session_seconds, displays, clicks)
select md5('u' || n), date, 1, 1, 1, 1 from made;
insert into state.category_days (date, displays, clicks, category) select date, 1, 1, 'c' || n from made;
insert into state.day_totals (date, displays, clicks, sessions, session_seconds)
select date '1900-01-01' + n, 300, 300, 300, 300 from generate_series(1, 20000) as n;
insert into state.restatements (run_id, date, restated_at, is_published, displays_before, displays_after,
    clicks_before, clicks_after, sessions_before, sessions_after, session_seconds_before, session_seconds_after)
select -n, date '1900-01-01' + n, now() - n * interval '1 hour', n % 2 = 0, n, 0, 0, 0, 0, 0, 0, 0
from generate_series(1, 20000) as n;
insert into state.restating_files (run_id, key, dates) select run_id, 'made', array[date] from state.restatements;
insert into state.runs (host, pid, command, ended_at, exit_code)
select 'h', 1, 'count', now() - interval '1 year', n % 2 from generate_series(1, 20000) as n;
update state.lake_files set counted_at = now(), newest_at = file_id;
analyze
"""
# Every file of that history also has the articles, sessions and users of the small files, on a day of its own.
SHARED = """
insert into state.file_article_days (file_id, date, displays, clicks, article_id, title_at, category_at,
    title, category)
select files.file_id, '2019-02-14', 1, 1, 'a' || n % 5, 1000 * files.file_id + n, 1000 * files.file_id, 'old' || n, 'c'
from state.lake_files as files cross join generate_series(0, 99) as n where fingerprint = 'made';
insert into state.file_sessions (first_at, last_at, file_id, events, user_id, session_id)
select 4 * (1550185200000000 + files.file_id) + 1, 1550188790000000 + files.file_id, files.file_id, 1,
    'u' || n % 3, 's' || n % 4
from state.lake_files as files cross join generate_series(0, 11) as n where fingerprint = 'made';
insert into state.file_user_days (file_id, date, displays, clicks, user_id)
select files.file_id, '2019-02-14', 1000, 1, 'u' || n
from state.lake_files as files cross join generate_series(0, 2) as n where fingerprint = 'made';
analyze
"""
WRITING = (
    "retract", "merge_new", "number_rejected_lines", "find_latest_texts", "change_article_days", "change_articles",
    "change_category_days", "append_article_performance", "append_articles", "rewrite_article_performance",
    "rewrite_articles", "change_sessions", "look_up_sessions", "change_users", "change_day_totals", "delete_empty",
    "name_restating_files", "record_files", "record_same", "find_files", "begin_turn",
    "drop_forgotten",
)  # fmt: skip
RECOUNTING = ("recount_articles", "recount_users", "recount_days")
CHECKING = (
    "find_newest_day", "sum_days", "sum_categories", "sum_event_names", "find_rejecting_days", "find_future_files",
    "find_long_sessions", "find_busy_users", "find_clicks_without_display",
)  # fmt: skip
# What a watch reads after each turn, and when it draws the report, and what status shows.
WATCHING = ("read_health", "read_files_of_last_run", "read_restatements_of_last_run", "read_newest_restatements")


class Explained(Database):
    """A database that records the plan of every statement that it executes."""

    def __init__(self, url: str) -> None:
        super().__init__(url, wait_seconds=5)
        self.plans: dict[str, list[str]] = {}

    def execute(self, cur: cursor, name: str, **parameters: object) -> None:
        if name in WRITING + RECOUNTING + WATCHING + CHECKING:
            for statement in re.split(r";\n", self.statements[name]):
                cur.execute(f"explain {statement}", CONSTANTS | parameters)
                self.plans.setdefault(name, []).extend(row[0] for row in cur.fetchall())
        super().execute(cur, name, **parameters)


def scans(plan: list[str]) -> Iterator[str]:
    """Yield the tables that a plan reads completely."""
    for line in plan:
        if found := re.search(r"Seq Scan on (\w+)", line):
            yield found[1]


@pytest.fixture(scope="module")
def history(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A lake of one small file, and a database that has counted it and a long history."""
    folder = tmp_path_factory.mktemp("lake")
    write_lake(folder, {"a.tsv": events(10, 60, "first") + b"bad\n"})
    with new_database(server) as url:
        ingest_folder(folder, url, Plan())
        with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cur:
            cur.execute(HISTORY)
        yield folder, url


@pytest.fixture
def counted(history: tuple[Path, str], tmp_path: Path) -> Iterator[str]:
    """A copy of that database, whose lake is the test's folder."""
    folder, kept = history
    shutil.copy2(folder / "a.tsv", tmp_path)
    with copy_of(kept) as url:
        with Database(url) as db, begin_run(db, str(tmp_path), relocated=True):
            pass
        yield url


def changed_twice(folder: Path) -> Iterator[None]:
    """Ingest a small file that is new, replaced, cut and touched, and one that continues its sessions."""
    once = events(5, 9, "once").replace(b"2019-02-15", b"2019-03-01")
    for data in (events(12, 50, "second") + b"bad\n", events(12, 40, "third"), once, HEADER):
        write_lake(folder, {"a.tsv": data, "b.tsv": data, "c.tsv": events(13, 5, "same")})
        yield


@pytest.mark.parametrize("forgotten", [0, 20_000])
def test_a_file_is_ingested_and_replaced_without_reading_through_history(
    counted: str, tmp_path: Path, forgotten: int
) -> None:
    execute(
        counted,
        "insert into state.hash_key (inner_key, outer_key) values ('', '')",
        "insert into state.forgotten_users (user_hash)"
        f" select sha256(n::text::bytea) from generate_series(1, {forgotten}) as n",
        "analyze state.forgotten_users",
    )
    lake, plans = open_lake(str(tmp_path)), dict[str, list[str]]()
    for _ in changed_twice(tmp_path):
        with Explained(counted) as db, begin_run(db, lake.url) as run:
            tally = SilentTally()
            pipeline.run(lake, Store(run), Plan(), tally)
            assert not tally.errors
            for name, plan in db.plans.items():
                plans.setdefault(name, []).extend(plan)
    assert plans.keys() == set(WRITING) - (set() if forgotten else {"merge_new", "drop_forgotten"})
    growing = GROWING | {"forgotten_users"}
    assert {name: read for name, plan in plans.items() if (read := growing.intersection(scans(plan)))} == {}


def test_a_recount_reads_through_the_users_only(counted: str, tmp_path: Path) -> None:
    """No index finds the sessions of a user; articles and days are looked up."""
    lake, tally = open_lake(str(tmp_path)), SilentTally()
    with Explained(counted) as db, begin_run(db, lake.url) as run:
        pipeline.run(lake, Store(run), Plan(selection=Selection("a.tsv", "a.tsv"), recounts=True), tally)
    assert (tally.errors, tally.files_counted) == ({}, 1)
    read = {name: GROWING.intersection(scans(db.plans[name])) for name in RECOUNTING}
    assert read == {
        "recount_articles": set(),
        "recount_users": {"file_sessions", "file_user_days", "user_performance"},
        "recount_days": set(),
    }


def test_a_watch_reads_what_is_new_however_long_it_runs(counted: str, tmp_path: Path) -> None:
    write_lake(tmp_path, {"b.tsv": events(3, 9, "b"), "c.tsv": events(4, 9, "c")})
    lake, tally = open_lake(str(tmp_path)), SilentTally()
    with Explained(counted) as db, begin_run(db, lake.url, command="watch") as run:
        with closing(psycopg2.connect(counted)) as connection, connection, connection.cursor() as cur:
            # All of the history is this watch's own.
            cur.execute("update state.runs set started_at = now() - interval '1 year'")
        store = Store(run)
        pipeline.run(lake, store, Plan(), tally)
        assert (tally.files_counted, tally.errors) == (2, {})
        store.fail([Failure("failed.tsv", "unreadable")])
        reads = store.reads
        assert {row["key"]: row["files"] for row in reads.report.read_files_of_last_run(9)} == {"b.tsv": 2, "c.tsv": 2}
        assert reads.read_health()["failed_files"] == 1
        assert [row["files"] for row in reads.report.read_restatements_of_last_run(9)] == [["b.tsv", "c.tsv"]]
        assert len(reads.read_newest_restatements(5)) == 5
        assert set(WATCHING) <= db.plans.keys()
        plans = {name: (GROWING | {"runs"}).intersection(scans(db.plans[name])) for name in WATCHING}
    assert not any(plans.values()), plans


def test_checks_read_the_days_that_they_check(counted: str) -> None:
    """Only the sessions of users whose sessions of a day are long are read, if there are any."""
    with closing(psycopg2.connect(counted)) as connection, connection, connection.cursor() as cur:
        cur.execute(
            "insert into article_performance (article_id, date, displays, clicks, cumulative_clicks)"
            " select article_id, date '2018-01-01' + n, 1, 1, 1"
            " from state.articles cross join generate_series(1, 5) as n limit 200000; analyze"
        )
    with Explained(counted) as db:
        list(check_all(CheckReads(db), CheckLimits(days=7), "UTC", datetime(2019, 3, 1, tzinfo=UTC)))
    assert db.plans.keys() == set(CHECKING)
    read = {name: tables for name, plan in db.plans.items() if (tables := GROWING.intersection(scans(plan)))}
    assert read == {"find_long_sessions": {"file_sessions"}}
    plan = "\n".join(db.plans["find_long_sessions"])
    assert re.search(r"Hash Join.*\n.*\n *-> +Seq Scan on file_sessions", plan), plan  # skipped without such a user


READ = """
select sum(coalesce(idx_tup_fetch, 0) + coalesce(seq_tup_read, 0)) from pg_stat_user_tables
where schemaname in ('state', 'public') and relname not in ('lake_files', 'runs', 'steps', 'lake')
"""
OTHERS = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"


def rows_read(url: str, folder: Path) -> int:
    """Return how many rows are read to ingest small files."""
    wait_until(lambda: ask(url, OTHERS) == [(0,)])  # a session reports what it read when it ends
    (before,) = ask(url, READ)[0]
    lake = open_lake(str(folder))
    for _ in changed_twice(folder):
        with Database(url, wait_seconds=5) as db, begin_run(db, lake.url) as run:
            tally = SilentTally()
            pipeline.run(lake, Store(run), Plan(), tally)
            assert not tally.errors
    wait_until(lambda: ask(url, OTHERS) == [(0,)])
    (after,) = ask(url, READ)[0]
    return int(str(after)) - int(str(before))


def test_files_that_share_articles_users_and_sessions_add_no_rows_to_read(database: str, tmp_path: Path) -> None:
    read = []
    for files in (15, 150):
        with copy_of(database) as url:
            folder = tmp_path / str(files)
            write_lake(folder, {"first.tsv": events(10, 60, "first") + b"bad\n"})
            ingest_folder(folder, url, Plan())
            with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cur:
                cur.execute(HISTORY.replace("300", str(files)) + "; " + SHARED)
            read.append(rows_read(url, folder))
    assert read[1] < 1.2 * read[0]


def test_a_report_reads_the_checkpoint_once_for_its_state_and_looks_failed_files_up(database: str) -> None:
    with Database(database) as db, closing(psycopg2.connect(database)) as connection, connection.cursor() as cur:
        cur.execute(
            """
            insert into state.lake_files (file_id, key, fingerprint, content_hash, counted_at, error)
            select n, n || '.tsv', 'made', '', now(), case when n % 1000 = 0 then 'bad' end
            from generate_series(1, 20000) as n;
            analyze state.lake_files
            """
        )
        connection.commit()
        cur.execute(f"explain {db.statements['read_report_state']}")
        plan = [line for (line,) in cur.fetchall()]
    assert list(scans(plan)).count("lake_files") == 1
    assert any("lake_files_failed" in line for line in plan)


def test_the_tables_of_the_plans_are_large_enough_to_show_a_scan(counted: str) -> None:
    """The check itself can fail: without its indexes, a table is read completely."""
    with closing(psycopg2.connect(counted)) as connection, connection.cursor() as cur:
        cur.execute("drop index state.file_sessions_first, state.file_sessions_last")
        cur.execute("explain select * from state.file_sessions where hashtextextended(session_id, 0) = 1")
        assert list(scans([row[0] for row in cur.fetchall()])) == ["file_sessions"]
