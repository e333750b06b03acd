"""The picture: what it says, and that nothing in the data can break it."""

import datetime
import struct
import subprocess
import sys
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processor.report.picture import draw_picture, render_png
from processor.report.rates import ClickThrough
from processor.report.summary import CategoryDay, find_period_start, summarize
from tests.support.category_days import FIRST_DAY, day
from tests.support.hostile_text import HOSTILE
from tests.support.paths import ROOT

NAMESPACE = "{http://www.w3.org/2000/svg}"


def size_of(some: list[CategoryDay]) -> tuple[int, int]:
    """Return the width and height of the PNG of some rows."""
    data = render_png(draw_picture(summarize(some)))
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    assert len(data) < 2_000_000
    assert data.endswith(b"IEND\xaeB`\x82")
    width, height = struct.unpack(">II", data[16:24])
    return width, height


def words(some: list[CategoryDay]) -> str:
    """Return all that a picture says, a line for each text."""
    svg = ElementTree.fromstring(draw_picture(summarize(some)))
    return "\n".join(text.text or "" for text in svg.iter(f"{NAMESPACE}text"))


@pytest.mark.parametrize(
    ("days", "title", "periods"),
    [
        (1, "day by day", 1),
        (3, "day by day", 3),
        (60, "day by day", 60),
        (92, "day by day", 92),
        (93, "weekly sums", 14),
        (644, "weekly sums", 93),
        (645, "monthly sums", 22),
        (1000, "monthly sums", 34),
        (4000, "yearly sums", 12),
    ],
)
def test_long_ranges_are_cut_down_and_the_title_says_so(days: int, title: str, periods: int) -> None:
    some = [day(after=i) for i in range(days)]
    summary = summarize(some)
    assert summary is not None
    assert len(summary.periods) == periods
    assert summary.periods == sorted({find_period_start(row.date, summary.step) for row in some})
    assert f"Click-through rate per article category, {title}" in words(some)


def test_days_of_a_wrong_clock_do_not_stretch_the_picture() -> None:
    some = [*(day(after=i) for i in range(3)), CategoryDay("news", datetime.date(1970, 1, 1), 2, 1)]
    summary = summarize(some)
    assert summary is not None
    assert (summary.first, summary.step, summary.left_out) == (FIRST_DAY, "day", ClickThrough(2, 1))
    assert "not shown: 1 click / 2 displays on stray days" in words(some)


def test_the_picture_says_what_it_shows() -> None:
    said = words([day("news", 0, 5000, 300), day("music", 2, 5, 1), day(None, 1, 50, 0), day("odd", 1, 0, 2)])
    assert "Click-through rate per article category, day by day" in said
    assert "15 Feb 2019 to 17 Feb 2019 (UTC): 303 clicks / 5,055 displays = 5.99 %." in said
    assert "300 clicks / 5,000 displays = 6.00 %" in said
    assert "1 click / 5 displays = 20.0 %" in said
    assert "2 clicks / 0 displays = no rate" in said
    names = ["News", "(no category)", "Music", "Odd"]
    assert [line for line in said.splitlines() if line in names] == names


def test_the_picture_says_what_it_found() -> None:
    said = words([day("people_shows", i, 5000, 300) for i in range(2)] + [day("music", 1, 5000, 100)])
    assert "People & shows leads: 6.00 %" in said
    assert "On 16 Feb 2019, 4.00 %" in said


def test_more_categories_than_fit_are_gathered_and_the_picture_says_so() -> None:
    others = CategoryDay(None, FIRST_DAY, 8685, 360, categories=9)
    said = words([others, *(day(f"c{i}", displays=1000 - i) for i in range(31)), day(None)])
    assert "41 categories, most displayed first" in said
    assert "the 9 least displayed share the last chart" in said
    assert "(other 9 categories)" in said
    assert "(no category)" in said


@pytest.mark.parametrize(
    "some",
    [
        [day()],
        [day(None, 0, 0, 3)],
        [day(clicks=0)],
        [day(displays=0, clicks=0)],
        [day(displays=2, clicks=9), day("b", 2, 10**15, 10**14)],
        [CategoryDay("news", datetime.date.min, 7, 1), CategoryDay("news", datetime.date.max, 7, 1)],
        [day(f"c{i}", j * 16) for i in range(3) for j in range(63)],
    ],
    ids=["1x1", "clicks only", "no clicks", "zeros", "rate above 1", "all of time", "1000 days"],
)
def test_any_counts_give_a_picture(some: list[CategoryDay]) -> None:
    width, height = size_of(some)
    assert width == 1500
    assert 500 < height < 3000


def test_no_rows_give_a_picture_that_says_so() -> None:
    assert size_of([])[0] == 1500
    assert "no display and no click has been counted" in words([])


def test_hostile_names_are_shown_as_they_are(capfd: pytest.CaptureFixture[str]) -> None:
    some = [day(name, i, 2000 - j, 40) for j, name in enumerate(HOSTILE) for i in range(2)]
    width, height = size_of(some)
    assert (width, height < 3000) == (1500, True)
    assert capfd.readouterr() == ("", "")
    said = words(some).splitlines()
    for shown in (
        "$x^2$ and $\\frac{",
        "$",
        "_hidden",
        "<b>bold</b>&amp;",
        "%s {0} {days} %d",
        "“ ”",
        "“”",
        "\\x00\\x07\\x1b[31m\\x7f",
        "“line\\nbreak\\r\\n”",
        "\\u202eevil\\u202c",
        "العربية אבגד",
        "日本語カテゴリ",
        "\\ud800",
    ):
        assert shown in said
    assert any(line.startswith("WWWW") and line.endswith("…") and len(line) < 100 for line in said)


@settings(max_examples=5, deadline=None)
@given(st.lists(st.text(min_size=1), min_size=12, max_size=12))
def test_any_names_give_a_picture(names: list[str]) -> None:
    assert size_of([day(name) for name in names])[0] == 1500


def test_the_same_rows_give_the_same_bytes() -> None:
    some = [day(f"c{i}", j) for i in range(4) for j in range(3)]
    one, other = draw_picture(summarize(some)), draw_picture(summarize(reversed(some)))
    assert one == other
    assert render_png(one) == render_png(other)


def test_the_machines_fonts_are_asked_for_other_letters_only(monkeypatch: pytest.MonkeyPatch) -> None:
    import resvg_py

    asked = []

    def note(**options: object) -> bytes:
        asked.append(options["skip_system_fonts"])
        return b""

    monkeypatch.setattr(resvg_py, "svg_to_bytes", note)
    for text in ("Zürich, Ελλάδα, Россия – “−…”", "日本", "אב"):
        render_png(text)
    assert asked == [True, False, False]


def test_the_module_loads_without_what_renders() -> None:
    code = "import sys, processor.report.picture; sys.exit('resvg_py' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
