"""The picture, as PNG and SVG: click-through rate per article category over the days.

Each category has a small chart; all charts share one scale, and the category with the most displays comes first.
"""

import math
import textwrap
from pathlib import Path
from xml.etree.ElementTree import Element

from processor.report.axes import CHARACTER_PIXELS
from processor.report.category_chart import Scale, draw_category, draw_mark, find_marks, find_scale
from processor.report.formats import format_days, format_rate, name_panels, shorten
from processor.report.headlines import write_headlines
from processor.report.summary import Panel, Summary
from processor.report.svg import LIGHT, STYLE, add, fill_in_colors, make_svg, to_text

TITLES = {"day": "day by day", "week": "weekly sums", "month": "monthly sums", "year": "yearly sums"}
# Pixels of the SVG; the PNG has ZOOM times as many.
WIDTH, EDGE, GAP, HEADING, ZOOM = 1200.0, 28.0, 24.0, 46.0, 1.25
MAX_COLUMNS = 165  # of a line in the header
HEIGHTS = {1: 300.0, 2: 230.0, 3: 180.0, 4: 170.0}  # of a chart, by the number of columns
PICTURE_STYLE = """\
.chart .chart { overflow: visible; }
.chart text { font-family: Inter, "DejaVu Sans", sans-serif; }
.chart .title { font-size: 24px; font-weight: 700; fill: var(--ink); }
.chart .name { font-size: 14px; font-weight: 700; fill: var(--ink); }
.chart .said { font-size: 14px; fill: var(--ink); }
"""


def draw_picture(summary: Summary | None, timezone: str = "UTC") -> str:
    """Return the picture as SVG text; without a summary it says that there is no data."""
    panels = summary.panels if summary else []
    columns = min(4, math.ceil(math.sqrt(len(panels)))) or 1
    header = draw_header(summary, timezone)
    row = HEADING + HEIGHTS[columns] + GAP
    height = float(header.attrib["height"]) + row * math.ceil(len(panels) / columns) + (0 if panels else EDGE)
    svg = make_svg(WIDTH, height, "Click-through rate per article category")
    svg.attrib |= {"xmlns": "http://www.w3.org/2000/svg", "width": f"{WIDTH:.0f}", "height": f"{height:.0f}"}
    add(svg, "style", fill_in_colors(STYLE + PICTURE_STYLE))
    add(svg, "rect", width=WIDTH, height=height, fill=LIGHT["card"])
    svg.append(header)
    if summary is not None:
        width, scale = (WIDTH - 2 * EDGE + GAP) / columns - GAP, find_scale(summary)
        for position, (panel, name) in enumerate(zip(panels, name_panels(panels), strict=True)):
            part = draw_panel(panel, name, summary, scale, width, HEADING + HEIGHTS[columns])
            _place(
                svg,
                part,
                EDGE + position % columns * (width + GAP),
                float(header.attrib["height"]) + position // columns * row,
            )
    return to_text(svg)


def draw_panel(panel: Panel, name: str, summary: Summary, scale: Scale, width: float, height: float) -> Element:
    """Return the chart of a category below its name and totals; the name is cut to the width.

    The parameters are those of `draw_category`.
    """
    svg = make_svg(width, height)
    svg.attrib |= {"width": f"{width:.1f}", "height": f"{height:.1f}"}
    add(svg, "text", shorten(name, int(width / CHARACTER_PIXELS / 1.35)), class_="name", x=0, y=18)
    add(svg, "text", f"{panel.total} = {format_rate(panel.total.rate)}", x=0, y=36)
    chart = draw_category(panel, name, summary, scale, width, height - HEADING)
    chart.attrib |= {"width": f"{width:.1f}", "height": f"{height - HEADING:.1f}"}
    _place(svg, chart, 0, HEADING)
    return svg


def draw_header(summary: Summary | None, timezone: str) -> Element:
    """Return the title, what the picture says in words, the days and totals, and the legend."""
    svg = make_svg(WIDTH, 0)
    title = "Click-through rate per article category"
    add(svg, "text", title + (f", {TITLES[summary.step]}" if summary else ""), class_="title", x=EDGE, y=46)
    y = 74.0
    if summary is None:
        add(svg, "text", "Nothing to show yet: no display and no click has been counted.", class_="said", x=EDGE, y=y)
    else:
        for line in (_sum_up(summary, timezone), *write_headlines(summary)):
            for part in textwrap.wrap(line, MAX_COLUMNS):
                add(svg, "text", part, class_="said", x=EDGE, y=y)
                y += 20
        add(svg, "text", f"{_explain(summary)}.", x=EDGE, y=y)
        x, y = EDGE, y + 14
        for mark in find_marks(summary):
            _place(svg, draw_mark(mark), x, y)
            add(svg, "text", mark.label, x=x + 28, y=y + 11)
            x += 28 + CHARACTER_PIXELS * len(mark.label) + 22
    svg.attrib |= {"width": f"{WIDTH:.0f}", "height": f"{y + 34:.0f}", "viewBox": f"0 0 {WIDTH:.0f} {y + 34:.0f}"}
    return svg


def _place(parent: Element, child: Element, x: float, y: float) -> None:
    child.attrib |= {"x": f"{x:.1f}", "y": f"{y:.1f}"}
    parent.append(child)


def _sum_up(summary: Summary, timezone: str) -> str:
    total = summary.overall.total
    return f"{format_days((summary.first, summary.last))} ({timezone}): {total} = {format_rate(total.rate)}."


def _explain(summary: Summary) -> str:
    count, shown = summary.overall.categories, len(summary.panels)
    notes = ["One category" if count == 1 else f"{count:,} categories, most displayed first, on one scale"]
    if shown < count:
        notes.append(f"the {count - shown + 1:,} least displayed share the last chart")
    if summary.step != "day":
        notes.append(f"the first and the last {summary.step} may be counted in part")
    if any(summary.left_out):
        notes.append(f"not shown: {summary.left_out} on stray days far off")
    return "; ".join(notes)


def render_png(svg: str) -> bytes:
    """Return an SVG as the bytes of a PNG.

    Inter, which a package brings, has Latin, Greek and Cyrillic letters. Only where a text has others are the machine's
    own fonts asked, which takes longer.
    """
    import fontpkg_inter
    import resvg_py

    fonts = Path(fontpkg_inter.__file__).with_name("files")
    return bytes(
        resvg_py.svg_to_bytes(
            svg_string=svg,
            zoom=ZOOM,
            font_files=[str(fonts / "Inter[opsz,wght].ttf")],
            skip_system_fonts=max(svg) < "\u0530" or not _has_other_letters(svg),
            font_family="Inter",
        )
    )


def _has_other_letters(text: str) -> bool:
    return any(character > "\u052f" and character.isalpha() for character in text)
