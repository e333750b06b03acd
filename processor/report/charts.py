"""The charts of articles and sessions, and the small lines of the tiles."""

import datetime
import math
from collections.abc import Mapping, Sequence
from xml.etree.ElementTree import Element

from processor.report.axes import CHARACTER_PIXELS, MAX_LABELLED, Axes
from processor.report.formats import format_count, format_period, format_short_period, shorten
from processor.report.page_data import Sessions
from processor.report.svg import add, format_number, make_svg

# Pixels, from the chart's edges.
LEFT, RIGHT, ABOVE, BELOW = 50, 10, 18, 20
LABEL_PIXELS = 15
Position = tuple[str, datetime.date, int]


def draw_cumulative_clicks(rows: Sequence[Position], names: Mapping[str, str], width: float, height: float) -> Element:
    """Return the chart of articles' cumulative clicks, with their names at the ends of their lines.

    rows: article, day and cumulative clicks up to that day. names: the articles in the order of their colours.
    width, height: in pixels.
    """
    first, last = min(day for _, day, _ in rows), max(day for _, day, _ in rows)
    days = [first + datetime.timedelta(number) for number in range((last - first).days + 1)]
    clicks: dict[str, dict[datetime.date, int]] = {article: {} for article in names}
    for article, day, count in rows:
        clicks[article][day] = count
    most = max(count for _, _, count in rows)
    right = width - 0.38 * width
    svg = make_svg(
        width,
        height,
        f"Cumulative clicks of {len(names)} articles up to {format_period(last, 'day')}, {most:,} at most",
    )
    axes = Axes(svg, LEFT, right, ABOVE, height - BELOW, len(days), max(1, most))
    axes.draw_scale(lambda count: format_count(round(count)))
    axes.draw_periods([format_short_period(day, "day") for day in days], height - 4)
    ends = []
    for number, article in enumerate(names, 1):
        known: list[float] = []
        for day in days:  # an article without a row on a day keeps its clicks
            known.append(clicks[article].get(day, known[-1] if known else float("nan")))
        axes.draw_line(f"s{number}", known)
        for position, day in enumerate(days):
            if day in clicks[article] and len(days) <= 4 * MAX_LABELLED:
                point = add(svg, "circle", class_=f"d{number}", cx=axes.x(position), cy=axes.y(known[position]), r=3)
                title = f"{names[article]}, {format_period(day, 'day')}: {clicks[article][day]:,} cumulative clicks"
                add(point, "title", title)
        ends.append((axes.y(known[-1]), number, article))
    most_columns = int((width - right - 26) / CHARACTER_PIXELS)
    ends.sort()
    label_heights = _spread([end for end, _, _ in ends], height)
    for y, (end, number, article) in zip(label_heights, ends, strict=True):
        x = axes.x(len(days) - 1)
        path = f"M{format_number(x + 4)} {format_number(end)}L{format_number(right + 12)} {format_number(y)}"
        add(svg, "path", class_=f"s{number}", d=path, stroke_opacity="0.35", stroke_width="1px")
        add(svg, "text", shorten(names[article], most_columns), class_=f"d{number}", x=right + 16, y=y + 4)
    return svg


def _spread(heights: Sequence[float], height: float) -> list[float]:
    """Return the heights of labels, given in ascending order, moved apart where they would overlap."""
    spread: list[float] = []
    for wanted in heights:
        spread.append(max(wanted, spread[-1] + LABEL_PIXELS if spread else ABOVE - 8))
    below = height - 8
    for position in reversed(range(len(spread))):
        spread[position] = min(spread[position], below)
        below = spread[position] - LABEL_PIXELS
    return spread


def draw_session_counts(sessions: Sessions, width: float, height: float) -> Element:
    """Return the chart of the number of sessions that began in each period.

    sessions: their numbers by period. width, height: in pixels.
    """
    counts = [float(sessions.sessions[start]) for start in sessions.periods]
    axes = _begin(sessions, f"Sessions by {sessions.step}", counts, width, height)
    axes.draw_bars("bars", ((position, 0, count) for position, count in enumerate(counts) if count), 60)
    _write_values(axes, sessions, counts, [f"{round(count):,}" for count in counts], "sessions")
    return axes.svg


def draw_session_lengths(sessions: Sessions, width: float, height: float) -> Element:
    """Return the chart of the average length, in minutes, of the sessions that began in each period.

    sessions: their numbers and lengths by period. width, height: in pixels.
    """
    minutes = [sessions.average_seconds(start) / 60 for start in sessions.periods]
    axes = _begin(sessions, f"Average session length by {sessions.step}, in minutes", minutes, width, height)
    axes.draw_line("line", minutes)
    for position, value in enumerate(minutes):
        if not math.isnan(value):
            add(axes.svg, "circle", class_="point", cx=axes.x(position), cy=axes.y(value), r=axes.point_radius)
    _write_values(axes, sessions, minutes, [f"{value:,.1f}" for value in minutes], "minutes on average")
    return axes.svg


def _begin(sessions: Sessions, description: str, values: Sequence[float], width: float, height: float) -> Axes:
    known = [value for value in values if not math.isnan(value)]
    described = f"{description}, {min(known):,.6g} to {max(known):,.6g}"
    svg = make_svg(width, height, described)
    axes = Axes(svg, LEFT, width - RIGHT, ABOVE, height - BELOW, len(values), 1.1 * max(known) or 1)
    axes.draw_scale(lambda value: f"{value:,.3g}" if value < 1000 else format_count(round(value)))
    axes.draw_periods([format_short_period(start, sessions.step) for start in sessions.periods], height - 4)
    return axes


def _write_values(axes: Axes, sessions: Sessions, values: Sequence[float], texts: Sequence[str], noun: str) -> None:
    """Write the values of the periods if there is room, and let a pointer show each."""
    titles = []
    for position, (start, value, text) in enumerate(zip(sessions.periods, values, texts, strict=True)):
        has_any = sessions.sessions[start] > 0
        titles.append(f"{format_period(start, sessions.step)}: {f'{text} {noun}' if has_any else 'no sessions'}")
        if has_any and len(values) <= MAX_LABELLED:
            axes.draw_value(position, axes.y(value) - 6, text)
    axes.add_titles(titles, axes.bottom)


def draw_sparkline(values: Sequence[float]) -> Element:
    """Return a small line of values, without a scale, that ends in a point; NaN is a gap."""
    svg = make_svg(120, 26)
    known = [value for value in values if not math.isnan(value)]
    low, high = min(known), max(known)
    axes = Axes(svg, 3, 117, 4, 22, len(values), (high - low) or 1)  # the last point is inside, too
    axes.draw_line("line", [value - low for value in values])
    last = max(position for position, value in enumerate(values) if not math.isnan(value))
    add(svg, "circle", class_="point", cx=axes.x(last), cy=axes.y(values[last] - low), r=2.4)
    return svg
