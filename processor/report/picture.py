"""The picture, as PNG and SVG: click-through rate per article category over the days.

Each category has a small panel; all panels share one scale, and the category with the most displays comes first.
Each rate has its 95 % Wilson interval and a bar of its displays, so that a rate over five displays does not look
like one over five thousand.
"""

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from processor.report.picture_panel import (
    ALL,
    BAR,
    DASHED,
    GREY,
    INK,
    INTERVAL,
    RATE,
    WIDTH,
    draw_displays,
    draw_heading,
    draw_rates,
)
from processor.report.summary import FIRM, Summary, percent, top_of_scale, write_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLES = {"day": "day by day", "week": "weekly sums", "month": "monthly sums", "year": "yearly sums"}
AXES = {"day": "UTC day", "week": "week from Monday (UTC)", "month": "month (UTC)", "year": "year (UTC)"}

# Inches. From top to bottom, a panel has a heading, rates, a gap, displays and the names of the days.
LEFT, RIGHT, GAP, HEADER, FOOTER = 0.85, 0.2, 0.22, 1.55, 0.3
HEADING, RATES, SPACE, STRIP, DAYS = 0.57, 0.95, 0.07, 0.25, 0.33
DPI = 150
FORMS: dict[str, dict[str, None]] = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}


def draw(summary: Summary | None, path: Path) -> None:
    """Write a PNG at `path` and an SVG beside it, each atomically; equal summaries give equal bytes.

    Makes the folder if it does not exist. Raises OSError if a file cannot be written.
    """
    with default_style():
        fig = make_figure(summary)
        for form in FORMS:
            write_file(path.with_suffix(f".{form}"), render_figure(fig, form))


@contextmanager
def default_style() -> Iterator[None]:
    """Use matplotlib's defaults inside the context, whatever the user's own settings are."""
    # Matplotlib logs messages about its font cache, which a reader of the terminal can do nothing about.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams["svg.hashsalt"] = "the same ids for the same picture"
        yield


def render_figure(fig: "Figure", form: str) -> bytes:
    """Return a figure as the bytes of a file; `form` is one of FORMS."""
    made = BytesIO()
    fig.savefig(made, format=form, metadata=FORMS[form])
    return made.getvalue()


def make_figure(summary: Summary | None) -> "Figure":
    """Return the picture as a matplotlib figure, 12 inches wide; without a summary it says that there is no data."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = summary.panels if summary else []
    columns = min(4, math.ceil(math.sqrt(len(panels)))) or 1
    rates = RATES * {1: 2.2, 2: 1.6}.get(columns, 1)
    row = HEADING + rates + SPACE + STRIP + DAYS
    height = HEADER + FOOTER + row * math.ceil(len(panels) / columns)
    fig = Figure(figsize=(WIDTH, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(fig)
    title = "Click-through rate per article category"
    if summary is None:
        fig.text(LEFT / WIDTH, 1 - 0.7 / height, title, fontsize=17, color=INK, weight="bold")
        nothing = "Nothing to show yet: no display and no click has been counted."
        fig.text(LEFT / WIDTH, 1 - 1.05 / height, nothing, fontsize=11, color=GREY)
        return fig
    _header(fig, f"{title}, {TITLES[summary.step]}", summary)

    wide, top = (WIDTH - LEFT - RIGHT + GAP) / columns - GAP, top_of_scale(panels)
    for i, panel in enumerate(panels):
        x, down = LEFT + i % columns * (wide + GAP), HEADER + i // columns * row
        draw_heading(fig, panel, x, down, wide)
        bottom = down + HEADING + rates
        upper = fig.add_axes((x / WIDTH, 1 - bottom / height, wide / WIDTH, rates / height))
        bottom += SPACE + STRIP
        lower = fig.add_axes((x / WIDTH, 1 - bottom / height, wide / WIDTH, STRIP / height), facecolor="none")
        draw_rates(upper, panel, summary, top, wide)
        draw_displays(lower, panel, summary, wide)
        upper.tick_params(labelleft=i % columns == 0)
    fig.text(
        0.25 / WIDTH,
        (height - HEADER) / 2 / height,
        "click-through rate (clicks / displays), %",
        rotation=90,
        va="center",
        ha="center",
        fontsize=8.5,
        color=GREY,
    )
    fig.text(
        (LEFT + WIDTH - RIGHT) / 2 / WIDTH, 0.16 / height, AXES[summary.step], ha="center", fontsize=8.5, color=GREY
    )
    return fig


def _header(fig: "Figure", title: str, summary: Summary) -> None:
    """Draw the title, the days and totals, which categories are shown, and the legend."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    count, shown, total = summary.overall.gathers, len(summary.panels), summary.overall.total
    days = "to".join(f" {day.day} {day:%b %Y} " for day in sorted({summary.first, summary.last})).strip()
    totals = f"{days} (UTC)  ·  {total}  =  {percent(total.rate)}"
    notes = ["one category" if count == 1 else f"{count:,} categories, most displayed first, on one scale"]
    if shown < count:
        notes.append(f"the {count - shown + 1:,} least displayed share the last panel")
    if summary.step != "day":
        notes.append(f"the first and the last {summary.step} may be counted in part")
    if any(summary.left_out):
        notes.append(f"not shown: {summary.left_out} on stray days far off")
    height = fig.get_figheight()
    for down, text, size, color in (0.78, totals, 10.5, INK), (1.0, "; ".join(notes), 8.5, GREY):
        fig.text(LEFT / WIDTH, 1 - down / height, text, fontsize=size, color=color)
    fig.text(LEFT / WIDTH, 1 - 0.5 / height, title, fontsize=17, color=INK, weight="bold")

    rate = "rate" if summary.step == "day" else f"rate of the {summary.step}"
    thin = f"rate over fewer than {FIRM} displays"
    handles = [
        Line2D([], [], color=RATE, marker="o", ms=4.5, lw=1, label=rate),
        Line2D([], [], color=RATE, marker="o", ms=4.5, lw=0, mew=0.8, mfc="white", label=thin),
        Line2D([], [], color=RATE, marker="^", ms=5.5, lw=0, label="rate beyond the scale"),
        Line2D([], [], color=INTERVAL, marker="|", ms=9, lw=0, mew=5, label="95 % interval (Wilson)"),
        Line2D([], [], color=ALL, lw=0.9, ls=DASHED, label="all categories together"),
        Patch(color=BAR, label="displays (to each panel's own scale)"),
    ]
    if shown == 1:
        del handles[4]
    fig.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(LEFT / WIDTH, 1 - 1.12 / height),
        ncols=6,
        frameon=False,
        fontsize=7.5,
        labelcolor=GREY,
        borderpad=0,
        borderaxespad=0,
        columnspacing=1.6,
        handletextpad=0.6,
        handlelength=1.8,
    )
