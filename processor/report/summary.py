"""Rows of the BI tables, summed by category and by periods of a length that a chart can show."""

import datetime
from collections import Counter
from collections.abc import Iterable
from typing import Literal, NamedTuple

from processor.report.rates import ClickThrough

Step = Literal["day", "week", "month", "year"]

MAX_DAYS: dict[Step, int] = {"day": 92, "week": 644, "month": 3660}
FIRM_DISPLAYS = 100  # displays; a rate over fewer is drawn as a hollow point


class CategoryDay(NamedTuple):
    """The displays and clicks of a category's articles on a day; None is the category of articles without one.

    A row that sums several categories has no name; `categories` is their number.
    """

    category: str | None
    date: datetime.date
    displays: int
    clicks: int
    categories: int = 1


class Panel(NamedTuple):
    """A category, or several without a name: their number, their total, and counts by first day of a period."""

    name: str | None
    categories: int
    total: ClickThrough
    series: dict[datetime.date, ClickThrough]


class Summary(NamedTuple):
    """The periods of the report without gaps, all categories together, and a panel for each category.

    left_out: counts on stray days. last_days: the last day and the last one before it with displays, with their counts.
    """

    step: Step
    first: datetime.date
    last: datetime.date
    periods: list[datetime.date]
    overall: Panel
    panels: list[Panel]
    left_out: ClickThrough
    last_days: list[tuple[datetime.date, ClickThrough]]


def find_period_start(day: datetime.date, step: Step) -> datetime.date:
    """Return the first day of the day, week (from Monday), month or year that contains a day."""
    if step == "week":
        return day - datetime.timedelta(days=day.weekday())
    if step == "month":
        return day.replace(day=1)
    return day if step == "day" else day.replace(month=1, day=1)


def summarize(rows: Iterable[CategoryDay]) -> Summary | None:
    """Return the rows summed by the periods that a page can show; None without rows.

    Up to 92 days are shown as days, up to 92 weeks as weeks, up to ten years as months, and more as years. The panels
    and `left_out` add up to the rows.
    """
    given = list(rows)
    if not given:
        return None
    weights: Counter[datetime.date] = Counter()
    for day in given:
        weights[day.date] += day.displays + day.clicks
    first, last = find_core_days(weights)
    days = [day for day in given if first <= day.date <= last]
    step, periods = split_into_periods(first, last)

    categories: dict[tuple[str | None, int], list[CategoryDay]] = {}
    for day in days:
        categories.setdefault((day.category, day.categories), []).append(day)
    panels = [_panel(name, number, step, its_days) for (name, number), its_days in categories.items()]
    panels.sort(key=lambda p: (p.categories, -p.total.displays, -p.total.clicks, p.name is None, p.name or ""))
    outside = _panel(None, 0, step, [day for day in given if not first <= day.date <= last])
    overall = _panel(None, sum(panel.categories for panel in panels), step, days)
    by_day = _panel(None, 0, "day", days).series
    last_days = sorted((day for day in by_day.items() if day[1].displays), reverse=True)[:2]
    return Summary(step, first, last, periods, overall, panels, outside.total, last_days)


def split_into_periods(first: datetime.date, last: datetime.date) -> tuple[Step, list[datetime.date]]:
    """Return the length of the periods between two days, and the first day of each."""
    span = (last - first).days + 1
    step: Step = next((step for step, most in MAX_DAYS.items() if span <= most), "year")
    if step == "year":
        return step, [datetime.date(year, 1, 1) for year in range(first.year, last.year + 1)]
    return step, sorted({find_period_start(first + datetime.timedelta(days=i), step) for i in range(span)})


def find_whole_periods(
    step: Step, periods: list[datetime.date], first: datetime.date, last: datetime.date
) -> list[datetime.date]:
    """Return the periods without the first and the last one if days of them are missing.

    step: the length of the periods. periods: the first day of each. first, last: the days between which there is data.
    """
    whole = [start for start in periods if start >= first]
    if last < datetime.date.max and find_period_start(last + datetime.timedelta(days=1), step) == periods[-1]:
        return whole[:-1]
    return whole


def find_core_days(weights: Counter[datetime.date]) -> tuple[datetime.date, datetime.date]:
    """Return the first and last day without stray days from wrong clocks.

    Days are stray if they lie over a month before or after the others and hold at most 0.1 % of the counts.
    """
    runs: list[list[datetime.date]] = []
    for date in sorted(weights):
        if not runs or (date - runs[-1][-1]).days > 31:
            runs.append([])
        runs[-1].append(date)
    for end in (0, -1):
        while len(runs) > 1 and 1000 * sum(weights[date] for date in runs[end]) <= weights.total():
            runs.pop(end)
    return runs[0][0], runs[-1][-1]


def _panel(name: str | None, categories: int, step: Step, days: list[CategoryDay]) -> Panel:
    """Return a panel with its days summed by period."""
    displays: Counter[datetime.date] = Counter()
    clicks: Counter[datetime.date] = Counter()
    for day in days:
        start = find_period_start(day.date, step)
        displays[start] += day.displays
        clicks[start] += day.clicks
    series = {start: ClickThrough(displays[start], clicks[start]) for start in displays}
    return Panel(name, categories, ClickThrough(displays.total(), clicks.total()), series)
