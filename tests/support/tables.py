"""The content of a database's tables, compared with the oracle."""

from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from datetime import date
from typing import NamedTuple

import psycopg2
from psycopg2 import sql

from tests.support.database_queries import ask
from tests.support.oracle import (
    ASSIGNMENT,
    ArticleRow,
    Definition,
    Rejected,
    UserRow,
    event_days,
    expected,
    is_lake_file,
    newest_at,
    read_file,
)

# The sums that are kept, and the queries that compute them.
ADDED_UP = {
    "state.category_days": (
        "select date, sum(displays), sum(clicks), category from article_performance group by date, category"
    ),
    "state.day_totals": (
        "select date, sessions, session_seconds, displays, clicks from daily_overview"
        " where displays > 0 or clicks > 0 or sessions > 0"
    ),
}


class File(NamedTuple):
    """The checkpoint of an ingested version: its fingerprint, its lines by kind, its latest event, what is counted."""

    fingerprint: str
    lines: int
    events: int
    rejected: int
    newest_at: int | None
    event_days: dict[str, dict[str, int]] | None


class Tables(NamedTuple):
    """Both BI tables, the rejected lines by file, the ingested files, and the failed files."""

    article_performance: dict[tuple[str, date], ArticleRow]
    user_performance: dict[tuple[str, date], UserRow]
    rejected: dict[str, list[Rejected]]
    counting: dict[str, File]
    failed: set[str]


def tables(url: str) -> Tables:
    """Return the present content of a database."""
    connection = psycopg2.connect(url)
    try:
        with connection, connection.cursor() as cur:
            cur.execute("set transaction isolation level repeatable read")
            cur.execute(
                "select article_id, date, title, category, displays, clicks, cumulative_clicks, click_through_rate"
                " from article_performance"
            )
            articles = {row[:2]: ArticleRow(*row) for row in cur.fetchall()}
            cur.execute(
                "select user_id, date, sessions, session_seconds, average_session_seconds, displays, clicks,"
                " click_through_rate from user_performance"
            )
            users = {row[:2]: UserRow(*row) for row in cur.fetchall()}
            for days, sums in ADDED_UP.items():
                cur.execute(f"table {days}")
                found = Counter(cur.fetchall())
                cur.execute(sums)
                assert found == Counter(cur.fetchall())
            cur.execute("select key, line_number, reason, raw from state.rejected_lines order by key, line_number")
            rejected: dict[str, list[Rejected]] = {}
            for key, number, reason, raw in cur.fetchall():
                rejected.setdefault(key, []).append(Rejected(number, reason, bytes(raw)))
            cur.execute(
                "select key, fingerprint, lines, events, rejected, newest_at, event_days, error from state.lake_files"
            )
            files = cur.fetchall()
            counting = {key: File(*numbers) for key, *numbers, _ in files if numbers[0] is not None}
            failed = {row[0] for row in files if row[-1] is not None}
            assert len(counting.keys() | failed) == len(files)  # each file is ingested or has an error
            return Tables(articles, users, rejected, counting, failed)
    finally:
        connection.close()


def clear(url: str) -> None:
    """Empty all tables of a database that was used."""
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cur:
        cur.execute(
            "select schemaname, tablename from pg_tables"
            " where schemaname in ('state', 'public') and tablename <> 'steps'"
        )
        for name in cur.fetchall():
            cur.execute(sql.SQL("delete from {}").format(sql.Identifier(*name)))


class Model:
    """What a database should hold after runs over a changing lake, by the contract."""

    def __init__(self, knows_newest: bool = True, definition: Definition = ASSIGNMENT) -> None:
        """Begin without files; `knows_newest`: whether the program that ingests them records their latest event."""
        self._knows_newest, self.definition = knows_newest, definition
        self.counting: dict[str, bytes] = {}
        self.forgotten: set[str] = set()

    def check(self, url: str, lake: Mapping[str, bytes], pruned: bool = False) -> Tables:
        """Fail unless the tables equal one pass over the lake, whose present state was just ingested.

        A file that cannot be read keeps the contribution of its last readable version; a missing file keeps its own
        until it is pruned.
        """
        lake = {key: data for key, data in lake.items() if is_lake_file(key)}
        failed = expected(lake, definition=self.definition).failed
        if pruned:
            self.counting = {key: data for key, data in self.counting.items() if key in lake}
        self.counting |= {key: data for key, data in lake.items() if key not in failed}
        found = self.compare(url)
        assert found.failed == failed
        return found

    def compare(self, url: str) -> Tables:
        """Fail unless the tables equal one pass over the ingested files."""
        wanted, found = expected(self.counting, self.forgotten, self.definition), tables(url)
        assert found.article_performance == wanted.article_performance
        assert found.user_performance == wanted.user_performance
        assert found.rejected == wanted.rejected
        readings = {key: read_file(data, key, self.definition) for key, data in self.counting.items()}
        assert {key: file[1:] for key, file in found.counting.items()} == {
            key: (
                len(reading.events) + len(reading.rejected) + reading.empty,
                len(reading.events),
                len(reading.rejected),
                newest_at(reading) if self._knows_newest or found.counting[key].newest_at is not None else None,
                event_days(reading, self.definition)
                if self._knows_newest or found.counting[key].event_days is not None
                else None,
            )
            for key, reading in readings.items()
        }
        return found


def is_there(database: str, what: str) -> bool:
    """Whether `state.runs` has a run of this kind."""
    if ask(database, "select to_regclass('state.runs')") == [(None,)]:
        return False
    return ask(database, f"select exists (select from state.runs where {what})") == [(True,)]


def counted(database: str) -> dict[object, object]:
    """Return the fingerprint of each ingested file."""
    if not is_there(database, "true"):
        return {}
    return dict(ask(database, "select key, fingerprint from state.lake_files where fingerprint is not null"))  # type: ignore[arg-type]
