"""The chart of a category: its marks are where the numbers say, on a scale that all categories share."""

import re
from xml.etree.ElementTree import Element

import pytest

from processor.report.axes import find_ticks
from processor.report.category_chart import draw_category, find_marks, find_scale
from processor.report.summary import CategoryDay, Summary, summarize
from tests.support.category_days import day


def summed(*some: CategoryDay) -> Summary:
    """The summary of some rows."""
    summary = summarize(some)
    assert summary is not None
    return summary


def charts(*some: CategoryDay) -> list[Element]:
    """The charts of all categories of some rows, 400 by 200 pixels."""
    summary = summed(*some)
    scale = find_scale(summary)
    return [draw_category(panel, str(panel.name), summary, scale, 400, 200) for panel in summary.panels]


def paths(chart: Element, class_: str) -> list[list[tuple[float, float]]]:
    """The points of each unbroken part of the paths of a class."""
    drawn = "".join(path.get("d", "") for path in chart.iter("path") if path.get("class") == class_)
    drawn = re.sub(r"M([\d.]+) ([\d.]+)V([\d.]+)", r"M\1 \2L\1 \3", drawn)
    return [[tuple(map(float, at.split())) for at in part.split("L")] for part in drawn.split("M")[1:]]  # type: ignore[misc]


def texts(chart: Element, class_: str) -> list[str]:
    """The texts of a class."""
    return [text.text or "" for text in chart.iter("text") if class_ in text.get("class", "").split()]


def test_thin_counts_do_not_set_the_scale() -> None:
    usual = [day(f"c{i}", j) for i in range(5) for j in range(3)]
    summary = summarize([*usual, day("five", 0, 5, 5), day("double", 0, 3000, 6000)])
    assert summary is not None
    assert find_scale(summary).top_rate < 0.25


