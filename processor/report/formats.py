"""Numbers, days and names as the report writes them."""

import datetime
import math
import re
import unicodedata
from collections.abc import Iterable
from decimal import Decimal

from processor.report.rates import ClickThrough, wilson_interval
from processor.report.summary import Panel, Step

PERIODS: dict[Step, str] = {"day": "{} %b %Y", "week": "from {} %b %Y", "month": "%B %Y", "year": "%Y"}
SHORT_PERIODS: dict[Step, str] = {"day": "{} %b", "week": "{} %b", "month": "%b %Y", "year": "%Y"}
# Categories of the assignment's lake and of the sample lake whose words need more than blanks between them.
CATEGORIES = {
    "business_finance": "Business & finance",
    "fashion_beauty_lifestyle": "Fashion, beauty & lifestyle",
    "money_business": "Money & business",
    "people_shows": "People & shows",
    "science_tech": "Science & tech",
    "technology_science": "Technology & science",
}
PLAIN_CATEGORY = re.compile("[a-z0-9]+(_[a-z0-9]+)*")
HIDDEN = {"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"}
MAX_NAME_LENGTH, MAX_ACCENTS = 200, 2


def format_name(text: str) -> str:
    """Return a name from the data on one line, with invisible and direction-changing characters escaped.

    Accents beyond the second on a letter are escaped, too, as they would reach into other lines. At most the first 200
    characters are returned. A name that is empty, or begins or ends with a blank, is quoted.
    """
    text = text[:MAX_NAME_LENGTH] if text and text == text.strip() else f"“{text[:MAX_NAME_LENGTH]}”"
    shown, accents = "", 0
    for character in text:
        accents = accents + 1 if unicodedata.combining(character) else 0
        is_hidden = accents > MAX_ACCENTS or unicodedata.category(character) in HIDDEN
        shown += character.encode("unicode_escape").decode() if is_hidden else character
    return shown


def name_panels(panels: Iterable[Panel]) -> list[str]:
    """Return the title of each panel: the category in words, or as it is where two categories would read alike."""
    panels = list(panels)
    names = [None if panel.name is None else name_category(panel.name) for panel in panels]
    return [
        _name_nameless(panel)
        if panel.name is None
        else name
        if name is not None and names.count(name) == 1
        else format_name(panel.name)
        for panel, name in zip(panels, names, strict=True)
    ]


def name_category(category: str) -> str:
    """Return a category in words: `people_shows` is "People & shows"."""
    if PLAIN_CATEGORY.fullmatch(category) is None:
        return format_name(category)
    return CATEGORIES.get(category) or format_name(category.replace("_", " ").capitalize())


def _name_nameless(panel: Panel) -> str:
    return "(no category)" if panel.categories == 1 else f"(other {panel.categories:,} categories)"


def shorten(text: str, most: int) -> str:
    """Return a text of at most `most` columns; a character of Chinese, Japanese or Korean script takes two."""
    columns = 0
    for position, character in enumerate(text):
        columns += 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if columns > most:
            return f"{text[: max(0, position - 1)].rstrip()}…"
    return text


def format_count(count: int) -> str:
    """Return a count in a few characters, such as 950, 9,500, 95k or 9.5M."""
    if count < 10_000:
        return f"{count:,}"
    power = min((len(str(count)) - 1) // 3, 6)
    value = count / 1000**power
    return f"{value:,.{1 if value < 10 else 0}f}{' kMGTPE'[power]}"


def format_rate(rate: float) -> str:
    """Return a rate in per cent with about three digits, or "no rate"."""
    if math.isnan(rate):
        return "no rate"
    digits = 0 if rate >= 0.9995 or not rate else 1 if rate >= 0.09995 else 2
    return f"{100 * rate:,.{digits}f} %"


def format_interval(counts: ClickThrough) -> str:
    """Return the 95 % interval of a rate in per cent, or a dash if there is none."""
    interval = wilson_interval(counts)
    if interval is None:
        return "\N{EN DASH}"
    return f"{format_rate(interval[0]).removesuffix(' %')}\N{EN DASH}{format_rate(interval[1])}"


def format_points(difference: float) -> str:
    """Return a difference of two rates without its sign, in percentage points."""
    return f"{abs(100 * difference):,.{1 if abs(difference) >= 0.09995 else 2}f} points"


def format_period(start: datetime.date, step: Step) -> str:
    """Return a period in words, such as "from 4 Feb 2019" for a week."""
    return start.strftime(PERIODS[step]).format(start.day)


def format_short_period(start: datetime.date, step: Step) -> str:
    """Return a period for the axis of a chart, such as "4 Feb" for a day."""
    return start.strftime(SHORT_PERIODS[step]).format(start.day)


def format_days(days: tuple[datetime.date, datetime.date]) -> str:
    """Return the first and the last day in words; one day if they are equal."""
    return " to ".join(format_period(day, "day") for day in sorted(set(days)))


def format_duration(seconds: Decimal) -> str:
    """Return a length of time in minutes and seconds, or in hours and minutes from an hour on."""
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60:02} min"
