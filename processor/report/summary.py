"""What the picture and the page show, from the BI tables: rows cut down to periods, categories and intervals."""

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
FIRM = 100  # displays; below, the point of a rate is hollow


class CategoryDay(NamedTuple):
    """What the articles of a category got on a UTC day; the category is None where none was ever seen.

    One that gathers more than one category has no name.
    """

    category: str | None
    date: datetime.date
    displays: int
    clicks: int
    gathers: int = 1


class Counts(NamedTuple):
    """How often something was displayed and clicked."""

    displays: int = 0
    clicks: int = 0

    @property
    def rate(self) -> float:
        """Clicks per display, above 1 where clicks outnumber displays; NaN without a display."""
        return self.clicks / self.displays if self.displays else math.nan

    def __str__(self) -> str:
        clicks, displays = ("" if count == 1 else "s" for count in (self.clicks, self.displays))
        return f"{self.clicks:,} click{clicks} / {self.displays:,} display{displays}"


class Panel(NamedTuple):
    """What one small picture shows: how many categories, their total, counts by first day of the period."""

    name: str | None
    gathers: int
    total: Counts
    series: dict[datetime.date, Counts]


class Summary(NamedTuple):
    """What the picture shows: its days, its periods without a gap, all categories in one, each in a panel."""

    step: Step
    first: datetime.date
    last: datetime.date
    periods: list[datetime.date]
    overall: Panel
    panels: list[Panel]
    left_out: Counts


def wilson(clicks: int, displays: int) -> tuple[float, float] | None:
    """The 95 % interval of a rate, as two fractions; None without displays or where clicks outnumber them.

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


def period(day: datetime.date, step: Step) -> datetime.date:
    """The first day of the day, week (from Monday), month or year in which a day lies."""
    if step == "week":
        return day - datetime.timedelta(days=day.weekday())
    if step == "month":
        return day.replace(day=1)
    return day if step == "day" else day.replace(month=1, day=1)


def summarize(rows: Iterable[CategoryDay]) -> Summary | None:
    """The rows cut down to what a page can show; None without rows.

    Up to 92 days stay days, up to 92 weeks become weeks, up to ten years months, more years. The panels and
    `left_out` add up to the rows.
    """
    given = list(rows)
    if not given:
        return None
    weights: Counter[datetime.date] = Counter()
    for day in given:
        weights[day.date] += day.displays + day.clicks
    first, last = core(weights)
    days = [day for day in given if first <= day.date <= last]
    step, periods = cut(first, last)

    categories: dict[tuple[str | None, int], list[CategoryDay]] = {}
    for day in days:
        categories.setdefault((day.category, day.gathers), []).append(day)
    panels = [_panel(name, gathers, step, its_days) for (name, gathers), its_days in categories.items()]
    panels.sort(key=lambda p: (p.gathers, -p.total.displays, -p.total.clicks, p.name is None, p.name or ""))
    outside = _panel(None, 0, step, [day for day in given if not first <= day.date <= last])
    overall = _panel(None, sum(panel.gathers for panel in panels), step, days)
    return Summary(step, first, last, periods, overall, panels, outside.total)


def cut(first: datetime.date, last: datetime.date) -> tuple[Step, list[datetime.date]]:
    """How long the periods from one day to another are, and the first day of each."""
    span = (last - first).days + 1
    step: Step = next((step for step, most in MOST_DAYS.items() if span <= most), "year")
    if step == "year":
        return step, [datetime.date(year, 1, 1) for year in range(first.year, last.year + 1)]
    return step, sorted({period(first + datetime.timedelta(days=i), step) for i in range(span)})


def core(weights: Counter[datetime.date]) -> tuple[datetime.date, datetime.date]:
    """The first and last day, without what wrong clocks strew: up to 0.1 % of the counts, a month away."""
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
    """The days of a panel added up by period."""
    displays: Counter[datetime.date] = Counter()
    clicks: Counter[datetime.date] = Counter()
    for day in days:
        start = period(day.date, step)
        displays[start] += day.displays
        clicks[start] += day.clicks
    series = {start: Counts(displays[start], clicks[start]) for start in displays}
    return Panel(name, gathers, Counts(displays.total(), clicks.total()), series)


def top_of_scale(panels: Iterable[Panel]) -> float:
    """The rate at the upper end of the shared scale; neither thin counts nor a wild day flatten the rest."""
    points = [counts for panel in panels for counts in panel.series.values() if counts.displays]
    enough = min(FIRM, max((counts.displays for counts in points), default=0) / 20)
    rates = sorted(counts.rate for counts in points if counts.displays >= enough)
    if not rates or not rates[-1]:
        return 0.05
    usual = rates[int(0.9 * (len(rates) - 1))] or rates[-1]
    return 1.25 * min(rates[-1], 4 * usual)


def printable(name: str, known: Callable[[str], bool]) -> str:
    """A name on one line: what is invisible, turns the writing or is not `known` to the font is escaped.

    At most its first 200 characters, as no panel holds more; in quotes where a blank at an end would be lost.
    """
    name = name[:200] if name and name == name.strip() else f"“{name[:200]}”"
    hidden = {"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"}
    shown = (
        c if known(c) and unicodedata.category(c) not in hidden else c.encode("unicode_escape").decode() for c in name
    )
    return "".join(shown)


def compact(count: int) -> str:
    """A count in a few characters: 950, 9,500, 95k, 9.5M."""
    if count < 10_000:
        return f"{count:,}"
    power = min((len(str(count)) - 1) // 3, 6)
    value = count / 1000**power
    return f"{value:,.{1 if value < 10 else 0}f}{' kMGTPE'[power]}"


def percent(rate: float) -> str:
    """A rate in per cent with about three digits, or that there is none."""
    if math.isnan(rate):
        return "no rate"
    digits = 0 if rate >= 0.9995 or not rate else 1 if rate >= 0.09995 else 2
    return f"{100 * rate:,.{digits}f} %"


def write(path: Path, data: bytes) -> None:
    """Write a file in one step: a reader sees the earlier one or this one, never a half.

    Makes the folder if need be; raises OSError where it can't write.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
