"""What commands and reports read from the database; nothing here writes."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from state.connection import Connection
from state.files import KnownFile, RejectedLine

Row = dict[str, Any]


class Reads:
    """Reads from a database, each in a transaction of its own; rows are dictionaries by the names of their columns."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def files(self) -> dict[str, KnownFile]:
        """Return the checkpoint: every file that was ingested or failed, by its key."""
        return _by_key(self._db.fetch_rows("read_files"))

    def known(self, keys: list[str]) -> dict[str, KnownFile]:
        """Return the checkpoint of some files, by their keys."""
        return _by_key(self._db.fetch_rows("read_some_files", keys=keys))

    def rejected_lines(self, key: str | None) -> Iterator[RejectedLine]:
        """Yield the rejected lines of one file, or of all if `key` is None, as they are asked for."""
        with self._db.translate_errors(), self._db.transaction() as cur, cur.connection.cursor("rejected") as rows:
            self._db.execute(rows, "read_rejected_lines", key=key)
            row: Any
            for row in rows:
                yield RejectedLine(row.key, row.line_number, row.reason, bytes(row.raw))

    # What `status`, `doctor` and the metrics read

    def totals(self) -> Row:
        """Return how many files were ingested, and how many events, rejected lines and bytes they hold."""
        return self._rows("sum_files")[0]

    def runs(self) -> list[Row]:
        """Return the last two runs, the latest first; it may not have ended."""
        return self._rows("read_last_runs")

    def definition(self) -> Mapping[str, object] | None:
        """Return what the recorded definition changes of the assignment's, or None while no file is counted."""
        lake = self._rows("read_lake")[0]
        return lake["definition"] if lake["has_counted"] else None

    def holder(self) -> Row | None:
        """Return the run that holds the lock: `application_name`, and `xact_start`, since when; None without one."""
        rows = self._rows("read_lock_holder")
        return rows[0] if rows else None

    def newest_restatements(self, most: int) -> list[Row]:
        """Return the last `most` days whose totals changed after they had been published, the latest first."""
        return self._rows("read_newest_restatements", most=most)

    def all_runs(self) -> Row:
        """Return what all runs did together; `reasons` are numbers of rejected lines by the code of the reason."""
        return self._rows("sum_runs")[0]

    def health(self) -> Row:
        """Return what operators watch: `succeeded_at` and `newest_at` (in seconds, or None), and `failed_files`."""
        return self._rows("read_health")[0]

    def rights(self) -> Row:
        """Return which rights the present `role` has of those that a run needs, and which the role `bi` has."""
        return self._rows("read_rights")[0]

    def size(self) -> int:
        """Return the size of the database in bytes."""
        return int(self._rows("measure_database")[0]["bytes"])

    def sizes(self) -> Row:
        """Return the sizes of the BI tables, the state and the whole database, in bytes."""
        return self._rows("measure_tables")[0]

    # What the events of OpenLineage say of the tables

    def tables(self) -> dict[str, list[Row]]:
        """Return the `name`, `type` and `comment` of each column of the BI tables, by the names of these."""
        tables: dict[str, list[Row]] = {}
        for row in self._rows("read_columns"):
            tables.setdefault(row.pop("table"), []).append(row)
        return tables

    # What `explain` reads

    def article(self, article_id: str, day: date | None) -> dict[str, list[Row]]:
        """Return the `rows` of an article, their `parts` by file, and the files that its `texts` are from."""
        return {
            "rows": self._rows("read_article_rows", article_id=article_id, day=day),
            "parts": self._rows("read_article_parts", article_id=article_id, day=day),
            "texts": self._rows("read_article_texts", article_id=article_id),
        }

    def user(self, user_id: str, day: date | None) -> dict[str, list[Row]]:
        """Return the `rows` of a user, their `parts` by file, and the parts of the `sessions` that began then."""
        return {
            "rows": self._rows("read_user_rows", user_id=user_id, day=day),
            "parts": self._rows("read_user_parts", user_id=user_id, day=day),
            "sessions": self._rows("read_user_sessions", user_id=user_id, day=day),
        }

    def forgotten_at(self, user_id: str) -> datetime | None:
        """Return when a user was forgotten, or None."""
        rows = self._rows("read_forgotten_at", user_id=user_id)
        return rows[0]["forgotten_at"] if rows else None

    def users(self, user_ids: list[str]) -> Row:
        """Return what `Store.forget_users` would return for different ids."""
        return self._rows("measure_users", user_ids=user_ids)[0]

    def users_forgotten(self) -> int:
        """Return how many users were forgotten."""
        return int(self._rows("count_forgotten_users")[0]["users_forgotten"])

    # What reports read

    def report_state(self) -> str:
        """Return a value that changes when anything changes that a report shows."""
        return str(self._rows("read_report_state")[0]["report_state"])

    def lake_state(self) -> Row:
        """Return the lake's URL, when the last file was ingested, and numbers of files, bytes, events and lines."""
        return self._rows("read_lake_state")[0]

    def failed_files(self, most: int) -> list[Row]:
        """Return `key` and `error` of the last `most` files that failed, the latest first."""
        return self._rows("read_failed_files", most=most)

    def newest_files(self, most: int) -> list[Row]:
        """Return at most `most` files that the last run ingested; each row has the sums over all of them, too."""
        return self._rows("read_newest_files", most=most)

    def last_restatements(self, most: int) -> list[Row]:
        """Return at most `most` days that the last run restated; each row has the sums over all of them, too."""
        return self._rows("read_last_restatements", most=most)

    def category_days(self, most: int) -> list[Row]:
        """Return displays and clicks by category and day; categories beyond `most` share one row for each day."""
        return self._rows("read_category_days", most=most)

    def session_days(self) -> list[Row]:
        """Return `date`, `sessions` and `session_seconds` of each day."""
        return self._rows("read_session_days")

    def busiest_articles(self, since: date, until: date, most: int) -> list[Row]:
        """Return the articles with the most clicks on some days.

        since, until: the first and the last of the days. most: the number of articles.
        """
        return self._rows("read_busiest_articles", since=since, until=until, most=most)

    def most_changed_article(self, before: date, after: date) -> list[Row]:
        """Return the article whose clicks changed most from one day to another; no row if none changed."""
        return self._rows("read_most_changed_article", before=before, after=after)

    def cumulative_clicks(self, article_ids: list[str], since: date, until: date) -> list[Row]:
        """Return the `cumulative_clicks` of some articles by day.

        article_ids: the articles. since, until: the first and the last of the days.
        """
        return self._rows("read_cumulative_clicks", article_ids=article_ids, since=since, until=until)

    # What `check` reads; days are both included, and `since_at` is a time in microseconds since 1970-01-01 UTC

    def newest_day(self, before: date) -> date | None:
        """Return the last day before another one that has any event that is counted, or None."""
        found: date | None = self._rows("find_newest_day", before=before)[0]["date"]
        return found

    def day_sums(self, since: date, until: date) -> list[Row]:
        """Return `date`, `displays` and `clicks` of each day that has a click, a display or a session."""
        return self._rows("sum_days", since=since, until=until)

    def category_sums(self, since: date, until: date) -> list[Row]:
        """Return `name`, `date` and `events` of each category and day."""
        return self._rows("sum_categories", since=since, until=until)

    def event_sums(self, since: date, until: date, since_at: int) -> list[Row]:
        """Return `name`, `date` and `events` of each event name that is counted, by day.

        since, until: the first and the last day. since_at: a time before the first day.
        """
        return self._rows("sum_event_names", since=since, until=until, since_at=since_at)

    def rejecting_days(self, since: date, since_at: int, percent: float) -> list[Row]:
        """Return days on which too many of the lines in their files were rejected, with the `key` of the worst file.

        since: the first day. since_at: a time before it. percent: more than this of the lines.
        """
        return self._rows("find_rejecting_days", since=since, since_at=since_at, percent=percent)

    def future_files(self, now: int) -> list[Row]:
        """Return `key` and `newest_at` of files with an event after `now`, in microseconds since 1970-01-01 UTC."""
        return self._rows("find_future_files", now=now)

    def long_sessions(self, since: date, seconds: float) -> list[Row]:
        """Return `user_id`, `date`, `first_at` and `seconds` of sessions that are longer than `seconds`."""
        return self._rows("find_long_sessions", since=since, seconds=seconds)

    def busy_users(self, since: date, events: int) -> list[Row]:
        """Return `user_id`, `date` and `events` of users with more clicks and displays on a day than `events`."""
        return self._rows("find_busy_users", since=since, events=events)

    def clicks_without_display(self, since: date, percent: float) -> list[Row]:
        """Return days on which more than `percent` of the clicks are on articles without a display on that day."""
        return self._rows("find_clicks_without_display", since=since, percent=percent)

    def first_rows(self) -> Iterator[tuple[str, Sequence[str], list[tuple[object, ...]]]]:
        """Yield the name, the columns and the first rows of both BI tables."""
        for table in ("article_performance", "user_performance"):
            yield table, *self._db.fetch_table(f"read_first_{table}")

    def _rows(self, name: str, **parameters: object) -> list[Row]:
        return [row._asdict() for row in self._db.fetch_rows(name, **parameters)]


def _by_key(rows: list[Any]) -> dict[str, KnownFile]:
    return {row.key: KnownFile(row.file_id, row.key, row.fingerprint, row.error) for row in rows}
