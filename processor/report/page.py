"""The page: one HTML file that works offline, since it holds the chart library and the data.

Its content security policy blocks every request, whatever the data contains. All data is escaped as well.
"""

import base64
import datetime
import hashlib
import re
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from processor.lake.base import remove_passwords
from processor.report import charts
from processor.report.page_data import MOST_LINES, Article, Overview
from processor.report.summary import FIRM, Counts, Panel, percent, printable, wilson

if TYPE_CHECKING:
    from jinja2 import Environment

ROOM = Path(__file__).parent
STATE = re.compile(rb'<meta name="event-lake-state" content="(\w+)">')
TITLES = {"day": "Day by day", "week": "Weekly sums", "month": "Monthly sums", "year": "Yearly sums"}
SHORT = 60  # characters of a title in a legend


def read_page_state(path: Path) -> str | None:
    """Return the state that the page at `path` shows, as `Reads.report_state` gives it; None if there is no page."""
    try:
        with path.open("rb") as file:
            found = STATE.search(file.read(1000))
    except FileNotFoundError:
        return None
    return found[1].decode() if found else None


def render_page(overview: Overview) -> str:
    """Return the page as HTML text; equal overviews give equal text."""
    from markupsafe import Markup

    # Both files are ours and hold no data.
    vega, script = ((ROOM / name).read_text(encoding="utf-8") for name in ("vega.js", "page.js"))
    assert "</script" not in vega + script
    summary, sessions = overview.summary, overview.sessions
    names = {
        article.article_id: f"{rank}. {_shorten(_label(article))}"
        for rank, article in enumerate(overview.articles[:MOST_LINES], 1)
    }
    drawn: dict[str, charts.Spec] = {}
    data: dict[str, Any] = {"charts": drawn}
    if overview.articles:
        drawn["cumulative"] = charts.make_cumulative_chart(overview, names)
    if sessions:
        drawn |= {
            "sessions": charts.make_session_counts_chart(sessions),
            "lengths": charts.make_session_lengths_chart(sessions),
        }
    if summary:
        data |= {
            "panel": charts.make_panel_chart(summary),
            "points": [charts.make_points(panel, summary) for panel in summary.panels],
            "overall": charts.make_points(summary.overall, summary),
        }
    return str(
        _environment()
        .get_template("page.html")
        .render(
            state=overview.state,
            policy="; ".join(_policy(vega, script)),
            lake=overview.lake._replace(url=show_name(remove_passwords(overview.lake.url))),
            failed=overview.failed,
            newest=overview.newest,
            tiles=_tiles(overview),
            summary=summary,
            gathers=summary.overall.gathers if summary else 0,
            panels=[
                {"name": _panel_name(panel), "total": panel.total} for panel in (summary.panels if summary else [])
            ],
            firm=FIRM,
            articles=[
                {
                    "label": _label(article),
                    "category": "no category" if article.category is None else show_name(article.category),
                    "counts": Counts(article.displays, article.clicks),
                    "cumulative_clicks": article.cumulative_clicks,
                }
                for article in overview.articles
            ],
            articles_since=overview.articles_since,
            lines=len(names),
            sessions=sessions,
            data=data,
            vega=Markup(vega),  # noqa: S704
            script=Markup(script),  # noqa: S704
        )
    )


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(ROOM), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.filters |= {
        "count": lambda count, noun: f"{count:,} {noun}{'' if count == 1 else 's'}",
        "days": lambda summary: f"{format_days((summary.first, summary.last))} (UTC)",
        "interval": format_interval,
        "length_in_time": format_duration,
        "name": show_name,
        "number": lambda count: f"{count:,}",
        "percent": percent,
        "period": charts.name_period,
        "span": format_days,
        "time": lambda at: f"{at.astimezone(datetime.UTC):%Y-%m-%d %H:%M} UTC",
        "title": lambda summary: TITLES[summary.step],
    }
    return made


def _policy(*scripts: str) -> list[str]:
    """Return the content security policy: these scripts may run, and nothing is fetched or sent."""
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    return [
        "default-src 'none'",
        "script-src " + " ".join(f"'sha256-{digest}'" for digest in hashes),
        "style-src 'unsafe-inline'",
        "base-uri 'none'",
        "form-action 'none'",
    ]


def _tiles(overview: Overview) -> list[dict[str, object]]:
    """Return the totals at the top of the page."""
    summary, sessions = overview.summary, overview.sessions
    tiles = []
    if summary:
        total = summary.overall.total
        tiles += [("Click-through rate", percent(total.rate), f"95 %: {format_interval(total)}")]
        tiles += [("Clicks", f"{total.clicks:,}", f"of {total.displays:,} displays")]
    if sessions:
        count, seconds = sessions.sessions.total(), sum(sessions.seconds.values(), Decimal())
        tiles += [("Sessions", f"{count:,}", "by user and session")]
        tiles += [("Average session", format_duration(seconds / count), "first to last event")]
    lake = overview.lake
    failed = f"{lake.failed_files:,} could not be read" if lake.failed_files else "all could be read"
    tiles += [("Files", f"{lake.files:,}", failed)]
    tiles += [("Events", f"{lake.events:,}", f"{lake.rejected_lines:,} lines rejected")]
    return [
        {"name": name, "value": value, "note": note, "is_bad": name == "Files" and lake.failed_files > 0}
        for name, value, note in tiles
    ]


def show_name(text: str) -> str:
    """Return a name from the data on one line, with invisible and direction-changing characters escaped."""
    return printable(text, lambda _: True)


def _label(article: Article) -> str:
    return show_name(article.article_id if article.title is None else article.title)


def _shorten(label: str) -> str:
    return label if len(label) <= SHORT else f"{label[: SHORT - 1]}…"


def _panel_name(panel: Panel) -> str:
    if panel.name is not None:
        return show_name(panel.name)
    return "(no category)" if panel.gathers == 1 else f"(other {panel.gathers:,} categories)"


def format_interval(counts: Counts) -> str:
    """Return the 95 % interval of a rate in per cent, or a dash if there is none."""
    found = wilson(counts.clicks, counts.displays)
    return "\N{EN DASH}" if found is None else f"{percent(found[0]).removesuffix(' %')}\N{EN DASH}{percent(found[1])}"


def format_days(days: tuple[datetime.date, datetime.date]) -> str:
    """Return the first and the last day in words; one day if they are equal."""
    return " to ".join(charts.name_period(day, "day") for day in sorted(set(days)))


def format_duration(seconds: Decimal) -> str:
    """Return a length of time in minutes and seconds, or in hours and minutes from an hour on."""
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60:02} min"
