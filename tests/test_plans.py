"""The statements that count a file look up what they touch: none reads through a table that grows with history."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from psycopg2.extensions import cursor

from processor import pipeline
from processor.lake import lake_at
from processor.pipeline import Plan
from state.database import Database
from state.store import Store
from state.writer import REPLACE
from tests.conftest import new_database
from tests.tables import write_lake
from tests.test_crashes import HEADER, events
from tests.test_pipeline import Silence, count

GROWING = {
    "article_performance", "article_texts", "category_days", "file_article_days", "file_rejected_lines",
    "file_sessions", "file_user_days", "lake_files", "session_days", "user_performance",
}  # fmt: skip
# What a history of 300 files left: of each kind of row many a file, and of one file few.
HISTORY = """
insert into state.lake_files (key, fingerprint, content_hash, size, lines, events)
select 'made/' || n || '.tsv', 'made', sha256(n::text::bytea), 1, 1, 1 from generate_series(1, 300) as n;
create temporary table made as
select files.file_id, n, date '2015-01-01' + files.file_id as date
from state.lake_files as files cross join generate_series(1, 300) as n where files.fingerprint = 'made';
insert into state.file_sessions (first_at, last_at, file_id, events, user_id, session_id)
select file_id * 1000, file_id * 1000 + 1, file_id, 1, md5('u' || n), md5('s' || file_id || '.' || n) from made;
insert into state.file_user_days (file_id, date, displays, clicks, user_id)
select file_id, date, 1, 1, md5('u' || n) from made;
insert into state.file_article_days (file_id, date, displays, clicks, article_id, title_at, title)
select file_id, date, 1, 1, md5('a' || file_id || '.' || n), 1, 'title' from made;
insert into state.file_rejected_lines (file_id, line_number, reason, raw) select file_id, n, 'nul_byte', '' from made;
insert into state.article_texts (article_id, title_at) select md5('a' || file_id || '.' || n), 1 from made;
insert into article_performance (article_id, date, displays, clicks, cumulative_clicks)
select md5('a' || file_id || '.' || n), date, 1, 1, 1 from made;
insert into user_performance (user_id, date, sessions, session_seconds, displays, clicks)
select md5('u' || n), date, 1, 1, 1, 1 from made;
insert into state.category_days (date, displays, clicks, category) select date, 1, 1, 'c' || n from made;
insert into state.session_days (date, sessions, session_seconds)
select date '1900-01-01' + n, 300, 300 from generate_series(1, 20000) as n;
analyze
"""

# A history of so many files that all are about the same articles, users and days, each session in one file.
SHARED = """
insert into state.lake_files (key, fingerprint, content_hash, size, lines, events)
select 'made/' || n || '.tsv', 'made', sha256(n::text::bytea), 1, 1, 1 from generate_series(1, {files}) as n;
create temporary table made as
select files.file_id, n, date '1969-01-01' as date
from state.lake_files as files cross join generate_series(1, 20) as n where files.fingerprint = 'made';
insert into state.file_sessions (first_at, last_at, file_id, events, user_id, session_id)
select 0, 1, file_id, 1, 'u' || n, file_id || '.' || n from made;
insert into state.file_user_days (file_id, date, displays, clicks, user_id)
select file_id, date, 1, 1, 'u' || n from made;
insert into state.file_article_days (file_id, date, displays, clicks, article_id, title_at, title)
select file_id, date, 1, 1, 'a' || n, 1, 'title' from made;
insert into state.article_texts (article_id, title_at) select distinct 'a' || n, 1 from made
on conflict (article_id) do update set title_at = 1;
insert into article_performance (article_id, date, displays, clicks, cumulative_clicks, title)
select distinct 'a' || n, date, {files}, {files}, {files}, 'title' from made
on conflict (article_id, date) do update set title = 'title';
insert into user_performance (user_id, date, sessions, session_seconds, displays, clicks)
select distinct 'u' || n, date, {files}, 1, {files}, {files} from made
on conflict do nothing;
insert into state.category_days (date, displays, clicks) select distinct date, {files} * 20, {files} * 20 from made;
insert into state.session_days (date, sessions, session_seconds) select distinct date, {files} * 20, 20 from made
on conflict do nothing;
analyze
"""


class Explained(Database):
    """A database that keeps the plan of every statement that it executes."""

    def __init__(self, url: str) -> None:
        super().__init__(url, wait=5)
        self.plans: dict[str, list[str]] = {}

    def execute(self, cur: cursor, name: str, **parameters: object) -> None:
        if name in REPLACE:
            for statement in re.split(r";\n", self.queries[name]):
                cur.execute(f"explain {statement}", parameters)
                self.plans.setdefault(name, []).extend(row[0] for row in cur.fetchall())
        super().execute(cur, name, **parameters)


class Measured(Database):
    """A database that keeps how many rows of the growing tables each statement read."""

    def __init__(self, url: str) -> None:
        super().__init__(url, wait=5)
        self.read: Counter[str] = Counter()

    def execute(self, cur: cursor, name: str, **parameters: object) -> None:
        if name not in REPLACE:
            super().execute(cur, name, **parameters)
            return
        for statement in re.split(r";\n", self.queries[name]):
            cur.execute(f"explain (analyze, format json) {statement}", parameters)
            self.read[name] += sum(rows_read(row[0][0]["Plan"]) for row in cur.fetchall())


def rows_read(node: dict[str, Any]) -> int:
    """How many rows a plan read of the growing tables, those included that it passed over then."""
    own = 0
    if "Scan" in node["Node Type"] and node.get("Relation Name") in GROWING:
        rows = (
            node["Actual Rows"] + node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
        )
        own = round(rows * node["Actual Loops"])
    return own + sum(rows_read(below) for below in node.get("Plans", ()))


def scans(plan: list[str]) -> Iterator[str]:
    """The tables that a plan reads through."""
    for line in plan:
        if found := re.search(r"Seq Scan on (\w+)", line):
            yield found[1]


@pytest.fixture
def counted(database: str, tmp_path: Path) -> str:
    """A database with a long history and one small file."""
    write_lake(tmp_path, {"a.tsv": events(10, 60, "first") + b"bad\n"})
    count(tmp_path, database, Plan())
    with closing(psycopg2.connect(database)) as connection, connection, connection.cursor() as cur:
        cur.execute(HISTORY)
    return database


def test_a_file_is_counted_and_replaced_without_reading_through_history(counted: str, tmp_path: Path) -> None:
    lake = lake_at(str(tmp_path))
    for data in (events(12, 50, "second") + b"bad\n", events(12, 40, "third")):
        write_lake(tmp_path, {"a.tsv": data, "b.tsv": data})
        with Explained(counted) as db:
            db.claim(lake.url)
            outcome = pipeline.run(lake, Store(db), Plan(), Silence())
        assert outcome.files_counted == 2
        assert db.plans.keys() == set(REPLACE)
        assert {name: read for name, plan in db.plans.items() if (read := GROWING.intersection(scans(plan)))} == {}


def test_the_plans_are_of_tables_that_would_be_read_through(counted: str) -> None:
    """The check itself can fail: without its index a table is read through."""
    with closing(psycopg2.connect(counted)) as connection, connection.cursor() as cur:
        cur.execute("drop index state.file_sessions_hash")
        cur.execute("explain select * from state.file_sessions where hashtextextended(session_id, 0) = 1")
        assert list(scans([row[0] for row in cur.fetchall()])) == ["file_sessions"]


def reads_of_small_files(database: str, folder: Path, files: int) -> Counter[str]:
    """How many rows each statement reads, for a new file and a changed one, after so many that share their days."""
    lake = lake_at(str(folder))
    write_lake(folder, {"a.tsv": small_file(1)})
    count(folder, database, Plan())
    with closing(psycopg2.connect(database)) as connection, connection, connection.cursor() as cur:
        cur.execute(SHARED.format(files=files))
    write_lake(folder, {"a.tsv": small_file(2), "b.tsv": small_file(3)})
    with Measured(database) as db:
        db.claim(lake.url)
        assert pipeline.run(lake, Store(db), Plan(), Silence()).files_counted == 2
    assert db.read.total() > 0
    return db.read


def small_file(number: int) -> bytes:
    """A click on each of ten articles, by ten users in a session each, with texts that are not the latest ones."""
    line = "1969-01-01 10:00:0%d.000 +0000\t%s\tarticle_viewed\tu%d\t%s\n"
    return (
        HEADER
        + "".join(
            line % (number, f"{number}.{n}", n, json.dumps({"id": f"a{n}", "title": f"{number}"})) for n in range(1, 11)
        ).encode()
    )


def test_files_that_share_articles_users_and_days_make_the_next_one_no_dearer(server: str, tmp_path: Path) -> None:
    found = []
    for files in (200, 400):
        (tmp_path / str(files)).mkdir()
        with new_database(server) as database:
            found.append(reads_of_small_files(database, tmp_path / str(files), files))
    assert found[0] == found[1]
