"""The data of the picture and the page: rows of the BI tables, summed by period and category."""

import datetime
import math
import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal, NamedTuple

Step = Literal["day", "week", "month", "year"]

MOST_DAYS: dict[Step, int] = {"day": 92, "week": 644, "month": 3660}
FIRM = 100  # displays; a rate over fewer is drawn as a hollow point


class CategoryDay(NamedTuple):
    """The displays and clicks of a category's articles on a UTC day; None is the category of articles without one.

    A row that sums several categories has no name; `gathers` is how many.
    """

    category: str | None
    date: datetime.date
    displays: int
    clicks: int
    gathers: int = 1


class Counts(NamedTuple):
    """Numbers of displays and clicks."""

    displays: int = 0
    clicks: int = 0

    @property
    def rate(self) -> float:
        """Clicks per display, above 1 if clicks outnumber displays; NaN without displays."""
        return self.clicks / self.displays if self.displays else math.nan

    def __str__(self) -> str:
        clicks, displays = ("" if count == 1 else "s" for count in (self.clicks, self.displays))
        return f"{self.clicks:,} click{clicks} / {self.displays:,} display{displays}"


class Panel(NamedTuple):
    """The data of one panel: a name, how many categories it sums, their total, and counts by first day of a period."""

    name: str | None
    gathers: int
    total: Counts
    series: dict[datetime.date, Counts]


class Summary(NamedTuple):
    """The data of the picture: its days, its periods without gaps, all categories together, and a panel for each."""

    step: Step
    first: datetime.date
    last: datetime.date
    periods: list[datetime.date]
    overall: Panel
    panels: list[Panel]
    left_out: Counts


def wilson(clicks: int, displays: int) -> tuple[float, float] | None:
    """Return the 95 % interval of a rate as two fractions; None without displays or if clicks outnumber them.

    The score interval of E. B. Wilson, "Probable inference, the law of succession, and statistical
    inference", Journal of the American Statistical Association 22 (1927), 209-212; it holds for small counts.
    """
    if not 0 <= clicks <= displays or displays == 0:
        return None
    rate, spread = clicks / displays, 1.959964**2 / displays
    middle = (rate + spread / 2) / (1 + spread)
    half = math.sqrt(rate * (1 - rate) * spread + spread * spread / 4) / (1 + spread)
    low, high = max(0.0, middle - half), min(1.0, middle + half)
    return low if clicks else 0.0, high if clicks < displays else 1.0


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
        categories.setdefault((day.category, day.gathers), []).append(day)
    panels = [_panel(name, gathers, step, its_days) for (name, gathers), its_days in categories.items()]
    panels.sort(key=lambda p: (p.gathers, -p.total.displays, -p.total.clicks, p.name is None, p.name or ""))
    outside = _panel(None, 0, step, [day for day in given if not first <= day.date <= last])
    overall = _panel(None, sum(panel.gathers for panel in panels), step, days)
    return Summary(step, first, last, periods, overall, panels, outside.total)


def split_into_periods(first: datetime.date, last: datetime.date) -> tuple[Step, list[datetime.date]]:
    """Return the length of the periods between two days, and the first day of each."""
    span = (last - first).days + 1
    step: Step = next((step for step, most in MOST_DAYS.items() if span <= most), "year")
    if step == "year":
        return step, [datetime.date(year, 1, 1) for year in range(first.year, last.year + 1)]
    return step, sorted({find_period_start(first + datetime.timedelta(days=i), step) for i in range(span)})


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


def _panel(name: str | None, gathers: int, step: Step, days: list[CategoryDay]) -> Panel:
    """Return a panel with its days summed by period."""
    displays: Counter[datetime.date] = Counter()
    clicks: Counter[datetime.date] = Counter()
    for day in days:
        start = find_period_start(day.date, step)
        displays[start] += day.displays
        clicks[start] += day.clicks
    series = {start: Counts(displays[start], clicks[start]) for start in displays}
    return Panel(name, gathers, Counts(displays.total(), clicks.total()), series)


def top_of_scale(panels: Iterable[Panel]) -> float:
    """Return the rate at the upper end of the shared scale.

    Rates over few displays and single outliers do not stretch it, so the other rates stay readable.
    """
    points = [counts for panel in panels for counts in panel.series.values() if counts.displays]
    enough = min(FIRM, max((counts.displays for counts in points), default=0) / 20)
    rates = sorted(counts.rate for counts in points if counts.displays >= enough)
    if not rates or not rates[-1]:
        return 0.05
    usual = rates[int(0.9 * (len(rates) - 1))] or rates[-1]
    return 1.25 * min(rates[-1], 4 * usual)


def printable(name: str, known: Callable[[str], bool]) -> str:
    """Return a name on one line, with invisible, direction-changing and unknown characters escaped.

    `known` says whether the font has a character. At most the first 200 characters are returned, since no panel has
    room for more. A name that is empty, or begins or ends with a blank, is quoted.
    """
    name = name[:200] if name and name == name.strip() else f"“{name[:200]}”"
    hidden = {"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"}
    shown = (
        c if known(c) and unicodedata.category(c) not in hidden else c.encode("unicode_escape").decode() for c in name
    )
    return "".join(shown)


def compact(count: int) -> str:
    """Return a count in a few characters, such as 950, 9,500, 95k or 9.5M."""
    if count < 10_000:
        return f"{count:,}"
    power = min((len(str(count)) - 1) // 3, 6)
    value = count / 1000**power
    return f"{value:,.{1 if value < 10 else 0}f}{' kMGTPE'[power]}"


def percent(rate: float) -> str:
    """Return a rate in per cent with about three digits, or "no rate"."""
    if math.isnan(rate):
        return "no rate"
    digits = 0 if rate >= 0.9995 or not rate else 1 if rate >= 0.09995 else 2
    return f"{100 * rate:,.{digits}f} %"


def write_file(path: Path, data: bytes) -> None:
    """Write a file atomically: a reader sees the earlier file or the new one, never a part.

    Makes the folder if it does not exist. Raises OSError if the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
