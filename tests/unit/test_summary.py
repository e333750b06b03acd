"""What the picture and the page are made of: rows cut down without losing a count, and rates with their intervals."""

import datetime
import math
import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.report import summary as report
from processor.report.summary import CategoryDay, Counts
from tests.support.category_days import FIRST_DAY, day

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
                its = [r for r in inside if report.find_period_start(r.date, summary.step) == start]
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


def test_a_period_is_named_by_its_first_day() -> None:
    day = datetime.date(2019, 2, 17)  # a Sunday
    firsts = {"day": day, "week": datetime.date(2019, 2, 11), "month": datetime.date(2019, 2, 1)}
    for step, first in firsts.items():
        assert report.find_period_start(day, step) == first  # type: ignore[arg-type]
    assert report.find_period_start(day, "year") == datetime.date(2019, 1, 1)


def test_what_wrong_clocks_strew_is_left_out_to_a_day_and_to_a_count() -> None:
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
    def rows(name: str | None, displays: int, clicks: int, gathers: int = 1) -> CategoryDay:
        return CategoryDay(name, FIRST_DAY, displays, clicks, gathers)

    some = [rows(None, 9, 0, 5), rows(None, 3, 1), rows("b", 3, 1), rows("a", 3, 1), rows("c", 3, 2), rows("d", 4, 0)]
    summary = report.summarize(some)
    assert summary is not None
    assert [(panel.name, panel.gathers) for panel in summary.panels] == [
        ("d", 1), ("c", 1), ("a", 1), ("b", 1), (None, 1), (None, 5),
    ]  # fmt: skip
    assert summary.overall == report.Panel(None, 10, Counts(25, 5), {FIRST_DAY: Counts(25, 5)})


@pytest.mark.parametrize(
    ("points", "top"),
    [
        ([], 0.05),
        ([(1000, 0)], 0.05),
        ([(0, 5)], 0.05),
        ([(1000, 100)], 0.125),
        ([(2000, 200), (99, 99)], 0.125),  # fewer than are firm
        ([(2000, 200), (100, 100)], 1.25 * 0.4),
        ([(40, 4), (2, 2)], 1.25 * 0.4),  # where all are few, a twentieth of the most
        ([(40, 4), (1, 1)], 0.125),
        ([(1000, 100)] * 9 + [(1000, 350)], 1.25 * 0.35),
        ([(1000, 100)] * 9 + [(1000, 500)], 1.25 * 0.4),  # no more than four times the usual
        ([(1000, 0)] * 9 + [(1000, 500)], 1.25 * 0.5),
    ],
)
def test_the_top_of_the_scale(points: list[tuple[int, int]], top: float) -> None:
    panels = [report.Panel("x", 1, Counts(), {FIRST_DAY: Counts(*point)}) for point in points]
    assert report.top_of_scale(panels) == pytest.approx(top)


@pytest.mark.parametrize(
    ("counts", "rate", "shown"),
    [
        (Counts(1, 1), 1.0, "1 click / 1 display"),
        (Counts(1000, 2000), 2.0, "2,000 clicks / 1,000 displays"),
        (Counts(4, 0), 0.0, "0 clicks / 4 displays"),
        (Counts(0, 1), None, "1 click / 0 displays"),
    ],
)
def test_counts_in_words(counts: Counts, rate: float | None, shown: str) -> None:
    assert str(counts) == shown
    assert math.isnan(counts.rate) if rate is None else counts.rate == rate


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("news", "news"),
        ("", "“”"),
        (" news", "“ news”"),
        ("news\t", "“news\\t”"),
        ("a" * 201, "a" * 200),
        (" " + "a" * 200, "“ " + "a" * 199 + "”"),
        ("a\u202eb\u200bc\ue000d\u2028e\x00f\ud800g\u0378h", "a\\u202eb\\u200bc\\ue000d\\u2028e\\x00f\\ud800g\\u0378h"),
        ("日", "\\u65e5"),
    ],
)
def test_what_cannot_be_shown_is_escaped(name: str, shown: str) -> None:
    assert report.printable(name, lambda character: character != "日") == shown


@pytest.mark.parametrize(
    ("count", "shown"),
    [(9999, "9,999"), (10_000, "10k"), (999_499, "999k"), (1_000_000, "1.0M"), (9_940_000, "9.9M"), (10**21, "1,000E")],
)
def test_compact_counts_at_their_ends(count: int, shown: str) -> None:
    assert report.compact(count) == shown


@pytest.mark.parametrize(
    ("rate", "shown"),
    [
        (math.nan, "no rate"),
        (0.09994, "9.99 %"),
        (0.09995, "10.0 %"),
        (0.9994, "99.9 %"),
        (0.9995, "100 %"),
        (0.00001, "0.00 %"),
    ],
)
def test_rates_at_their_ends(rate: float, shown: str) -> None:
    assert report.percent(rate) == shown


def test_a_file_is_replaced_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, replaced = tmp_path / "a" / "b" / "page.html", Path.replace
    report.write_file(path, b"first")
    report.write_file(path, b"second")
    assert path.read_bytes() == b"second"
    written: list[tuple[Path, bytes, bytes]] = []

    def replace(self: Path, target: Path) -> Path:
        written.append((self, self.read_bytes(), target.read_bytes()))
        return replaced(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    report.write_file(path, b"third")
    ((temporary, new, old),) = written
    assert (new, old, temporary.parent) == (b"third", b"second", path.parent)  # a reader has the earlier one till then
    assert (temporary.name[0], str(os.getpid()) in temporary.name) == (".", True)  # hidden, and no other process's
    assert list(path.parent.iterdir()) == [path]

    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device", str(self), None, str(target))

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        report.write_file(path, b"fourth")
    assert list(path.parent.iterdir()) == [path]
    assert path.read_bytes() == b"third"
