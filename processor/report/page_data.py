"""The page's data, read from the database. Its size is bounded, whatever the size of the lake."""

import datetime
import math
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from processor.report.summary import (
    CategoryDay,
    Step,
    Summary,
    find_core_days,
    find_period_start,
    split_into_periods,
    summarize,
)

if TYPE_CHECKING:
    from decimal import Decimal

    from state.report_reads import ReportReads

MAX_CATEGORIES = 32
MAX_ARTICLES, MAX_LINES = 20, 6
MAX_FILES = 10
MAX_RESTATED_DAYS = 10
NEWEST_DAYS = 7  # of the busiest articles
CUMULATIVE_DAYS = 28


class LakeTotals(NamedTuple):
    """The lake's address, and totals over all its ingested files."""

    url: str
    last_counted_at: datetime.datetime | None
    files: int
    failed_files: int
    bytes: int
    events: int
    rejected_lines: int
    timezone: str = "UTC"  # of the days


class NewFile(NamedTuple):
    """What a recently ingested file holds; the fields `files` and `all_...` are totals over all files of that run."""

    key: str
    counted_at: datetime.datetime
    events: int
    rejected: int
    first_date: datetime.date | None
    last_date: datetime.date | None
    displays: int
    clicks: int
    files: int
    all_events: int
    all_rejected: int
    all_first_date: datetime.date | None
    all_last_date: datetime.date | None
    all_displays: int
    all_clicks: int


class Article(NamedTuple):
    """An article's displays and clicks on the newest days, and its cumulative clicks on the last of them."""

    article_id: str
    title: str | None
    category: str | None
    displays: int
    clicks: int
    cumulative_clicks: int


class ChangedArticle(NamedTuple):
    """The article whose clicks changed most from the day before to the last day."""

    article_id: str
    title: str | None
    clicks_before: int
    clicks_after: int


class RestatedDay(NamedTuple):
    """A day whose totals the last run changed after they had been published; the last fields sum all such days."""

    date: datetime.date
    files: list[str]
    file_count: int
    displays_before: int
    displays_after: int
    clicks_before: int
    clicks_after: int
    sessions_before: int
    sessions_after: int
    session_seconds_before: "Decimal"
    session_seconds_after: "Decimal"
    days: int
    first_date: datetime.date
    last_date: datetime.date
    more_displays: int
    more_clicks: int
    more_sessions: int


class Sessions(NamedTuple):
    """Number and total seconds of the sessions that began in each period; the keys are the periods' first days.

    first, last: the days between which sessions began.
    """

    step: Step
    first: datetime.date
    last: datetime.date
    periods: list[datetime.date]
    sessions: Counter[datetime.date]
    seconds: "dict[datetime.date, Decimal]"

    def average_seconds(self, start: datetime.date) -> float:
        """Return the average length of a period's sessions; NaN without any."""
        return float(self.seconds[start]) / self.sessions[start] if self.sessions[start] else math.nan


class Overview(NamedTuple):
    """Everything that a page shows; `state` identifies the state of the database."""

    state: str
    lake: LakeTotals
    failed: list[tuple[str, str]]
    newest: list[NewFile]
    restated: list[RestatedDay]
    summary: Summary | None
    articles: list[Article]
    articles_since: datetime.date | None
    cumulative_clicks: list[tuple[str, datetime.date, int]]
    changed_article: ChangedArticle | None
    sessions: Sessions | None


def read_overview(reads: "ReportReads") -> Overview:
    """Return the overview of the database's present state."""
    state = reads.read_report_state()
    summary = summarize(CategoryDay(**row) for row in reads.read_category_days(MAX_CATEGORIES))
    articles: list[Article] = []
    cumulative_clicks: list[tuple[str, datetime.date, int]] = []
    since, changed_article = None, None
    if summary is not None:
        since, until = _since(summary, NEWEST_DAYS), summary.last
        articles = [Article(**row) for row in reads.read_busiest_articles(since, until, MAX_ARTICLES)]
        drawn = [article.article_id for article in articles[:MAX_LINES]]
        from_day = _since(summary, CUMULATIVE_DAYS)
        rows = reads.read_cumulative_clicks(drawn, from_day, until)
        if len(summary.last_days) > 1:
            (after, _), (before, _) = summary.last_days
            changed_article = next(
                (ChangedArticle(**row) for row in reads.read_most_changed_article(before, after)), None
            )
        cumulative_clicks = [(row["article_id"], row["date"], row["cumulative_clicks"]) for row in rows]
    return Overview(
        state,
        LakeTotals(**reads.read_lake_state()),
        [(row["key"], row["error"]) for row in reads.read_failed_files(MAX_FILES)],
        [NewFile(**row) for row in reads.read_files_of_last_run(MAX_FILES)],
        [RestatedDay(**row) for row in reads.read_restatements_of_last_run(MAX_RESTATED_DAYS)],
        summary,
        articles,
        since,
        cumulative_clicks,
        changed_article,
        gather_sessions([(row["date"], row["sessions"], row["session_seconds"]) for row in reads.read_session_days()]),
    )


def _since(summary: Summary, days: int) -> datetime.date:
    """Return the first of the last `days` days of a summary."""
    return summary.last - datetime.timedelta(days=min(days - 1, (summary.last - summary.first).days))


def gather_sessions(rows: "list[tuple[datetime.date, int, Decimal]]") -> Sessions | None:
    """Return sessions by period instead of by day, without stray days from wrong clocks; None without sessions."""
    if not rows:
        return None
    first, last = find_core_days(Counter({date: count for date, count, _ in rows}))
    step, periods = split_into_periods(first, last)
    counts: Counter[datetime.date] = Counter()
    seconds: dict[datetime.date, Decimal] = {}
    for date, count, length in rows:
        if first <= date <= last:
            start = find_period_start(date, step)
            counts[start] += count
            seconds[start] = seconds[start] + length if start in seconds else length
    return Sessions(step, first, last, periods, counts, seconds)
