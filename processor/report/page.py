"""The page: one HTML file that works offline and without JavaScript.

Its content security policy blocks every request, whatever the data contains. All data is escaped as well.
"""

import base64
import datetime
import hashlib
import re
from collections.abc import Callable, Iterable
from decimal import Decimal
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

from processor.formats import pluralize
from processor.report import formats
from processor.report.category_chart import draw_category, draw_mark, find_marks, find_scale
from processor.report.charts import (
    draw_cumulative_clicks,
    draw_session_counts,
    draw_session_lengths,
    draw_sparkline,
)
from processor.report.headlines import describe_change, describe_restatements, write_headlines
from processor.report.page_data import MAX_LINES, Article, Overview
from processor.report.rates import ClickThrough
from processor.report.summary import Summary, find_whole_periods
from processor.report.svg import DARK, LIGHT, STYLE, to_text
from processor.safe_text import remove_passwords

if TYPE_CHECKING:
    from jinja2 import Template
    from markupsafe import Markup

FOLDER = Path(__file__).parent
STATE = re.compile(rb'<meta name="event-lake-state" content="(\w+)">')
TITLES = {"day": "Day by day", "week": "Weekly sums", "month": "Monthly sums", "year": "Yearly sums"}
# Pixels: a chart that fills the page, one that fills half of it, and one that fits a phone.
FULL, HALF, NARROW = 1090.0, 530.0, 340.0


def read_page_state(path: Path) -> str | None:
    """Return the state that the page at `path` shows, from `ReportReads.read_report_state`; None without a page."""
    try:
        with path.open("rb") as file:
            match = STATE.search(file.read(1000))
    except FileNotFoundError:
        return None
    return match[1].decode() if match else None


def render_page(overview: Overview) -> str:
    """Return the page as HTML text; equal overviews give equal text."""
    summary, sessions = overview.summary, overview.sessions
    script = (FOLDER / "page.js").read_text(encoding="utf-8")  # it holds no data
    names = {
        article.article_id: f"{rank}. {_label(article)}"
        for rank, article in enumerate(overview.articles[:MAX_LINES], 1)
    }
    clicks = overview.cumulative_clicks
    return str(
        load_template().render(
            state=overview.state,
            policy="; ".join(_policy(script)),
            light=LIGHT,
            dark=DARK,
            chart_style=_markup(STYLE),
            script=_markup(script),
            lake=overview.lake._replace(url=formats.format_name(remove_passwords(overview.lake.url))),
            failed=overview.failed,
            newest=overview.newest,
            restated=overview.restated,
            headlines=[
                headline.replace(" %", "\N{NO-BREAK SPACE}%")
                for headline in (
                    *(write_headlines(summary, overview.changed_article) if summary else ()),
                    *describe_restatements(overview.restated),
                )
            ],
            tiles=_tiles(overview),
            summary=summary,
            categories=summary.overall.categories if summary else 0,
            marks=[(_chart(draw_mark(mark)), mark.label) for mark in (find_marks(summary) if summary else [])],
            panels=_panels(summary) if summary else [],
            articles=[
                {
                    "label": _label(article),
                    "category": "no category" if article.category is None else formats.name_category(article.category),
                    "counts": ClickThrough(article.displays, article.clicks),
                    "cumulative_clicks": article.cumulative_clicks,
                }
                for article in overview.articles
            ],
            articles_since=overview.articles_since,
            lines=len(names),
            cumulative=_both(partial(draw_cumulative_clicks, clicks, names), FULL, 240) if clicks else "",
            sessions=sessions,
            counts=_both(partial(draw_session_counts, sessions), HALF, 180) if sessions else "",
            lengths=_both(partial(draw_session_lengths, sessions), HALF, 180) if sessions else "",
        )
    )


