"""The picture, as PNG and SVG: click-through rate per article category over the days.

One small panel per category on one shared scale, most displayed first. Each rate carries its 95 % Wilson
interval and stands over a bar of its displays, so a rate over five displays does not look like one over five
thousand.
"""

import logging
import math
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from processor.report.summary import (
    FIRM,
    Counts,
    Panel,
    Summary,
    compact,
    percent,
    printable,
    top_of_scale,
    wilson,
    write,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LABELLED = 7  # periods; up to so many, each has its numbers written out

TITLES = {"day": "day by day", "week": "weekly sums", "month": "monthly sums", "year": "yearly sums"}
AXES = {"day": "UTC day", "week": "week from Monday (UTC)", "month": "month (UTC)", "year": "year (UTC)"}
INK, GREY, FAINT, BAR = "#222222", "#666666", "#e4e4e4", "#b9b9b9"
# Blue and vermilion of the palette of Okabe and Ito, told apart by colour-blind readers; tints of the blue.
RATE, THIN, INTERVAL, THIN_INTERVAL, ALL = "#0072b2", "#8fc1df", "#b9d9ec", "#dcebf5", "#d55e00"
DASHED = (0, (4, 2))

# Inches; a panel is its heading, its rates, a gap, its displays and the names of the days.
WIDTH, LEFT, RIGHT, GAP, HEADER, FOOTER = 12.0, 0.85, 0.2, 0.22, 1.55, 0.3
HEADING, RATES, SPACE, STRIP, DAYS = 0.57, 0.95, 0.07, 0.25, 0.33
DPI = 150
FORMS: dict[str, dict[str, None]] = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}


def draw(summary: Summary | None, path: Path) -> None:
    """A PNG at `path` and an SVG beside it, each in one step; the same summary gives the same bytes.

    Makes the folder if need be; raises OSError where it can't write.
    """
    with styled():
        fig = figure(summary)
        for form in FORMS:
            write(path.with_suffix(f".{form}"), image(fig, form))


@contextmanager
def styled() -> Iterator[None]:
    """Matplotlib as the picture needs it, whatever the user's own settings say."""
    # Matplotlib logs about its font cache, which is nothing a reader of the terminal can act on.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams["svg.hashsalt"] = "the same ids for the same picture"
        yield


def image(fig: "Figure", form: str) -> bytes:
    """The picture in one of the forms."""
    made = BytesIO()
    fig.savefig(made, format=form, metadata=FORMS[form])
    return made.getvalue()


def figure(summary: Summary | None) -> "Figure":
    """The picture as a matplotlib figure of 12 inches width; without a summary, one that says so."""
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
        _heading(fig, panel, x, down, wide)
        bottom = down + HEADING + rates
        upper = fig.add_axes((x / WIDTH, 1 - bottom / height, wide / WIDTH, rates / height))
        bottom += SPACE + STRIP
        lower = fig.add_axes((x / WIDTH, 1 - bottom / height, wide / WIDTH, STRIP / height), facecolor="none")
        _rates(upper, panel, summary, top, wide)
        _strip(lower, panel, summary, wide)
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
    """The title, the days and totals, which categories are shown, and how the picture is read."""
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


def _heading(fig: "Figure", panel: Panel, x: float, down: float, wide: float) -> None:
    """The name of a panel, cut to its width, and its totals."""
    from matplotlib.font_manager import FontProperties, findfont, get_font
    from matplotlib.transforms import Bbox, TransformedBbox

    height = fig.get_figheight()
    label = fig.text(
        x / WIDTH,
        1 - (down + 0.16) / height,
        "",
        fontsize=9.5,
        weight="bold",
        parse_math=False,
        color=GREY if panel.name is None else INK,
    )
    if panel.name is not None:
        font = get_font(findfont(FontProperties(weight="bold")))
        name = printable(panel.name, lambda c: font.get_char_index(ord(c)) != 0)
    else:
        name = "(no category)" if panel.gathers == 1 else f"(other {panel.gathers:,} categories)"

    def width(text: str) -> float:
        label.set_text(text)
        return float(label.get_window_extent().width) / fig.dpi

    if width(name) > wide:
        cut = bisect_right(range(len(name)), wide, key=lambda k: width(name[:k] + "…")) - 1
        label.set_text(name[:cut].rstrip() + "…")
    # Marks piled upon a letter would reach into the panel above.
    room = Bbox.from_bounds(x - 0.05, height - down - 0.22, wide + 0.1, 0.24)
    label.set(clip_on=True, clip_box=TransformedBbox(room, fig.dpi_scale_trans))
    totals = f"{panel.total}  =  {percent(panel.total.rate)}"
    fig.text(x / WIDTH, 1 - (down + 0.32) / height, totals, fontsize=7.5, color=GREY)


