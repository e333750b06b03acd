"""One panel of the picture: the heading, rates and displays of a category."""

import math
from bisect import bisect_right
from typing import TYPE_CHECKING, Literal

from processor.report.summary import FIRM, Counts, Panel, Summary, compact, percent, printable, wilson

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LABELLED = 7  # periods; up to this number, each period has its figures written out
INK, GREY, FAINT, BAR = "#222222", "#666666", "#e4e4e4", "#b9b9b9"
# Blue and vermilion from the Okabe-Ito palette, which colour-blind readers can tell apart, and tints of the blue.
RATE, THIN, INTERVAL, THIN_INTERVAL, ALL = "#0072b2", "#8fc1df", "#b9d9ec", "#dcebf5", "#d55e00"
DASHED = (0, (4, 2))
WIDTH = 12.0  # inches


def draw_heading(fig: "Figure", panel: Panel, x: float, down: float, wide: float) -> None:
    """Draw the name of a panel, shortened to the panel's width, and its totals."""
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
    # Stacked combining marks would reach into the panel above.
    room = Bbox.from_bounds(x - 0.05, height - down - 0.22, wide + 0.1, 0.24)
    label.set(clip_on=True, clip_box=TransformedBbox(room, fig.dpi_scale_trans))
    totals = f"{panel.total}  =  {percent(panel.total.rate)}"
    fig.text(x / WIDTH, 1 - (down + 0.32) / height, totals, fontsize=7.5, color=GREY)


def draw_rates(axes: "Axes", panel: Panel, summary: Summary, top: float, wide: float) -> None:
    """Draw the rates of a panel with their intervals, and the rate of all categories together."""
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


def draw_displays(axes: "Axes", panel: Panel, summary: Summary, wide: float) -> None:
    """Draw the displays of a panel as bars, and the days; label the tallest bar, or all bars if there is room."""
    count = len(summary.periods)
    displays = [panel.series.get(start, Counts()).displays for start in summary.periods]
    most = max(1, *displays)
    tallest = displays.index(max(displays))
    bars = {i: n / most for i, n in enumerate(displays) if n}
    # Wide lines in place of bars: four hundred bar objects take longer than everything else in the picture.
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
    """Return the alignment that keeps a text at a period inside its panel."""
    if count <= LABELLED:
        return "center"
    return "left" if i < 0.1 * count else "right" if i > 0.9 * count else "center"