@cache
def load_template() -> "Template":
    """Return the page's template, compiled."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "change": lambda counts: _join_change(f"{count:,}" for count in counts),
        "change_duration": lambda lengths: _join_change(formats.format_duration(length) for length in lengths),
        "count": pluralize,
        "duration": formats.format_duration,
        "interval": formats.format_interval,
        "name": formats.format_name,
        "number": lambda count: f"{count:,}",
        "period": formats.format_period,
        "rate": formats.format_rate,
        "span": formats.format_days,
        "time": lambda at: f"{at.astimezone(datetime.UTC):%Y-%m-%d %H:%M} UTC",
        "title": lambda summary: TITLES[summary.step],
    }
    return environment.get_template("page.html")


def _join_change(texts: Iterable[str]) -> str:
    """Return a value before and after in one text; once if it is the same."""
    return " → ".join(dict.fromkeys(texts))


def _policy(script: str) -> list[str]:
    """Return the content security policy: this script may run, and nothing is fetched or sent."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return [
        "default-src 'none'",
        f"script-src 'sha256-{digest}'",
        "style-src 'unsafe-inline'",
        "base-uri 'none'",
        "form-action 'none'",
    ]


def _markup(text: str) -> "Markup":
    """Return text that the template does not escape: it is ours, or escaped already."""
    from markupsafe import Markup

    return Markup(text)  # noqa: S704


def _chart(svg: Element) -> "Markup":
    return _markup(to_text(svg))


def _both(draw: Callable[[float, float], Element], width: float, height: float) -> "Markup":
    """Return a chart in two widths; the page shows the one that fits the screen."""
    wide, narrow = draw(width, height), draw(NARROW, height)
    wide.attrib["class"] += " on-wide"
    narrow.attrib["class"] += " on-narrow"
    return _chart(wide) + _chart(narrow)


def _panels(summary: Summary) -> list[dict[str, object]]:
    """Return the name, the totals and the chart of each category."""
    width, scale = {1: FULL, 2: HALF}.get(len(summary.panels), NARROW), find_scale(summary)
    panels: list[dict[str, object]] = []
    for panel, name in zip(summary.panels, formats.name_panels(summary.panels), strict=True):
        draw = partial(draw_category, panel, name, summary, scale)
        chart = _chart(draw(NARROW, 170)) if width == NARROW else _both(draw, width, 220)
        panels.append({"name": name, "total": panel.total, "chart": chart})
    return panels


def _tiles(overview: Overview) -> list[dict[str, object]]:
    """Return the totals at the top of the page, each with the change of its last whole period and a small line."""
    summary, sessions = overview.summary, overview.sessions
    tiles: list[tuple[str, str, str, str, list[float]]] = []
    if summary:
        total = summary.overall.total
        periods = find_whole_periods(summary.step, summary.periods, summary.first, summary.last)
        counts = [summary.overall.series.get(start, ClickThrough()) for start in periods]
        rates, clicks = [one.rate for one in counts], [float(one.clicks) for one in counts]
        tiles += [
            (
                "Click-through rate",
                formats.format_rate(total.rate),
                f"95 %: {formats.format_interval(total)}",
                describe_change(rates, summary.step, are_rates=True),
                rates,
            ),
            (
                "Clicks",
                f"{total.clicks:,}",
                f"of {total.displays:,} displays",
                describe_change(clicks, summary.step),
                clicks,
            ),
        ]
    if sessions:
        count, seconds = sessions.sessions.total(), sum(sessions.seconds.values(), Decimal())
        periods = find_whole_periods(sessions.step, sessions.periods, sessions.first, sessions.last)
        numbers = [float(sessions.sessions[start]) for start in periods]
        lengths = [sessions.average_seconds(start) for start in periods]
        tiles += [
            ("Sessions", f"{count:,}", "by user and session", describe_change(numbers, sessions.step), numbers),
            (
                "Average session",
                formats.format_duration(seconds / count),
                "first to last event",
                describe_change(lengths, sessions.step),
                lengths,
            ),
        ]
    return [
        {
            "name": name,
            "value": value,
            "note": note,
            "change": change,
            "line": _chart(draw_sparkline(values)) if change else "",
        }
        for name, value, note, change, values in tiles
    ]


def _label(article: Article) -> str:
    return formats.format_name(article.article_id if article.title is None else article.title)
