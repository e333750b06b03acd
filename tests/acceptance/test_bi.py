"""The queries of `docs/bi.md` and the columns of `docs/dbt/sources.yml`, checked on a sample lake as the BI role."""

import datetime
import re
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from tests.support import made_lake
from tests.support.database_queries import ask
from tests.support.paths import ROOT
from tests.support.postgres import as_role
from tests.support.program_runs import run
from tests.support.tables import Tables, tables

PAGE = (ROOT / "docs" / "bi.md").read_text(encoding="utf-8")
QUERIES = dict(re.findall(r"^([A-Z][^\n]*(?:\n[^\n]+)*):\n\n```sql\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE))
DAYS = [datetime.date(2019, 2, day) for day in (15, 16, 17)]


def clicks_of(found: Tables, day: datetime.date) -> int:
    return sum(row.clicks for (_, date), row in found.article_performance.items() if date == day)


def displays_of(found: Tables, day: datetime.date) -> int:
    return sum(row.displays for (_, date), row in found.article_performance.items() if date == day)


def test_every_query_returns_what_the_guide_promises(tmp_path: Path, database: str) -> None:
    made_lake.write(tmp_path / "lake", days=3, lines=5000)
    assert run(lake=tmp_path / "lake", database=database).returncode == 0
    (first, *_) = sorted((tmp_path / "lake").iterdir())
    first.with_name("late.tsv").write_bytes(b"".join(first.read_bytes().splitlines(keepends=True)[:500]))
    assert run(lake=tmp_path / "lake", database=database).returncode == 0
    found = tables(database)
    assert len(QUERIES) == PAGE.count("```sql") == 16
    given = {title: ask(as_role("bi", database), query) for title, query in QUERIES.items()}
    assert all(rows for title, rows in given.items() if "came back" not in title)

    assert given["Clicks day by day"] == [(day, clicks_of(found, day)) for day in DAYS]
    totals: dict[str, int] = {}
    for (article, _), row in found.article_performance.items():
        totals[article] = totals.get(article, 0) + row.clicks
    busiest = sorted(totals, key=lambda article: (-totals[article], article))
    one = given["Cumulative clicks of one article, here the most clicked one"]
    assert one == [
        (day, row.clicks, row.cumulative_clicks)
        for (article, day), row in sorted(found.article_performance.items())
        if article == busiest[0]
    ]
    sums = [sum(clicks_of(found, day) for day in DAYS[:count]) for count in (1, 2, 3)]
    assert given["Cumulative clicks of all articles together"] == list(zip(DAYS, sums, strict=True))
    people = given["Clicks and displays day by day without bots, the users of `busy_users`"]
    assert people == [
        (
            day,
            sum(row.displays for (_, date), row in found.user_performance.items() if date == day),
            sum(row.clicks for (_, date), row in found.user_performance.items() if date == day),
        )
        for day in DAYS
    ]
    rates = [(day, clicks_of(found, day) / displays_of(found, day)) for day in DAYS]
    assert given["Click-through rate day by day"] == rates
    lengths = given["Average session length day by day, in minutes"]
    for day, sessions, minutes in lengths:
        users = [row for (_, date), row in found.user_performance.items() if date == day]
        assert sessions == sum(row.sessions for row in users)
        assert minutes == pytest.approx(float(sum(row.session_seconds for row in users)) / sessions / 60)
    medians = given["Median session length day by day, in minutes, which a few long sessions do not change"]
    assert [row[:2] for row in medians] == [row[:2] for row in lengths]
    shares = given["Share of sessions with one event only, day by day"]
    assert all(row[0] == day and 0 <= float(str(row[1])) < 1 for row, day in zip(shares, DAYS, strict=True))
    longest = [float(str(row[2])) for row in given["The ten longest sessions of the newest seven days, in minutes"]]
    assert longest == sorted(longest, reverse=True)
    top = given["The ten most clicked articles of the newest seven days"]
    assert [row[0] for row in top] == busiest[:10]
    assert all(row[2] == totals[str(row[0])] == row[5] for row in top)
    best = given["The ten best rates of articles with 100 displays or more"]
    assert all(isinstance(row[2], int) and row[2] >= 100 for row in best)
    ((day, _, before, after, *_, files, file_count),) = given["What changed after it was published, the newest first"]
    assert (day, after, files, file_count) == (DAYS[0], clicks_of(found, DAYS[0]), ["late.tsv"], 1)
    assert int(str(before)) < int(str(after))
    weeks = given["Week over week"]
    assert [row[1] for row in weeks] == [sums[-1]]


def test_the_page_names_every_table_and_view(database: str, tmp_path: Path) -> None:
    assert run(lake=tmp_path, database=database).returncode == 0
    assert set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)) == set(columns(database))


def columns(database: str) -> dict[str, list[str]]:
    """Return the columns of each table and view of schema public."""
    found: dict[str, list[str]] = {}
    for table, column in ask(
        as_role("bi", database),
        "select table_name, column_name from information_schema.columns where table_schema = 'public'"
        " order by ordinal_position",
    ):
        found.setdefault(str(table), []).append(str(column))
    return found


def test_dbt_knows_exactly_the_columns_that_exist(database: str, tmp_path: Path) -> None:
    assert run(lake=tmp_path, database=database).returncode == 0
    (source,) = yaml.safe_load((ROOT / "docs" / "dbt" / "sources.yml").read_text(encoding="utf-8"))["sources"]
    declared: dict[str, Any] = {table["name"]: table["columns"] for table in source["tables"]}
    assert {name: [column["name"] for column in its] for name, its in declared.items()} == columns(database)
    comments = ask(
        as_role("bi", database),
        "select relname, coalesce(attname, ''), description from pg_description"
        " inner join pg_class on pg_class.oid = objoid"
        " left join pg_attribute on attrelid = objoid and attnum = objsubid and objsubid > 0"
        " where relnamespace = 'public'::regnamespace and classoid = 'pg_class'::regclass and relkind in ('r', 'v')",
    )
    for table, column, comment in comments:
        (entry,) = [
            entry
            for entry in ([*declared[str(table)]] if column else source["tables"])
            if entry["name"] == (column or table)
        ]
        assert entry["description"] == comment
