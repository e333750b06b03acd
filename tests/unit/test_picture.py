"""The picture: what it holds, that nothing in the data can break it, and that it is replaced in one step."""

import datetime
import struct
import subprocess
import sys
import warnings
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processor.report import picture
from processor.report import summary as report
from processor.report.summary import CategoryDay, Counts
from tests.support.category_days import FIRST_DAY, day
from tests.support.hostile_text import HOSTILE
from tests.support.paths import ROOT


def drawn(some: list[CategoryDay], path: Path) -> tuple[int, int]:
    """The width and height of the picture of some rows, drawn without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        picture.draw(report.summarize(some), path)
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    assert len(data) < 2_000_000
    assert data.endswith(b"IEND\xaeB`\x82")
    width, height = struct.unpack(">II", data[16:24])
    svg = ElementTree.parse(path.with_suffix(".svg")).getroot()
    assert svg.get("width") == "864pt"
    return width, height


def words(some: list[CategoryDay]) -> str:
    """All that a picture says outside of its scales, a line for each text."""
    fig = picture.make_figure(report.summarize(some))
    return "\n".join(text.get_text() for text in (*fig.texts, *(t for axes in fig.axes for t in axes.texts)))


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
    summary = report.summarize(some)
    assert summary is not None
    assert len(summary.periods) == periods
    assert summary.periods == sorted({report.find_period_start(row.date, summary.step) for row in some})
    assert f"Click-through rate per article category, {title}" in words(some)


def test_days_of_a_wrong_clock_do_not_stretch_the_picture() -> None:
    some = [*(day(after=i) for i in range(3)), CategoryDay("news", datetime.date(1970, 1, 1), 2, 1)]
    summary = report.summarize(some)
    assert summary is not None
    assert (summary.first, summary.step, summary.left_out) == (FIRST_DAY, "day", Counts(2, 1))
    assert "not shown: 1 click / 2 displays on stray days" in words(some)


def test_the_picture_says_what_it_shows() -> None:
    said = words([day("news", 0, 5000, 300), day("music", 2, 5, 1), day(None, 1, 50, 0), day("odd", 1, 0, 2)])
    assert "Click-through rate per article category, day by day" in said
    assert "15 Feb 2019 to 17 Feb 2019 (UTC)  ·  303 clicks / 5,055 displays  =  5.99 %" in said
    assert "300 clicks / 5,000 displays  =  6.00 %" in said
    assert "1 click / 5 displays  =  20.0 %" in said
    assert "2 clicks / 0 displays  =  no rate" in said
    names = ["news", "(no category)", "music", "odd"]
    assert [line for line in said.splitlines() if line in names] == names


def test_more_categories_than_fit_are_gathered_and_it_is_said() -> None:
    gathered = CategoryDay(None, FIRST_DAY, 8685, 360, gathers=9)
    said = words([gathered, *(day(f"c{i}", displays=1000 - i) for i in range(31)), day(None)])
    assert "41 categories, most displayed first" in said
    assert "the 9 least displayed share the last panel" in said
    assert "(other 9 categories)" in said
    assert "(no category)" in said


def test_no_line_crosses_a_number() -> None:
    from matplotlib.colors import to_rgba

    fig = picture.make_figure(report.summarize([day(), day("b", clicks=20)]))
    numbers = [text for text in fig.axes[0].texts if text.get_text().endswith("%")]
    assert [text.get_text() for text in numbers] == ["4.00 %"]
    for text in numbers:
        patch = text.get_bbox_patch()
        assert patch is not None
        assert patch.get_facecolor() == to_rgba("white")
        assert text.get_zorder() > max(line.get_zorder() for line in fig.axes[0].lines)


def test_a_day_without_displays_is_a_gap_and_no_zero() -> None:
    from numpy import asarray, isnan

    fig = picture.make_figure(report.summarize([day(after=0), day(after=1, displays=0), day(after=3, clicks=0)]))
    heights = [asarray(line.get_ydata()) for line in fig.axes[0].lines]
    joined = [isnan(ys).tolist() for ys in heights if ys.shape == (4,)]
    assert joined == [[False, True, True, False]] * 2


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
def test_any_counts_give_a_picture(some: list[CategoryDay], tmp_path: Path) -> None:
    width, height = drawn(some, tmp_path / "picture.png")
    assert width == 1800
    assert 500 < height < 3000


def test_no_rows_give_a_picture_that_says_so(tmp_path: Path) -> None:
    assert drawn([], tmp_path / "new" / "picture.png")[0] == 1800
    assert "no display and no click has been counted" in words([])


def test_hostile_names_are_shown_as_they_are(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    some = [day(name, i, 2000 - j, 40) for j, name in enumerate(HOSTILE) for i in range(2)]
    width, height = drawn(some, tmp_path / "picture.png")
    assert (width, height < 3000) == (1800, True)
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
        "\\ud800",
    ):
        assert shown in said
    assert any(line.startswith("WWWW") and line.endswith("…") and len(line) < 100 for line in said)


@settings(max_examples=5, deadline=None)
@given(st.lists(st.text(min_size=1), min_size=12, max_size=12))
def test_any_names_draw_without_a_warning(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    drawn([day(name) for name in names], tmp_path_factory.getbasetemp() / "any.png")


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    some = [day(f"c{i}", j) for i in range(4) for j in range(3)]
    picture.draw(report.summarize(some), tmp_path / "a.png")
    picture.draw(report.summarize(reversed(some)), tmp_path / "b.png")
    for form in ("png", "svg"):
        assert (tmp_path / f"a.{form}").read_bytes() == (tmp_path / f"b.{form}").read_bytes()


def test_an_earlier_picture_survives_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "picture.png"
    picture.draw(report.summarize([day()]), path)
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    def half(self: Path, data: bytes) -> None:
        with self.open("wb") as file:
            file.write(data[:100])
        full()

    for name, failing in (("replace", full), ("write_bytes", half)):
        with monkeypatch.context() as patched:
            patched.setattr(Path, name, failing)
            with pytest.raises(OSError, match="No space"):
                picture.draw(report.summarize([day(clicks=1)]), path)
    assert path.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == [path, path.with_suffix(".svg")]


def test_a_folder_that_cannot_be_made_is_an_oserror(tmp_path: Path) -> None:
    (tmp_path / "report").write_text("a file where the folder should be", encoding="utf-8")
    with pytest.raises(OSError, match="report"):
        picture.draw(None, tmp_path / "report" / "picture.png")


def test_the_module_loads_without_matplotlib() -> None:
    code = "import sys, processor.report.picture; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