@pytest.mark.parametrize(
    ("points", "top"),
    [
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
    summary = summarize([day(f"c{i}", 0, *point) for i, point in enumerate(points)])
    assert summary is not None
    assert find_scale(summary).top_rate == pytest.approx(top)


@pytest.mark.parametrize(
    ("top", "ticks"),
    [(0.05, [0, 0.02, 0.04]), (0.125, [0, 0.05, 0.1]), (1, [0, 0.25, 0.5, 0.75, 1]), (1082, [0, 500, 1000])],
)
def test_the_scale_has_round_values(top: float, ticks: list[float]) -> None:
    assert find_ticks(top) == pytest.approx(ticks)


def test_displays_stand_on_one_scale() -> None:
    large, small = charts(day("large", 0, 1000), day("small", 0, 250))
    ((bottom, top),) = paths(large, "bars")
    ((low, high),) = paths(small, "bars")
    assert low == bottom
    assert low[1] - high[1] == pytest.approx((bottom[1] - top[1]) / 4, abs=0.1)


def test_a_day_without_displays_is_a_gap_and_not_a_zero() -> None:
    (chart,) = charts(day(after=0), day(after=1, displays=0), day(after=3, clicks=0))
    assert [len(part) for part in paths(chart, "line")] == [1, 1]
    assert len(list(chart.iter("circle"))) == 2
    ((_, first), (_, zero)) = (part[0] for part in paths(chart, "line"))
    (axis,) = (
        float(text.get("y", "")) for text in chart.iter("text") if (text.text, text.get("class")) == ("0 %", "end")
    )
    assert zero == pytest.approx(axis - 4, abs=0.1)
    assert first < zero


def test_few_periods_have_their_numbers_above_their_marks() -> None:
    (chart,) = charts(*(day(after=i, displays=1000 + i, clicks=40) for i in range(7)))
    assert texts(chart, "value")[:7] == [f"{4000 / (1000 + i):.2f} %" for i in range(7)]
    assert texts(chart, "value")[7:] == [f"{1000 + i:,}" for i in range(7)]
    highest = min(top for _, (_, top) in paths(chart, "interval"))
    assert all(float(text.get("y", "")) < highest for text in chart.iter("text") if (text.text or "").startswith("4.0"))
    (chart,) = charts(*(day(after=i, displays=1000 + i, clicks=40) for i in range(8)))
    assert texts(chart, "value") == ["1,007"]


def test_no_line_crosses_a_number() -> None:
    (chart, _) = charts(day(), day("b", clicks=20))
    drawn = list(chart)
    numbers = [drawn.index(text) for text in chart.iter("text") if "value" in text.get("class", "")]
    lines = [
        drawn.index(path) for path in chart.iter("path") if path.get("class") in ("all", "line", "interval", "bars")
    ]
    assert min(numbers) > max(lines)


@pytest.mark.parametrize("clicks", range(0, 101, 4))
def test_no_number_is_on_the_line_of_all_categories(clicks: int) -> None:
    for chart in charts(*(day(name, i, 1000, i * clicks) for i in range(3) for name in "abc"), day("d", clicks=90)):
        lines = paths(chart, "all")
        rates = [text for text in chart.iter("text") if (text.text or "").endswith("%") and text.get("class") != "end"]
        assert len(rates) in (1, 3)
        for text in rates:
            x, y = float(text.get("x", "")), float(text.get("y", ""))
            assert not any(abs(x - at) < 15 and y - 8 < height < y for line in lines for at, height in line)


def test_the_rate_of_all_categories_on_a_single_day_is_a_dash() -> None:
    for chart in charts(day(), day("b")):
        drawn = [path.get("d", "") for path in chart.iter("path") if path.get("class") == "all"]
        assert any("H" in path for path in drawn)


@pytest.mark.parametrize(
    ("some", "marks"),
    [
        ([day(), day(after=1)], ["rate", "interval", "bars"]),
        ([day(), day("b")], ["rate", "interval", "all", "bars"]),
        ([day(displays=10, clicks=1)], ["thin", "interval", "bars"]),
        ([day(displays=0, clicks=1)], []),
        ([day(displays=2000, clicks=200), day("b", 0, 5, 5)], ["rate", "thin", "beyond", "interval", "all", "bars"]),
        ([day(displays=1000, clicks=2000)], ["rate", "bars"]),
    ],
)
def test_the_legend_has_the_marks_that_occur(some: list[CategoryDay], marks: list[str]) -> None:
    assert [mark.kind for mark in find_marks(summed(*some))] == marks
    drawn = charts(*some)

    def occurs(class_: str) -> bool:
        return any(path.get("d") for chart in drawn for path in chart.iter("path") if path.get("class") == class_)

    assert occurs("interval") is ("interval" in marks)
    assert occurs("all") is ("all" in marks)
    assert any(circle.get("class") == "point thin" for chart in drawn for circle in chart.iter("circle")) is (
        "thin" in marks and "beyond" not in marks
    )
    assert (occurs("point") or occurs("point thin")) is ("beyond" in marks)


def test_a_pointer_and_a_screen_reader_get_the_numbers() -> None:
    (chart,) = charts(day(), day(after=1, displays=0, clicks=2), day(after=2, displays=500, clicks=10))
    assert [title.text for title in chart.iter("title")] == [
        "15 Feb 2019: 40 clicks / 1,000 displays = 4.00 % (95 %: 2.95–5.40 %)",
        "16 Feb 2019: 2 clicks / 0 displays = no rate",
        "17 Feb 2019: 10 clicks / 500 displays = 2.00 % (95 %: 1.09–3.64 %)",
    ]
    assert chart.get("aria-label") == (
        "news: click-through rate by day, 52 clicks / 1,500 displays = 3.47 % in all; "
        "from 4.00 % (15 Feb 2019) to 2.00 % (17 Feb 2019)"
    )


def test_texts_stay_inside_of_the_chart() -> None:
    for count in (1, 7, 8, 60, 92, 400, 1000, 5000):
        (chart,) = charts(*(day(after=i, displays=10**6) for i in range(count)))
        for text in chart.iter("text"):
            half = 6.2 * len(text.text or "") / 2
            left = {"middle": half, "end": 2 * half}.get(text.get("class", "").split()[-1], 0)
            assert float(text.get("x", "")) - left >= -1
            assert float(text.get("x", "")) - left + 2 * half <= 401
