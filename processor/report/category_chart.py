"""The chart of a category: its click-through rate with its uncertainty, over bars of its displays."""

import math
from typing import NamedTuple
from xml.etree.ElementTree import Element

from processor.report.axes import MAX_LABELLED, Axes
from processor.report.formats import format_count, format_interval, format_period, format_rate, format_short_period
from processor.report.rates import ClickThrough, wilson_interval
from processor.report.summary import FIRM_DISPLAYS, Panel, Summary
from processor.report.svg import add, format_number, make_svg

# Pixels, from the chart's edges.
LEFT, RIGHT, ABOVE, BELOW = 50, 10, 18, 18
BARS, GAP, TEXT = 26, 14, 11


class Mark(NamedTuple):
    """A kind of mark in the charts of categories: its name in the code, and in the legend."""

    kind: str
    label: str


class Scale(NamedTuple):
    """What the charts of all categories share: the rate at the upper edge, and the displays of the highest bar."""

    top_rate: float
    most_displays: int


def find_scale(summary: Summary) -> Scale:
    """Return the scale on which all categories of a summary can be compared.

    Rates over few displays and single outliers do not stretch the scale, so the other rates stay readable.
    """
    points = [counts for panel in summary.panels for counts in panel.series.values() if counts.displays]
    most_displays = max((counts.displays for counts in points), default=1)
    enough = min(FIRM_DISPLAYS, most_displays / 20)
    rates = sorted(counts.rate for counts in points if counts.displays >= enough)
    if not rates or not rates[-1]:
        return Scale(0.05, most_displays)
    usual = rates[int(0.9 * (len(rates) - 1))] or rates[-1]
    return Scale(1.25 * min(rates[-1], 4 * usual), most_displays)


def find_marks(summary: Summary) -> list[Mark]:
    """Return the marks that occur in the charts of a summary, for the legend."""
    top_rate = find_scale(summary).top_rate
    points = [counts for panel in summary.panels for counts in panel.series.values() if counts.displays]
    occurs = {
        Mark("rate", "rate" if summary.step == "day" else f"rate of the {summary.step}"): any(
            counts.displays >= FIRM_DISPLAYS for counts in points
        ),
        Mark("thin", f"rate over fewer than {FIRM_DISPLAYS} displays"): any(
            counts.displays < FIRM_DISPLAYS for counts in points
        ),
        Mark("beyond", "rate beyond the scale"): any(counts.rate > top_rate for counts in points),
        Mark("interval", "95 % interval (Wilson)"): any(wilson_interval(counts) for counts in points),
        Mark("all", "all categories together"): len(summary.panels) > 1 and bool(points),
        Mark("bars", "displays, on one scale"): bool(points),
    }
    return [mark for mark, is_there in occurs.items() if is_there]


def draw_mark(mark: Mark) -> Element:
    """Return the picture of a mark for the legend, 22 by 14 pixels."""
    svg = make_svg(22, 14)
    svg.attrib |= {"width": "22", "height": "14"}
    if mark.kind == "interval":
        add(svg, "path", class_="interval", d="M11 0V14", stroke_width=7)
    elif mark.kind == "all":
        add(svg, "path", class_="all", d="M0 7H22")
    elif mark.kind == "bars":
        add(svg, "path", class_="bars", d="M11 14V2", stroke_width=12)
    else:
        if mark.kind == "rate":
            add(svg, "path", class_="line", d="M0 7H22")
        _draw_point(svg, 11, 7, 3.6, is_firm=mark.kind != "thin", is_beyond=mark.kind == "beyond")
    return svg


