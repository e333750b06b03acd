"""The views for BI: their rows, the types of their columns, and the comments that define them."""

import datetime
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from statistics import median

import pytest

from tests.support import made_lake
from tests.support.database_queries import ask
from tests.support.event_files import CLICK, HEADER
from tests.support.lake_folders import contents, write_lake
from tests.support.oracle import Session, exact_seconds, read_file, sessions_of
from tests.support.postgres import as_role
from tests.support.program_runs import run
from tests.support.tables import tables

VIEWS = [
    "category_performance", "daily_overview", "weekly_overview", "article_overview", "user_retention", "freshness",
    "restatements", "user_sessions", "busy_users",
]  # fmt: skip
TYPES = {"text", "date", "bigint", "double precision", "timestamp with time zone", "numeric", "ARRAY"}


@pytest.fixture
def counted(tmp_path: Path, database: str) -> str:
    """The URI, for the role that counts, of a database with a made lake of five days and a user who came later."""
    made_lake.write(tmp_path / "lake", days=5, lines=1200)
    later = [CLICK.replace(b"02-15", day).replace(b"u1", b"later") for day in (b"02-19", b"02-26")]
    (tmp_path / "lake" / "later.tsv").write_bytes(HEADER + b"".join(later))
    assert run(lake=tmp_path / "lake", database=database).returncode == 0
    return database


def rate(clicks: int, displays: int) -> float | None:
    return clicks / displays if displays else None


def monday(day: datetime.date) -> datetime.date:
    return day - datetime.timedelta(days=day.weekday())


def test_the_bi_role_sees_each_view_with_a_comment_on_every_column(counted: str) -> None:
    bi = as_role("bi", counted)
    columns = ask(
        bi,
        "select c.table_name, c.column_name, c.data_type, col_description(a.attrelid, a.attnum)"
        " from information_schema.columns as c inner join pg_attribute as a"
        " on a.attrelid = format('public.%I', c.table_name)::regclass and a.attname = c.column_name"
        " where c.table_schema = 'public'",
    )
    assert {column[0] for column in columns} == {*VIEWS, "article_performance", "user_performance"}
    assert {str(column[2]) for column in columns} <= TYPES
    assert [column[:2] for column in columns if not column[3]] == []
    relations = "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'v')"
    assert ask(bi, f"{relations} and obj_description(oid, 'pg_class') is null") == []


def test_categories_days_and_articles_add_up_to_the_table(counted: str) -> None:
    rows = list(tables(counted).article_performance.items())
    categories: dict[tuple[str | None, datetime.date], list[int]] = defaultdict(lambda: [0, 0])
    articles: dict[str, list[tuple[datetime.date, int, int]]] = defaultdict(list)
    for (article, day), row in rows:
        categories[row.category, day][0] += row.displays
        categories[row.category, day][1] += row.clicks
        articles[article].append((day, row.displays, row.clicks))
    assert set(ask(counted, "table category_performance")) == {
        (*key, displays, clicks, rate(clicks, displays)) for key, (displays, clicks) in categories.items()
    }
    texts = {article: (row.title, row.category) for (article, _), row in rows}
    wanted = set()
    for article, days in articles.items():
        displays, clicks = sum(day[1] for day in days), sum(day[2] for day in days)
        dates = [day[0] for day in days]
        total = (len(days), displays, clicks, rate(clicks, displays))
        wanted.add((article, *texts[article], min(dates), max(dates), *total))
    assert set(ask(counted, "table article_overview")) == wanted


@pytest.mark.parametrize(("view", "weekly"), [("daily_overview", False), ("weekly_overview", True)])
def test_the_overviews_add_up_to_the_tables(counted: str, view: str, weekly: bool) -> None:
    found = tables(counted)

    def period(day: datetime.date) -> datetime.date:
        return monday(day) if weekly else day

    names = "displays, clicks, click_through_rate, articles, users, sessions, session_seconds, average_session_seconds"
    columns = f"{'week' if weekly else 'date'}, {names}"
    wanted = {}
    for start in {period(day) for _, day in (*found.article_performance, *found.user_performance)}:
        articles = {key: row for key, row in found.article_performance.items() if period(key[1]) == start}
        users = {key: row for key, row in found.user_performance.items() if period(key[1]) == start}
        displays, clicks = (sum(getattr(row, name) for row in articles.values()) for name in ("displays", "clicks"))
        sessions = sum(row.sessions for row in users.values())
        seconds = sum((row.session_seconds for row in users.values()), Decimal(0))
        numbers = (displays, clicks, rate(clicks, displays), len({key[0] for key in articles}))
        average = float(seconds) / sessions if sessions else None
        wanted[start] = (*numbers, len({key[0] for key in users}), sessions, seconds, average)
    assert len(wanted) >= 2
    assert {row[0]: row[1:] for row in ask(counted, f"select {columns} from {view}")} == wanted


