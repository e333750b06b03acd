"""Checks whether the counted events are as usual: finds what is missing, too much or impossible, and where to look."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby
from statistics import fmean, median
from typing import NamedTuple

from processor.formats import format_time, pluralize
from processor.reducers.days import find_day, first_microsecond, to_date, to_microseconds
from state.check_reads import CheckReads
from state.row_reads import Row

WEEKS = 4  # before a day, whose days show what is usual for it
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class CheckLimits:
    """The limits beyond which the checks find something.

    days: how many days are checked, up to the newest complete day that has events. factor: a day is unusual if it has
    more than this many times the usual number, or less than the usual number divided by it. silent_events: a category
    or event name without events is reported if this many would be usual. rejected_percent: the percentage of a day's
    lines that may be rejected. future_seconds: how many seconds an event may be ahead of the clock. session_hours: how
    many hours a session may last. user_events: how many clicks and displays a user may have on a day.
    undisplayed_percent: the percentage of a day's clicks that may be on articles without a display on that day.
    """

    days: int = 28
    factor: float = 2
    silent_events: int = 5
    rejected_percent: float = 1
    future_seconds: float = 300
    session_hours: float = 24
    user_events: int = 10_000
    undisplayed_percent: float = 0


DEFAULT_CHECK_LIMITS = CheckLimits()


class Finding(NamedTuple):
    """Something that is wrong, in words, and its day, if it has one."""

    says: str
    day: date | None = None


class CheckResult(NamedTuple):
    """The result of one check: its name, what it found, the newest first, and what is true if it found nothing."""

    name: str
    findings: list[Finding]
    all_right: str


class _Scope(NamedTuple):
    """What the checks look at, from `since` to `until`; `days` also holds the earlier days that show what is usual."""

    reads: CheckReads
    limits: CheckLimits
    now: datetime
    since: date
    until: date
    days: Mapping[date, Row]

    @property
    def since_at(self) -> int:
        """A time before the first day, in whichever zone its days are, in microseconds since 1970-01-01 UTC."""
        return first_microsecond(self.since - DAY)

    @property
    def before(self) -> date:
        """The first of the days that show what is usual."""
        return self.since - timedelta(weeks=WEEKS)


def check_all(reads: CheckReads, limits: CheckLimits, timezone: str, now: datetime) -> Iterator[CheckResult]:
    """Yield the result of each check; raises DatabaseError.

    reads: the database. limits: those beyond which something is reported. timezone: the zone whose days are counted.
    now: the present time; its day and later days are not complete, so nothing is reported as missing from them.
    """
    today = find_day(timezone, to_microseconds(now))
    assert today is not None
    yesterday = to_date(today - 1)
    until = reads.find_newest_day(yesterday + DAY) or yesterday
    since = until - timedelta(days=limits.days - 1)
    days = {row["date"]: row for row in reads.sum_days(since - timedelta(weeks=WEEKS), until)}
    scope = _Scope(reads, limits, now, since, until, days)
    for name, (check, all_right) in CHECKS.items():
        yield CheckResult(name, list(check(scope)), all_right)


def _find_unusual_days(scope: _Scope) -> Iterator[Finding]:
    days = scope.days
    for day in sorted(days, reverse=True):
        for what in ("clicks", "displays"):
            before = [days[other][what] for other in _same_weekdays(day) if other in days]
            if day < scope.since or not before:
                continue
            found, usual = days[day][what], median(before)
            if found * scope.limits.factor < usual or found > usual * scope.limits.factor:
                yield Finding(
                    f"{day} has {found:,} {what}; the median of the same weekday in the {WEEKS} weeks before is "
                    f"{usual:,.0f}: look for files of that day that are missing, late or there twice",
                    day,
                )


def _find_empty_days(scope: _Scope) -> Iterator[Finding]:
    first_of_all = min(scope.days, default=scope.until)
    every = (scope.since + number * DAY for number in range((scope.until - scope.since).days))
    empty = [day for day in every if day > first_of_all and day not in scope.days]
    gaps = [list(gap) for _, gap in groupby(empty, lambda day: day.toordinal() - empty.index(day))]
    for gap in reversed(gaps):
        span = f"{gap[0]} is" if len(gap) == 1 else f"{gap[0]} to {gap[-1]} are"
        yield Finding(f"{span} without any event: look for missing files of these days in the lake", gap[-1])


def _find_silent_categories(scope: _Scope) -> Iterator[Finding]:
    rows = scope.reads.sum_categories(scope.before, scope.until)
    advice = "look at category_performance, and ask whether it was renamed"
    yield from _find_silent("category", advice, rows, scope.days, scope)


def _find_silent_names(scope: _Scope) -> Iterator[Finding]:
    rows = scope.reads.sum_event_names(scope.before, scope.until, first_microsecond(scope.before - DAY))
    days = {row["date"] for row in rows}
    yield from _find_silent("event", "ask whether the app sends it under another name (lake.toml)", rows, days, scope)


def _find_silent(kind: str, advice: str, rows: list[Row], days: Collection[date], scope: _Scope) -> Iterator[Finding]:
    """Yield what has had no event since some day, although several would have been usual.

    kind: what `rows` are about, in words. advice: where to look. rows: events by `name` and `date`.
    days: those on which there was any event. scope: the limits.
    """
    by_name: dict[str, dict[date, int]] = defaultdict(dict)
    for row in rows:
        by_name[row["name"]][row["date"]] = row["events"]
    for name, events in sorted(by_name.items()):
        last = max(events)
        expected = sum(_usual(events, day, days) for day in days if day > last)
        if expected >= scope.limits.silent_events:
            first = min(day for day in days if day > last)
            yield Finding(
                f"{kind} {name} has had no click or display since {first}; {expected:,.0f} would be usual: {advice}",
                first,
            )


def _usual(events: Mapping[date, int], day: date, days: Collection[date]) -> float:
    """Return the mean of the same weekday in the weeks before, or of all days if there is none, up to the last event.

    events: how many there were on each day. day: a later one. days: on which anything was counted.
    """
    known = [other for other in days if other <= max(events)]
    same = [other for other in _same_weekdays(day) if other in known] or known
    return fmean(events.get(other, 0) for other in same)


def _find_rejecting_days(scope: _Scope) -> Iterator[Finding]:
    for row in scope.reads.find_rejecting_days(scope.since, scope.since_at, scope.limits.rejected_percent):
        yield Finding(
            f"{row['rejected'] / row['lines']:.1%} of the {row['lines']:,} lines in files of {row['date']} were "
            f"rejected, most in {row['key']}: python run.py rejected {row['key']} shows them",
            row["date"],
        )


def _find_future_events(scope: _Scope) -> Iterator[Finding]:
    latest = to_microseconds(scope.now) + int(scope.limits.future_seconds * 1_000_000)
    for row in scope.reads.find_future_files(latest):
        yield Finding(
            f"{row['key']} has an event of {format_time(row['newest_at'])}, which is in the future: "
            "ask whoever writes the file to set the clock"
        )


def _find_long_sessions(scope: _Scope) -> Iterator[Finding]:
    for row in scope.reads.find_long_sessions(scope.since, scope.limits.session_hours * 3600):
        began = format_time(row["first_at"])
        yield Finding(
            f"user {row['user_id']} has a session of {float(row['seconds']) / 3600:,.1f} hours from {began}: "
            "python run.py explain --user shows its files",
            row["date"],
        )


def _find_busy_users(scope: _Scope) -> Iterator[Finding]:
    for row in scope.reads.find_busy_users(scope.since, scope.limits.user_events):
        yield Finding(
            f"user {row['user_id']} has {row['events']:,} clicks and displays on {row['date']}: "
            "if it is a bot, leave it out of reports (docs/bi.md)",
            row["date"],
        )


def _find_clicks_without_display(scope: _Scope) -> Iterator[Finding]:
    for row in scope.reads.find_clicks_without_display(scope.since, scope.limits.undisplayed_percent):
        clicks = pluralize(row["clicks"], "click")
        yield Finding(
            f"{row['date']} has {clicks} of {row['all_clicks']:,} on articles without a display on that day, most on "
            f"{row['article_id']}: python run.py explain {row['article_id']} shows its files",
            row["date"],
        )


def _same_weekdays(day: date) -> list[date]:
    """Return the same weekday in each of the weeks before."""
    return [day - timedelta(weeks=week) for week in range(1, WEEKS + 1)]


CHECKS: dict[str, tuple[Callable[[_Scope], Iterator[Finding]], str]] = {
    "days": (_find_unusual_days, "clicks and displays of each day are as usual"),
    "gaps": (_find_empty_days, "no day is without events"),
    "categories": (_find_silent_categories, "no category fell silent"),
    "events": (_find_silent_names, "no event name fell silent"),
    "rejected": (_find_rejecting_days, "few lines were rejected"),
    "future": (_find_future_events, "no event is in the future"),
    "sessions": (_find_long_sessions, "no session is too long"),
    "users": (_find_busy_users, "no user has too many events"),
    "displays": (_find_clicks_without_display, "clicked articles were displayed on the same day"),
}