def draw_category(panel: Panel, name: str, summary: Summary, scale: Scale, width: float, height: float) -> Element:
    """Return the chart of a category.

    panel: the category. name: its name in words. summary: where the panel is from. scale: what `find_scale` returns for
    all categories. width, height: in pixels.
    """
    counts = [panel.series.get(start, ClickThrough()) for start in summary.periods]
    svg = make_svg(width, height, _describe(panel, name, summary))
    foot = height - BELOW
    rates = Axes(svg, LEFT, width - RIGHT, ABOVE, foot - BARS - GAP, len(counts), scale.top_rate)
    bars = Axes(svg, LEFT, width - RIGHT, foot - BARS, foot, len(counts), scale.most_displays)

    rates.draw_scale(_label_rate)
    intervals = [wilson_interval(one) for one in counts]
    rates.draw_bars("interval", ((i, *interval) for i, interval in enumerate(intervals) if interval), 7)
    together = [summary.overall.series.get(start, ClickThrough()).rate for start in summary.periods]
    if len(summary.panels) > 1:
        rates.draw_line("all", together)
        if len(together) == 1:  # one point makes no line
            y, (left, right) = rates.y(together[0]), (rates.x(0) - BARS, rates.x(0) + BARS)
            add(svg, "path", class_="all", d=f"M{format_number(left)} {format_number(y)}H{format_number(right)}")
    rates.draw_line("line", [one.rate for one in counts])
    for position, one in enumerate(counts):
        if one.displays:
            is_firm, is_beyond = one.displays >= FIRM_DISPLAYS, one.rate > scale.top_rate
            _draw_point(svg, rates.x(position), rates.y(one.rate), rates.point_radius, is_firm, is_beyond)
    if not panel.total.displays:
        add(svg, "text", "clicks only, no rate", class_="middle", x=width / 2, y=(rates.top + rates.bottom) / 2)

    bars.draw_bars("bars", ((i, 0, one.displays) for i, one in enumerate(counts) if one.displays), 40)
    add(svg, "path", class_="axis", d=f"M{LEFT} {format_number(foot)}H{format_number(width - RIGHT)}")
    bars.draw_periods([format_short_period(start, summary.step) for start in summary.periods], height - 4)
    _write_rates(counts, together if len(summary.panels) > 1 else [], rates)
    _write_displays([one.displays for one in counts], bars)
    titles = [
        f"{format_period(start, summary.step)}: {one} = {format_rate(one.rate)}"
        + (f" (95 %: {format_interval(one)})" if interval else "")
        for start, one, interval in zip(summary.periods, counts, intervals, strict=True)
    ]
    rates.add_titles(titles, foot)
    return svg


def _label_rate(rate: float) -> str:
    percent = 100 * rate
    return f"{format_count(round(percent)) if percent >= 1000 else f'{percent:.6g}'} %"


def _write_rates(counts: list[ClickThrough], together: list[float], rates: Axes) -> None:
    """Write the rates above their marks if there is room, and above the line of all categories where it is close."""
    for position, one in enumerate(counts):
        if not one.displays or len(counts) > MAX_LABELLED:
            continue
        interval, text = wilson_interval(one), format_rate(one.rate)
        y = rates.y(max(one.rate, interval[1] if interval else 0)) - 6
        line = rates.find_heights(together, position, text)
        if any(y - TEXT <= height <= y + 3 for height in line):
            y = min(line) - 4
        rates.draw_value(position, y, text)


def _write_displays(displays: list[int], bars: Axes) -> None:
    """Write the displays above their bars: all if there is room, else the most only."""
    tallest = displays.index(max(displays))
    for position, count in enumerate(displays):
        if count and (len(displays) <= MAX_LABELLED or position == tallest):
            bars.draw_value(position, bars.y(count) - 3, format_count(count))


def _draw_point(svg: Element, x: float, y: float, radius: float, is_firm: bool, is_beyond: bool) -> None:
    class_ = "point" if is_firm else "point thin"
    if is_beyond:
        corner = f"{format_number(x - radius)} {format_number(y + radius)}"
        add(svg, "path", class_=class_, d=f"M{corner}h{format_number(2 * radius)}l{-radius:.1f} {-2 * radius:.1f}z")
    else:
        add(svg, "circle", class_=class_, cx=x, cy=y, r=radius)


def _describe(panel: Panel, name: str, summary: Summary) -> str:
    """Return what a chart shows, for readers who do not see it."""
    rated = [(start, panel.series[start].rate) for start in summary.periods if start in panel.series]
    rated = [(start, rate) for start, rate in rated if not math.isnan(rate)]
    said = f"{name}: click-through rate by {summary.step}, {panel.total} = {format_rate(panel.total.rate)} in all"
    if len(rated) > 1:
        ends = [f"{format_rate(rate)} ({format_period(start, summary.step)})" for start, rate in (rated[0], rated[-1])]
        said += f"; from {' to '.join(ends)}"
    return said