def _rates(axes: "Axes", panel: Panel, summary: Summary, top: float, wide: float) -> None:
    """The rates of a panel with their intervals, and the rate of all categories together."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    count = len(summary.periods)
    places = range(count)
    counts = [panel.series.get(start, Counts()) for start in summary.periods]
    heights = [min(c.rate, top) if c.displays else math.nan for c in counts]
    each = wide * 72 / count
    if len(summary.panels) > 1:
        every = [summary.overall.series.get(start, Counts()).rate for start in summary.periods]
        axes.plot((-0.6, *places, count - 0.4), (every[0], *every, every[-1]), color=ALL, lw=0.9, ls=DASHED)
    intervals = {i: found for i, c in enumerate(counts) if (found := wilson(c.clicks, c.displays))}
    tints = [INTERVAL if counts[i].displays >= FIRM else THIN_INTERVAL for i in intervals]
    lows, highs = [low for low, _ in intervals.values()], [high for _, high in intervals.values()]
    axes.vlines(list(intervals), lows, highs, colors=tints, lw=min(6, max(0.8, 0.7 * each)), zorder=1.9)
    axes.plot(places, heights, color=THIN, lw=0.6)
    firm_only = [y if c.displays >= FIRM else math.nan for c, y in zip(counts, heights, strict=True)]
    axes.plot(places, firm_only, color=RATE, lw=1)
    size = 4.5 if count <= LABELLED else min(3.6, max(1.6, 0.5 * each))
    for firm in (False, True):
        for above in (False, True):
            some = [
                i
                for i in places
                if counts[i].displays and (counts[i].displays >= FIRM) == firm and (counts[i].rate > top) == above
            ]
            axes.plot(
                some,
                [heights[i] for i in some],
                "^" if above else "o",
                ms=size + above,
                color=RATE,
                mew=0.8 if size > 2 else 0.5,
                mfc=RATE if firm else "white",
                clip_on=False,
                zorder=4,
            )

    highest = max((i for i in places if counts[i].displays), key=lambda i: counts[i].rate, default=0)
    for i in places:
        if counts[i].displays and (count <= LABELLED or (i == highest and counts[i].rate > top)):
            _, high = intervals.get(i, (0, 0))
            over = i, min(max(high, heights[i]), top)
            axes.annotate(
                percent(counts[i].rate),
                over,
                (0, 4),
                textcoords="offset points",
                fontsize=6.5,
                color=INK,
                ha=_side(i, count),
                va="bottom",
                zorder=5,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},  # no line crosses it
            )
    if not panel.total.displays:
        axes.text((count - 1) / 2, top / 2, "clicks only, no rate", ha="center", fontsize=8, color=GREY)
    axes.set(xlim=(-0.6, count - 0.4), ylim=(0, top), axisbelow=True)
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda rate, _: f"{100 * rate:,.6g} %"))
    axes.grid(axis="y", color=FAINT, lw=0.6)
    axes.axhline(0, color=FAINT, lw=0.8, clip_on=False, zorder=0.5)
    axes.tick_params(length=0, labelsize=7, labelcolor=GREY, bottom=False, labelbottom=False)
    axes.spines[:].set_visible(False)


def _strip(axes: "Axes", panel: Panel, summary: Summary, wide: float) -> None:
    """The displays of a panel as bars, the tallest named, or all where there is room; and the days."""
    count = len(summary.periods)
    displays = [panel.series.get(start, Counts()).displays for start in summary.periods]
    most = max(1, *displays)
    tallest = displays.index(max(displays))
    bars = {i: n / most for i, n in enumerate(displays) if n}
    # Lines as wide as bars: a bar of its own each, of four hundred, takes longer than all else in the picture.
    width = min(0.8, 0.3 * count / wide) * wide * 72 / (count + 0.2)
    axes.vlines(list(bars), 0, list(bars.values()), colors=BAR, lw=width)
    for i, n in enumerate(displays):
        if n and (count <= LABELLED or i == tallest):
            axes.annotate(
                compact(n),
                (i, n / most),
                (0, 1),
                textcoords="offset points",
                fontsize=6,
                color=GREY,
                ha=_side(i, count),
                va="bottom",
            )
    named = range(0, count, 1 if count <= LABELLED else math.ceil(count / max(3, wide)))
    form = {"month": "%b %Y", "year": "%Y"}.get(summary.step, "{} %b")
    axes.set_xticks(named, [s.strftime(form).format(s.day) for s in (summary.periods[i] for i in named)])
    for i, label in zip(named, axes.get_xticklabels(), strict=True):
        label.set_horizontalalignment(_side(i, count))
    axes.set(xlim=(-0.6, count - 0.4), ylim=(0, 1.6), yticks=[])
    axes.tick_params(length=2, labelsize=7, labelcolor=GREY, color=BAR, pad=2)
    axes.spines[:].set_visible(False)
    axes.spines["bottom"].set(visible=True, color=BAR, lw=0.6)


def _side(i: int, count: int) -> Literal["left", "center", "right"]:
    """How a text at a period is aligned, so that it stays in its panel."""
    if count <= LABELLED:
        return "center"
    return "left" if i < 0.1 * count else "right" if i > 0.9 * count else "center"