def test_sessions_of_users_and_their_median_equal_the_oracles(counted: str, tmp_path: Path) -> None:
    """The last files hold two events at one time, sessions that go on in another file, and a day with two sessions."""
    write_lake(
        tmp_path / "lake",
        {
            "twice.tsv": HEADER + CLICK.replace(b"02-15", b"03-01") * 2,
            "night.tsv": HEADER + CLICK.replace(b"02-15 10:00:00.000", b"03-02 23:59:59.999999").replace(b"s1", b"s2"),
            "after.tsv": HEADER + CLICK.replace(b"02-15", b"03-03").replace(b"s1", b"s2"),
            "other.tsv": HEADER + CLICK.replace(b"02-15", b"03-02").replace(b"u1", b"u2"),
            "none.tsv": HEADER + CLICK.replace(b"02-15", b"03-05").replace(b"s1", b""),
        },
    )
    assert run(lake=tmp_path / "lake", database=counted).returncode == 0
    events = [event for key, data in contents(tmp_path / "lake").items() for event in read_file(data, key).events]
    users: dict[tuple[object, object], list[Session]] = defaultdict(list)
    days: dict[object, list[float]] = defaultdict(list)
    for session in sessions_of(events):
        users[session.user, session.date].append(session)
        days[session.date].append(float(exact_seconds(session.length)))
    bi = as_role("bi", counted)
    assert {row[:2]: row[2:] for row in ask(bi, "table user_sessions")} == {
        key: (len(its), sum(one.events == 1 for one in its), exact_seconds(max(one.length for one in its)))
        for key, its in users.items()
    }
    medians = {row[0]: row[1] for row in ask(bi, "select date, median_session_seconds from daily_overview")}
    assert {day for day in medians if day not in days} >= {datetime.date(2019, 3, 5)}
    assert medians == {day: pytest.approx(median(days[day]), abs=1e-6) if day in days else None for day in medians}
    assert days.keys() <= medians.keys()
    assert ask(bi, "select sum(single_event_sessions) from user_sessions where date > '2019-02-28'") == [(1,)]


def test_retention_follows_each_user_from_the_first_week_on(counted: str) -> None:
    weeks: dict[str, set[datetime.date]] = defaultdict(set)
    for user, day in tables(counted).user_performance:
        weeks[user].add(monday(day))
    firsts = {user: min(its) for user, its in weeks.items()}
    every = {week for its in weeks.values() for week in its}
    wanted = set()
    for first in set(firsts.values()):
        cohort = [user for user in firsts if firsts[user] == first]
        for week in (week for week in every if week >= first):
            back = sum(week in weeks[user] for user in cohort)
            wanted.add((first, week, (week - first).days // 7, len(cohort), back, back / len(cohort)))
    assert set(ask(counted, "table user_retention")) == wanted
    assert {(row[2], row[4]) for row in wanted} >= {(2, 0), (1, 1)}


def test_freshness_shows_how_far_the_lake_is_counted(tmp_path: Path, database: str) -> None:
    (tmp_path / "a.tsv").write_bytes(HEADER + CLICK + b"bad\n")
    assert run(lake=tmp_path, database=database).returncode == 0
    (tmp_path / "b.tsv").write_bytes(HEADER + CLICK.replace(b"02-15", b"02-16") * 2)
    (tmp_path / "c.tsv").write_bytes(b"no header")
    assert run(lake=tmp_path, database=database).returncode == 1
    size = sum((tmp_path / name).stat().st_size for name in ("a.tsv", "b.tsv"))
    columns = (
        "last_file, newest_date::text, files, failed_files, bytes, events, rejected_lines,"
        " (newest_event_at at time zone 'UTC')::text"
    )
    bi = as_role("bi", database)
    newest = ("b.tsv", "2019-02-16", 2, 1, size, 3, 1, "2019-02-16 10:00:00")
    assert ask(bi, f"select {columns} from freshness") == [newest]
    before = ask(bi, "select last_counted_at, last_run_at from freshness")
    assert run(lake=tmp_path, database=database).returncode == 1
    ((same, later),) = ask(
        bi, f"select last_counted_at = '{before[0][0]}', last_run_at > '{before[0][1]}' from freshness"
    )
    assert (same, later) == (True, True)
    last = CLICK.replace(b"2019-02-15 10:00:00.000", b"9999-12-31 23:59:59.999999")
    (tmp_path / "d.tsv").write_bytes(HEADER + CLICK.replace(b"2019-02-15", b"0001-01-01") + last)
    assert run(lake=tmp_path, database=database).returncode == 1
    assert ask(bi, "select newest_event_at = '9999-12-31 23:59:59.999999+00' from freshness") == [(True,)]
