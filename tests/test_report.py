"""What the picture and the page are made of: rows cut down without losing a count, and rates with their intervals."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor import report
from processor.report import CategoryDay, Counts

FIRST = datetime.date(2019, 2, 15)

rows = st.lists(
    st.builds(
        CategoryDay,
        st.none() | st.integers(0, 50).map(str) | st.text(min_size=1, max_size=3),
        st.dates(datetime.date(2018, 1, 1), datetime.date(2030, 1, 1)) | st.dates(),
        st.integers(0, 10_000),
        st.integers(0, 500),
    ),
    max_size=80,
)


def day(category: str | None = "news", after: int = 0, displays: int = 1000, clicks: int = 40) -> CategoryDay:
    """A row `after` days after the first day of the assignment."""
    return CategoryDay(category, FIRST + datetime.timedelta(days=after), displays, clicks)


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
def test_wilson_knows_the_published_intervals(clicks: int, displays: int, low: float, high: float) -> None:
    assert report.wilson(clicks, displays) == pytest.approx((low, high), abs=5.1e-5)


@given(st.integers(0, 10**12), st.integers(0, 10**12))
def test_wilson_holds_the_rate_or_is_none(clicks: int, displays: int) -> None:
    interval = report.wilson(clicks, displays)
    if displays == 0 or clicks > displays:
        assert interval is None
    else:
        assert interval is not None
        assert 0 <= interval[0] <= clicks / displays <= interval[1] <= 1


def test_a_rate_over_five_displays_is_wider_than_one_over_five_thousand() -> None:
    few, many = report.wilson(1, 5), report.wilson(1000, 5000)
    assert few is not None
    assert many is not None
    assert few[1] - few[0] > 25 * (many[1] - many[0])


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

    assert sum(panel.gathers for panel in summary.panels) == summary.overall.gathers
    alone = [panel.total.displays for panel in summary.panels if panel.gathers == 1]
    assert alone == sorted(alone, reverse=True)
    for panel in summary.panels:
        assert set(panel.series) <= set(summary.periods)
        if panel.gathers == 1:
            inside = [r for r in some if r.category == panel.name and summary.first <= r.date <= summary.last]
            for start, counts in panel.series.items():
                its = [r for r in inside if report.period(r.date, summary.step) == start]
                assert counts == (sum(r.displays for r in its), sum(r.clicks for r in its))


@given(rows)
def test_the_order_of_the_rows_does_not_matter(some: list[CategoryDay]) -> None:
    assert report.summarize(some) == report.summarize(reversed(some))


def test_a_far_day_that_weighs_is_shown() -> None:
    summary = report.summarize([day(), day(after=400, displays=10)])
    assert summary is not None
    assert (summary.step, summary.left_out) == ("week", Counts())


def test_thin_counts_do_not_set_the_scale() -> None:
    usual = [day(f"c{i}", j) for i in range(5) for j in range(3)]
    summary = report.summarize([*usual, day("five", 0, 5, 5), day("double", 0, 3000, 6000)])
    assert summary is not None
    assert report.top_of_scale(summary.panels) < 0.25
    assert report.top_of_scale([]) > 0


@given(st.text())
def test_a_printable_name_is_one_line_of_known_characters(name: str) -> None:
    shown = report.printable(name, lambda c: c < "\u0250" or c in "“”")
    assert shown
    assert shown.isprintable() or "\xa0" in shown
    assert all(c < "\u0250" or c in "“”" for c in shown)


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0"), (950, "950"), (9500, "9,500"), (94_900, "95k"), (1_250_000, "1.2M"), (3 * 10**11, "300G")],
)
def test_compact_counts(count: int, shown: str) -> None:
    assert report.compact(count) == shown


@pytest.mark.parametrize(
    ("rate", "shown"),
    [(0, "0 %"), (0.0357, "3.57 %"), (0.0999, "9.99 %"), (0.1234, "12.3 %"), (1, "100 %"), (15, "1,500 %")],
)
def test_rates_in_per_cent(rate: float, shown: str) -> None:
    assert report.percent(rate) == shown
