"""The charts of articles and sessions, and the small lines of the tiles."""

import datetime
from decimal import Decimal
from itertools import pairwise
from xml.etree.ElementTree import Element

import pytest

from processor.report.charts import (
    draw_cumulative_clicks,
    draw_session_counts,
    draw_session_lengths,
    draw_sparkline,
)
from processor.report.page_data import Sessions, gather_sessions
from tests.support.category_days import FIRST_DAY


def after(days: int) -> datetime.date:
    """A day after the first one."""
    return FIRST_DAY + datetime.timedelta(days)


def sessions(*counts: int) -> Sessions:
    """The sessions of as many days, each of 90 s."""
    found = gather_sessions([(after(i), count, Decimal(90 * count)) for i, count in enumerate(counts)])
    assert found is not None
    return found


def texts(chart: Element) -> dict[str, tuple[float, float]]:
    """The place of each text of a chart."""
    return {text.text or "": (float(text.get("x", "")), float(text.get("y", ""))) for text in chart.iter("text")}


def titles(chart: Element) -> list[str]:
    """What a pointer shows over the marks of a chart."""
    return [title.text or "" for title in chart.iter("title")]


def test_cumulative_clicks_begin_at_zero_and_end_at_their_articles_names() -> None:
    rows = [("a", after(0), 10), ("a", after(1), 40), ("b", after(0), 5), ("b", after(1), 6), ("c", after(1), 7)]
    chart = draw_cumulative_clicks(rows, {"a": "1. First", "b": "2. Second", "c": "3. Third"}, 600, 240)
    placed = texts(chart)
    assert {"0", "1. First", "2. Second", "3. Third", "15 Feb", "16 Feb"} <= set(placed)
    assert placed["1. First"][1] < placed["3. Third"][1] < placed["2. Second"][1]  # as their lines end
    assert placed["2. Second"][1] - placed["3. Third"][1] >= 14  # and do not overlap, though 6 and 7 lie close
    assert "1. First, 16 Feb 2019: 40 cumulative clicks" in titles(chart)
    assert len(titles(chart)) == len(rows)
    assert chart.get("aria-label") == "Cumulative clicks of 3 articles up to 16 Feb 2019, 40 at most"


def test_an_article_without_a_row_on_a_day_keeps_its_clicks() -> None:
    chart = draw_cumulative_clicks([("a", after(0), 10), ("a", after(2), 20)], {"a": "1. A"}, 600, 240)
    lines = [path.get("d", "") for path in chart.iter("path") if path.get("class") == "s1"]
    line = next(line for line in lines if line.count("L") == 2)
    first, second, third = (at.split()[1] for at in line[1:].split("L"))
    assert first == second != third


def test_many_articles_that_end_alike_keep_their_names_inside() -> None:
    names = {str(i): f"{i}. Article" for i in range(1, 7)}
    for height in (0, 100):
        rows = [(article, after(0), height) for article in names] + [("1", after(1), 100)]
        placed = texts(draw_cumulative_clicks(rows, names, 600, 240))
        heights = sorted(placed[name][1] for name in names.values())
        assert heights[0] > 8
        assert heights[-1] < 240
        assert all(later - earlier >= 14 for earlier, later in pairwise(heights))


def test_names_are_cut_to_the_room_beside_the_lines() -> None:
    chart = draw_cumulative_clicks([("a", after(0), 10)], {"a": "1. " + "word " * 40}, 340, 240)
    (name,) = (text for text in texts(chart) if text.startswith("1. "))
    assert name.endswith("…")
    assert texts(chart)[name][0] + 6.2 * len(name) <= 345


def test_sessions_are_counted_from_zero_with_their_numbers() -> None:
    chart = draw_session_counts(sessions(1200, 0, 600), 530, 180)
    assert {"0", "500", "1,000", "1,200", "600"} <= set(texts(chart))
    assert titles(chart) == ["15 Feb 2019: 1,200 sessions", "16 Feb 2019: no sessions", "17 Feb 2019: 600 sessions"]
    assert chart.get("aria-label") == "Sessions by day, 0 to 1,200"


def test_lengths_of_sessions_are_minutes() -> None:
    chart = draw_session_lengths(sessions(4, 0, 2), 530, 180)
    assert titles(chart) == [
        "15 Feb 2019: 1.5 minutes on average",
        "16 Feb 2019: no sessions",
        "17 Feb 2019: 1.5 minutes on average",
    ]
    assert len(list(chart.iter("circle"))) == 2
    assert "1.5" in texts(chart)


def test_many_periods_have_no_numbers() -> None:
    assert "1,001" not in texts(draw_session_counts(sessions(*range(1001, 1009)), 530, 180))
    assert "1,001" in texts(draw_session_counts(sessions(*range(1001, 1008)), 530, 180))


@pytest.mark.parametrize("values", [[1.0], [0.0, 0.0], [3.0, float("nan"), 4.0], [1.0] * 92 + [0.0]])
def test_a_small_line_ends_in_a_point(values: list[float]) -> None:
    chart = draw_sparkline(values)
    (point,) = chart.iter("circle")
    assert float(point.get("cx", "")) > 60 * (len(values) > 1)
    radius = float(point.get("r", ""))
    assert float(point.get("cx", "")) + radius <= 120
    assert radius <= float(point.get("cy", "")) <= 26 - radius
    assert chart.get("aria-hidden") == "true"
