"""Numbers, days and names as the report writes them."""

import datetime
import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.report.formats import (
    format_count,
    format_days,
    format_duration,
    format_interval,
    format_name,
    format_points,
    format_rate,
    name_panels,
    shorten,
)
from processor.report.rates import ClickThrough
from processor.report.summary import Panel
from tests.support.category_days import FIRST_DAY


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0"), (950, "950"), (9500, "9,500"), (94_900, "95k"), (1_250_000, "1.2M"), (3 * 10**11, "300G")],
)
def test_short_counts(count: int, shown: str) -> None:
    assert format_count(count) == shown


@pytest.mark.parametrize(
    ("count", "shown"),
    [(9999, "9,999"), (10_000, "10k"), (999_499, "999k"), (1_000_000, "1.0M"), (9_940_000, "9.9M"), (10**21, "1,000E")],
)
def test_short_counts_at_their_ends(count: int, shown: str) -> None:
    assert format_count(count) == shown


@pytest.mark.parametrize(
    ("rate", "shown"),
    [(0, "0 %"), (0.0357, "3.57 %"), (0.0999, "9.99 %"), (0.1234, "12.3 %"), (1, "100 %"), (15, "1,500 %")],
)
def test_rates_in_per_cent(rate: float, shown: str) -> None:
    assert format_rate(rate) == shown


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
    assert format_rate(rate) == shown


@given(st.text())
def test_a_name_is_one_line_that_shows_all_its_characters(name: str) -> None:
    shown = format_name(name)
    assert shown
    assert len(shown.splitlines()) == 1
    assert all(c.isprintable() or c.isspace() for c in shown)


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
        ("日", "日"),
        ("e\u0301\u0301\u0301\u0301x\u0301", "e\u0301\u0301\\u0301\\u0301x\u0301"),
    ],
)
def test_what_is_invisible_is_escaped(name: str, shown: str) -> None:
    assert format_name(name) == shown


def test_categories_read_as_words() -> None:
    def names(*categories: str | None) -> list[str]:
        return name_panels([Panel(name, 1, ClickThrough(), {}) for name in categories])

    assert names("people_shows", "digital_life", "news", "Sport", "_x", "straße", "a b", None) == [
        "People & shows", "Digital life", "News", "Sport", "_x", "straße", "a b", "(no category)",
    ]  # fmt: skip
    assert names("news\n", "", " news") == ["“news\\n”", "“”", "“ news”"]
    assert names("top_news", "top news", "Top news") == ["top_news", "top news", "Top news"]
    assert name_panels([Panel(None, 1234, ClickThrough(), {})]) == ["(other 1,234 categories)"]


def test_a_text_is_cut_to_its_columns() -> None:
    assert shorten("x" * 60, 60) == "x" * 60
    assert shorten("x" * 61, 60) == "x" * 59 + "…"
    assert shorten("日本語", 6) == "日本語"
    assert shorten("日本語", 5) == "日…"
    assert shorten("one two", 5) == "one…"
    assert shorten("日", 1) == "…"


def test_differences_of_rates_are_points() -> None:
    assert [format_points(it) for it in (0.0312, -0.0312, 0.09996, 0)] == [
        "3.12 points", "3.12 points", "10.0 points", "0.00 points",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        ("0", "0 min 00 s"),
        ("59.4", "0 min 59 s"),
        ("59.6", "1 min 00 s"),
        ("3599.4", "59 min 59 s"),
        ("3599.6", "1 h 00 min"),
        ("3661", "1 h 01 min"),
        ("3600000", "1,000 h 00 min"),
    ],
)
def test_lengths_of_time(seconds: str, shown: str) -> None:
    assert format_duration(Decimal(seconds)) == shown


def test_a_day_and_a_span_of_days() -> None:
    assert format_days((FIRST_DAY, FIRST_DAY)) == "15 Feb 2019"
    assert format_days((FIRST_DAY, FIRST_DAY + datetime.timedelta(1))) == "15 Feb 2019 to 16 Feb 2019"


def test_an_interval_is_a_dash_where_there_is_none() -> None:
    assert format_interval(ClickThrough(0, 0)) == format_interval(ClickThrough(1, 2)) == "–"
    assert format_interval(ClickThrough(100, 50)) == "40.4–59.6 %"
