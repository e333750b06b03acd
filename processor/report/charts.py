"""The page's charts as Vega-Lite specifications. Their colours are the page's, so they follow light and dark mode."""

import datetime
import math
from typing import Any

from processor.report.page_data import Overview, Sessions
from processor.report.summary import FIRM, Counts, Panel, Step, Summary, top_of_scale, wilson

Spec = dict[str, Any]

DAYS: dict[Step, int] = {"day": 1, "week": 7, "month": 30, "year": 365}
FORMATS: dict[Step, str] = {"day": "%-d %b", "week": "%-d %b", "month": "%b %Y", "year": "%Y"}
NAMES: dict[Step, str] = {"day": "{} %b %Y", "week": "from {} %b %Y", "month": "%B %Y", "year": "%Y"}
STRIP = 0.22  # height of the bars of displays below the scale, as a fraction of the scale

FONT = "system-ui, sans-serif"
CONFIG: Spec = {
    "background": None,
    "font": FONT,
    "view": {"stroke": None},
    "axis": {
        "domainColor": "var(--rule)",
        "gridColor": "var(--rule)",
        "labelColor": "var(--soft)",
        "labelFontSize": 11,
        "ticks": False,
        "labelPadding": 6,
        "title": None,
    },
    "legend": {"labelColor": "var(--ink)", "labelFontSize": 12, "title": None, "symbolStrokeWidth": 3},
}


def make_panel_chart(summary: Summary) -> Spec:
    """Return the chart that all categories share: rates with their intervals over bars of displays."""
    top = top_of_scale(summary.panels)
    x = _x(summary.step, summary.periods, 3)
    scale = {"domain": [-STRIP * top, top], "clamp": True, "nice": False}
    axis = {
        "tickCount": 4,
        "labelExpr": "datum.value < 0 ? '' : format(datum.value, '.3~p')",
        "gridColor": {"condition": {"test": "datum.value < 0", "value": "transparent"}, "value": "var(--rule)"},
        "domain": False,
    }
    tooltip = [
        {"field": "named", "type": "nominal", "title": summary.step},
        {"field": "rate", "type": "quantitative", "title": "rate", "format": ".2~%"},
        {"field": "low", "type": "quantitative", "title": "95 % from", "format": ".2~%"},
        {"field": "high", "type": "quantitative", "title": "95 % to", "format": ".2~%"},
        {"field": "clicks", "type": "quantitative", "title": "clicks", "format": ","},
        {"field": "displays", "type": "quantitative", "title": "displays", "format": ","},
    ]
    thin = {"condition": {"test": f"datum.displays < {FIRM}", "value": "var(--card)"}, "value": "var(--rate)"}
    beyond = {"condition": {"test": f"datum.rate > {top}", "value": "triangle-up"}, "value": "circle"}
    each = _each(summary.periods)
    return _spec(
        height=130,
        description="Click-through rate of a category with its 95 % interval, over bars of its displays",
        layer=[
            {
                "mark": {"type": "bar", "color": "var(--bar)", "width": {"expr": f"0.7 * {each}"}, "aria": False},
                "encoding": {
                    "x": x,
                    "y": {"field": "bar", "type": "quantitative", "scale": scale, "axis": axis},
                    "y2": {"datum": -STRIP * top},
                },
            },
            {
                "transform": [{"filter": "isValid(datum.low)"}],
                "mark": {
                    "type": "rule",
                    "clip": True,
                    "color": "var(--interval)",
                    "strokeWidth": {"expr": f"min(7, max(1, 0.7 * {each}))"},
                    "aria": False,
                },
                "encoding": {
                    "x": x,
                    "y": {"field": "low", "type": "quantitative", "scale": scale},
                    "y2": {"field": "high"},
                },
            },
            {
                "data": {"name": "overall"},
                "mark": {"type": "line", "color": "var(--all)", "strokeDash": [5, 3], "strokeWidth": 1.2} | _gaps(),
                "encoding": {"x": x, "y": {"field": "rate", "type": "quantitative", "scale": scale}},
            },
            {
                "mark": {"type": "line", "color": "var(--rate)", "strokeWidth": 1.3} | _gaps(),
                "encoding": {"x": x, "y": {"field": "rate", "type": "quantitative", "scale": scale}},
            },
            {
                "transform": [{"filter": "isValid(datum.rate)"}],
                "mark": {
                    "type": "point",
                    "opacity": 1,
                    "strokeWidth": 1.2,
                    "stroke": "var(--rate)",
                    "size": {"expr": f"min(45, max(8, 6 * {each}))"},
                    "description": {
                        "expr": "datum.named + ': ' + format(datum.clicks, ',') + ' clicks / ' "
                        "+ format(datum.displays, ',') + ' displays = ' + format(datum.rate, '.2~%')"
                    },
                },
                "encoding": {
                    "x": x,
                    "y": {"field": "rate", "type": "quantitative", "scale": scale},
                    "fill": thin,
                    "shape": beyond,
                    "tooltip": tooltip,
                },
            },
        ],
    )


def make_points(one: Panel, summary: Summary) -> list[Spec]:
    """Return a category's rate, interval, displays and bar height for each period."""
    top = top_of_scale(summary.panels)
    most = max((counts.displays for counts in one.series.values()), default=0) or 1
    made = []
    for start in summary.periods:
        counts = one.series.get(start, Counts())
        low, high = wilson(counts.clicks, counts.displays) or (None, None)
        made.append(
            {
                "start": _time(start),
                "named": name_period(start, summary.step),
                "rate": None if math.isnan(counts.rate) else _short(counts.rate),
                "low": _short(low),
                "high": _short(high),
                "clicks": counts.clicks,
                "displays": counts.displays,
                "bar": _short(STRIP * top * (0.85 * counts.displays / most - 1)),
            }
        )
    return made


