"""What the page shows, read from the database: of a bounded size, however long the lake and however many articles."""

import datetime
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from processor.report.summary import CategoryDay, Step, Summary, core, cut, period, summarize

if TYPE_CHECKING:
    from decimal import Decimal

    from state.reads import Reads

MOST_CATEGORIES = 32
MOST_ARTICLES, MOST_LINES = 20, 6
MOST_FILES = 10
NEWEST_DAYS = 7  # of the busiest articles
CUMULATIVE_DAYS = 28


class Lake(NamedTuple):
    """How far the lake is counted."""

    url: str
    last_counted_at: datetime.datetime | None
    files: int
    failed_files: int
    bytes: int
    events: int
    rejected_lines: int


class NewFile(NamedTuple):
    """What a new file holds; the columns `all_` are of all new files."""

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
    """What an article got on the newest days, and all its clicks up to the last of these."""

    article_id: str
    title: str | None
    category: str | None
    displays: int
    clicks: int
    cumulative_clicks: int


class Sessions(NamedTuple):
    """The sessions that began in each period, by its first day, and their lengths added up, in seconds."""

    step: Step
    periods: list[datetime.date]
    sessions: Counter[datetime.date]
    seconds: "dict[datetime.date, Decimal]"


class Overview(NamedTuple):
    """All that a page shows; `state` tells it from any other."""

    state: str
    lake: Lake
    failed: list[tuple[str, str]]
    newest: list[NewFile]
    summary: Summary | None
    articles: list[Article]
    articles_since: datetime.date | None
    cumulative_clicks: list[tuple[str, datetime.date, int]]
    sessions: Sessions | None


def read(reads: "Reads") -> Overview:
    """The overview of what a database holds now."""
    state = reads.report_state()
    summary = summarize(CategoryDay(**row) for row in reads.category_days(MOST_CATEGORIES))
    articles: list[Article] = []
    cumulative_clicks: list[tuple[str, datetime.date, int]] = []
    since = None
    if summary is not None:
        since, until = _since(summary, NEWEST_DAYS), summary.last
        articles = [Article(**row) for row in reads.busiest_articles(since, until, MOST_ARTICLES)]
        drawn = [article.article_id for article in articles[:MOST_LINES]]
        from_day = _since(summary, CUMULATIVE_DAYS)
        rows = reads.cumulative_clicks(drawn, from_day, until)
        cumulative_clicks = [(row["article_id"], row["date"], row["cumulative_clicks"]) for row in rows]
    return Overview(
        state,
        Lake(**reads.lake_state()),
        [(row["key"], row["error"]) for row in reads.failed_files(MOST_FILES)],
        [NewFile(**row) for row in reads.newest_files(MOST_FILES)],
        summary,
        articles,
        since,
        cumulative_clicks,
        sessions([(row["date"], row["sessions"], row["session_seconds"]) for row in reads.session_days()]),
    )


def _since(summary: Summary, days: int) -> datetime.date:
    """The first of the last so many days of a summary."""
    return summary.last - datetime.timedelta(days=min(days - 1, (summary.last - summary.first).days))


def sessions(rows: "list[tuple[datetime.date, int, Decimal]]") -> Sessions | None:
    """Sessions of days cut down to periods, without what wrong clocks strew; None without a session."""
    if not rows:
        return None
    first, last = core(Counter({date: count for date, count, _ in rows}))
    step, periods = cut(first, last)
    counts: Counter[datetime.date] = Counter()
    seconds: dict[datetime.date, Decimal] = {}
    for date, count, length in rows:
        if first <= date <= last:
            start = period(date, step)
            counts[start] += count
            seconds[start] = seconds[start] + length if start in seconds else length
    return Sessions(step, periods, counts, seconds)
