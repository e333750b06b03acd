"""Rates and their uncertainty, against published figures."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.report.rates import ClickThrough, difference_interval, wilson_interval

counted = st.builds(
    lambda displays, share: ClickThrough(displays, int(displays * share)), st.integers(1, 10**9), st.floats(0, 1)
)


@pytest.mark.parametrize(
    ("counts", "rate", "shown"),
    [
        (ClickThrough(1, 1), 1.0, "1 click / 1 display"),
        (ClickThrough(1000, 2000), 2.0, "2,000 clicks / 1,000 displays"),
        (ClickThrough(4, 0), 0.0, "0 clicks / 4 displays"),
        (ClickThrough(0, 1), None, "1 click / 0 displays"),
    ],
)
def test_counts_in_words(counts: ClickThrough, rate: float | None, shown: str) -> None:
    assert str(counts) == shown
    assert math.isnan(counts.rate) if rate is None else counts.rate == rate


@pytest.mark.parametrize(
    ("clicks", "displays", "low", "high"),
    [  # R. G. Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in Medicine 17
        # (1998), 857-872, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (20, 20, 0.8389, 1.0),
    ],
)
def test_wilson_intervals_are_the_published_ones(clicks: int, displays: int, low: float, high: float) -> None:
    assert wilson_interval(ClickThrough(displays, clicks)) == pytest.approx((low, high), abs=5.1e-5)


@given(st.integers(0, 10**12), st.integers(0, 10**12))
def test_a_wilson_interval_contains_its_rate_or_is_none(clicks: int, displays: int) -> None:
    interval = wilson_interval(ClickThrough(displays, clicks))
    if displays == 0 or clicks > displays:
        assert interval is None
    else:
        assert interval is not None
        assert 0 <= interval[0] <= clicks / displays <= interval[1] <= 1


def test_a_rate_over_five_displays_is_wider_than_one_over_five_thousand() -> None:
    few, many = wilson_interval(ClickThrough(5, 1)), wilson_interval(ClickThrough(5000, 1000))
    assert few is not None
    assert many is not None
    assert few[1] - few[0] > 25 * (many[1] - many[0])


def test_intervals_that_must_hold_together_are_wider() -> None:
    counts = ClickThrough(1000, 40)
    alone, ten = wilson_interval(counts), wilson_interval(counts, comparisons=10)
    assert alone is not None
    assert ten is not None
    assert ten[0] < alone[0] < alone[1] < ten[1]


@pytest.mark.parametrize(
    ("after", "before", "low", "high"),
    [  # R. G. Newcombe, "Interval estimation for the difference between independent proportions", Statistics in
        # Medicine 17 (1998), 873-890, table II, method 10
        (ClickThrough(70, 56), ClickThrough(80, 48), 0.0524, 0.3339),
        (ClickThrough(10, 9), ClickThrough(10, 3), 0.1705, 0.8090),
        (ClickThrough(7, 6), ClickThrough(7, 2), 0.0582, 0.8062),
        (ClickThrough(56, 5), ClickThrough(29, 0), -0.0381, 0.1926),
        (ClickThrough(10, 0), ClickThrough(20, 0), -0.1611, 0.2775),
        (ClickThrough(10, 0), ClickThrough(10, 0), -0.2775, 0.2775),
        (ClickThrough(10, 10), ClickThrough(20, 0), 0.6791, 1.0),
        (ClickThrough(10, 10), ClickThrough(10, 0), 0.6075, 1.0),
    ],
)
def test_intervals_of_differences_are_the_published_ones(
    after: ClickThrough, before: ClickThrough, low: float, high: float
) -> None:
    assert difference_interval(before, after) == pytest.approx((low, high), abs=5.1e-5)


@given(counted, counted)
def test_a_difference_changes_its_sign_with_its_rates(one: ClickThrough, other: ClickThrough) -> None:
    there, back = difference_interval(one, other), difference_interval(other, one)
    assert there is not None
    assert back == pytest.approx((-there[1], -there[0]))
    assert there[0] <= other.rate - one.rate <= there[1]


def test_a_rate_without_an_interval_has_no_difference() -> None:
    for counts in (ClickThrough(0, 0), ClickThrough(1, 2)):
        assert difference_interval(counts, ClickThrough(10, 1)) is None
        assert difference_interval(ClickThrough(10, 1), counts) is None
