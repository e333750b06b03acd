"""Rows of the BI tables, summed for the report without losing a count."""

import datetime
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.report import summary as report
from processor.report.rates import ClickThrough
from processor.report.summary import CategoryDay
from tests.support.category_days import FIRST_DAY, day

rows = st.lists(
    st.builds(
        CategoryDay,
        st.none() | st.integers(0, 50).map(str) | st.text(min_size=1, max_size=3),
        st.dates(datetime.date(2018, 1, 1), datetime.date(2030, 1, 1)) | st.dates(),
        st.integers(0, 10_000),
        st.integers(0, 500),
        st.sampled_from([1, 5]),
    ),
    max_size=80,
)


@given(rows)
def test_cutting_down_keeps_every_sum(some: list[CategoryDay]) -> None:
    summary = report.summarize(some)
    if summary is None:
        assert not some
        return
    shown = [counts for panel in summary.panels for counts in panel.series.values()]
    for column in ("displays", "clicks"):
        total = sum(getattr(row, column) for row in some)
        for parts in (shown, [p.total for p in summary.panels], [summary.overall.total]):
            assert sum(getattr(c, column) for c in parts) + getattr(summary.left_out, column) == total
    assert 1000 * sum(summary.left_out) <= sum(row.displays + row.clicks for row in some)

    assert sum(panel.categories for panel in summary.panels) == summary.overall.categories
    alone = [panel.total.displays for panel in summary.panels if panel.categories == 1]
    assert alone == sorted(alone, reverse=True)
    for panel in summary.panels:
        assert set(panel.series) <= set(summary.periods)
        inside = [row for row in some if (row.category, row.categories) == (panel.name, panel.categories)]
        for start, counts in panel.series.items():
            its = [row for row in inside if row.date >= summary.first and row.date <= summary.last]
            its = [row for row in its if report.find_period_start(row.date, summary.step) == start]
            assert counts == (sum(row.displays for row in its), sum(row.clicks for row in its))


@given(rows)
def test_the_order_of_the_rows_does_not_matter(some: list[CategoryDay]) -> None:
    assert report.summarize(some) == report.summarize(reversed(some))


def test_a_far_day_that_weighs_is_shown() -> None:
    summary = report.summarize([day(), day(after=400, displays=10)])
    assert summary is not None
    assert (summary.step, summary.left_out) == ("week", ClickThrough())


@pytest.mark.parametrize(
    ("days", "step", "periods"),
    [
        (1, "day", 1),
        (92, "day", 92),
        (93, "week", 14),
        (644, "week", 93),
        (645, "month", 22),
        (3660, "month", 121),
        (3661, "year", 11),
    ],
)
def test_periods_grow_with_what_they_cover(days: int, step: str, periods: int) -> None:
    found, firsts = report.split_into_periods(FIRST_DAY, FIRST_DAY + datetime.timedelta(days - 1))
    assert (found, len(firsts)) == (step, periods)
    assert firsts[0] == report.find_period_start(FIRST_DAY, found) <= FIRST_DAY
    assert report.find_period_start(firsts[-1], found) == firsts[-1] <= FIRST_DAY + datetime.timedelta(days - 1)


@pytest.mark.parametrize(
    ("first", "last", "step", "whole"),
    [
        ("2019-02-15", "2019-02-17", "day", ["2019-02-15", "2019-02-16", "2019-02-17"]),
        ("2019-02-11", "2019-02-24", "week", ["2019-02-11", "2019-02-18"]),
        ("2019-02-12", "2019-02-23", "week", []),
        ("2019-02-01", "2019-03-30", "month", ["2019-02-01"]),
        ("2019-02-02", "2019-03-31", "month", ["2019-03-01"]),
        ("9998-12-31", "9999-12-31", "year", ["9999-01-01"]),
    ],
)
def test_whole_periods_have_all_their_days(first: str, last: str, step: report.Step, whole: list[str]) -> None:
    ends = datetime.date.fromisoformat(first), datetime.date.fromisoformat(last)
    days = [ends[0] + datetime.timedelta(i) for i in range((ends[1] - ends[0]).days + 1)]
    periods = sorted({report.find_period_start(one, step) for one in days})
    assert [str(start) for start in report.find_whole_periods(step, periods, *ends)] == whole


def test_a_period_is_named_by_its_first_day() -> None:
    day = datetime.date(2019, 2, 17)  # a Sunday
    firsts = {"day": day, "week": datetime.date(2019, 2, 11), "month": datetime.date(2019, 2, 1)}
    for step, first in firsts.items():
        assert report.find_period_start(day, step) == first  # type: ignore[arg-type]
    assert report.find_period_start(day, "year") == datetime.date(2019, 1, 1)


def test_days_of_wrong_clocks_are_left_out_at_the_exact_limits() -> None:
    def left_out(after: int, weight: int, usual: int = 999) -> tuple[datetime.date, datetime.date]:
        weights = Counter({FIRST_DAY + datetime.timedelta(after): weight, FIRST_DAY: usual})
        return report.find_core_days(weights)

    for sign in (1, -1):
        assert left_out(sign * 32, 1) == (FIRST_DAY, FIRST_DAY)
        far = FIRST_DAY + sign * datetime.timedelta(31)
        assert left_out(sign * 31, 1) == tuple(sorted((FIRST_DAY, far)))  # no month away
        far = FIRST_DAY + sign * datetime.timedelta(32)
        assert left_out(sign * 32, 1, usual=998) == tuple(sorted((FIRST_DAY, far)))  # more than 0.1 %
    days = [FIRST_DAY + datetime.timedelta(n) for n in (-80, -40, 0, 40, 80)]
    assert report.find_core_days(Counter(dict(zip(days, (1, 1, 5000, 1, 1), strict=True)))) == (FIRST_DAY, FIRST_DAY)


def test_panels_stand_by_displays_then_clicks_then_name_and_the_gathered_last() -> None:
    def rows(name: str | None, displays: int, clicks: int, categories: int = 1) -> CategoryDay:
        return CategoryDay(name, FIRST_DAY, displays, clicks, categories)

    some = [rows(None, 9, 0, 5), rows(None, 3, 1), rows("b", 3, 1), rows("a", 3, 1), rows("c", 3, 2), rows("d", 4, 0)]
    summary = report.summarize(some)
    assert summary is not None
    assert [(panel.name, panel.categories) for panel in summary.panels] == [
        ("d", 1), ("c", 1), ("a", 1), ("b", 1), (None, 1), (None, 5),
    ]  # fmt: skip
    assert summary.overall == report.Panel(None, 10, ClickThrough(25, 5), {FIRST_DAY: ClickThrough(25, 5)})


def test_the_last_two_days_with_displays_are_named_with_their_counts() -> None:
    def last_days(*some: CategoryDay) -> list[tuple[datetime.date, ClickThrough]]:
        summary = report.summarize(some)
        assert summary is not None
        return summary.last_days

    later, latest = FIRST_DAY + datetime.timedelta(1), FIRST_DAY + datetime.timedelta(3)
    some = [day(), day("b", 1, 10, 1), day("c", 1, 20, 2), day("b", 3, 5, 1), day("b", 4, 0, 7)]
    assert last_days(*some) == [(latest, ClickThrough(5, 1)), (later, ClickThrough(30, 3))]
    assert last_days(*some[:1]) == [(FIRST_DAY, ClickThrough(1000, 40))]
    assert last_days(day(displays=0)) == []