def make_cumulative_chart(overview: Overview, names: dict[str, str]) -> Spec:
    """Return the chart of the busiest articles' cumulative clicks; `names` maps article ids to short, unique labels."""
    rows = [
        {"date": _time(date), "named": name_period(date, "day"), "article": names[article], "clicks": clicks}
        for article, date, clicks in overview.cumulative_clicks
    ]
    dates = sorted({date for _, date, _ in overview.cumulative_clicks})
    return _spec(
        height=220,
        description="Cumulative clicks of the busiest articles",
        data={"values": rows},
        mark={"type": "line", "point": {"size": 30}, "strokeWidth": 2},
        encoding={
            "x": _x("day", dates, 5, "date"),
            "y": {
                "field": "clicks",
                "type": "quantitative",
                "axis": {"tickCount": 4, "format": ",.0f", "domain": False},
            },
            "color": {
                "field": "article",
                "type": "nominal",
                "scale": {"domain": list(names.values()), "range": [f"var(--c{i + 1})" for i in range(len(names))]},
                "legend": {
                    "orient": "bottom",
                    "columns": 1,
                    "labelLimit": {"expr": "width - 30"},
                    "symbolType": "stroke",
                },
            },
            "tooltip": [
                {"field": "article", "type": "nominal", "title": "article"},
                {"field": "named", "type": "nominal", "title": "day"},
                {"field": "clicks", "type": "quantitative", "title": "cumulative clicks", "format": ","},
            ],
        },
    )


def make_session_counts_chart(sessions: Sessions) -> Spec:
    """Return the chart of the number of sessions that began in each period."""
    rows = [
        {"start": _time(start), "named": name_period(start, sessions.step), "sessions": sessions.sessions[start]}
        for start in sessions.periods
    ]
    bar: Spec = {"type": "bar", "color": "var(--bar)", "width": {"expr": f"0.7 * {_each(sessions.periods)}"}}
    bar["description"] = {"expr": "datum.named + ': ' + format(datum.sessions, ',') + ' sessions'"}
    return _sessions(sessions, rows, "sessions", "sessions", bar, ",")


def make_session_lengths_chart(sessions: Sessions) -> Spec:
    """Return the chart of the average length of the sessions that began in each period."""
    rows = [
        {
            "start": _time(start),
            "named": name_period(start, sessions.step),
            "minutes": _short(float(sessions.seconds[start]) / sessions.sessions[start] / 60),
        }
        for start in sessions.periods
        if sessions.sessions[start]
    ]
    line = {"type": "line", "color": "var(--rate)", "point": {"color": "var(--rate)", "size": 30}} | _gaps()
    return _sessions(sessions, rows, "minutes", "average minutes", line, ".1f")


def _sessions(sessions: Sessions, rows: list[Spec], field: str, title: str, mark: Spec, form: str) -> Spec:
    step = sessions.step
    return _spec(
        height=150,
        description=f"Of the sessions that began in each {step}: {title}",
        data={"values": rows},
        mark=mark,
        encoding={
            "x": _x(step, sessions.periods, 5),
            "y": {
                "field": field,
                "type": "quantitative",
                "scale": {"zero": True},
                "axis": {"tickCount": 4, "format": "~s" if field == "sessions" else "~g", "domain": False},
            },
            "tooltip": [
                {"field": "named", "type": "nominal", "title": step},
                {"field": field, "type": "quantitative", "title": title, "format": form},
            ],
        },
    )


def name_period(start: datetime.date, step: Step) -> str:
    """Return a period in words."""
    return start.strftime(NAMES[step]).format(start.day)


def _spec(**parts: object) -> Spec:
    """Return a chart that fills the width of its container."""
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "width": "container",
        "autosize": {"type": "fit-x", "contains": "padding"},
        "config": CONFIG,
        **parts,
    }


def _time(day: datetime.date) -> int:
    """Return the start of a UTC day in milliseconds since 1970, as JavaScript counts time."""
    return (day.toordinal() - datetime.date(1970, 1, 1).toordinal()) * 86_400_000


def _gaps() -> Spec:
    """Return the property that breaks a line where a value is missing."""
    return {"invalid": "break-paths-filter-domains"}


def _short(number: float | None) -> float | None:
    """Return a number rounded to six significant digits, more than a reader can see."""
    return None if number is None else float(f"{number:.6g}")


def _each(periods: list[datetime.date]) -> str:
    """Return the width of a period as a Vega expression."""
    return f"width / {len(periods)}"


def _x(step: Step, periods: list[datetime.date], most: int, field: str = "start") -> Spec:
    """Return the time axis, with at most `most` labels and half a period of space at both ends."""
    half = DAYS[step] * 43_200_000
    times = [_time(start) for start in periods]
    every = math.ceil(len(times) / most)
    return {
        "field": field,
        "type": "quantitative",
        "scale": {"domain": [times[0] - half, times[-1] + half], "nice": False, "zero": False},
        "axis": {
            "values": times[::every],
            "labelExpr": f"utcFormat(datum.value, '{FORMATS[step]}')",
            "grid": False,
            "labelFlush": False,
        },
    }
