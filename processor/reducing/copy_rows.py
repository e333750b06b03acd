"""Turns a partial into rows for COPY, without the id of their file."""

import json
from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from processor.reducers.days import DAY_MICROSECONDS, find_day, to_date

if TYPE_CHECKING:
    from processor.reducers.partial import Partial, Text

NULL = r"\N"

_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


def make_copy_rows(partial: "Partial", timezone: str) -> dict[str, bytes]:
    """Return the rows of a partial in COPY's text format, by their table's name without file_ or new_.

    timezone: the zone by whose days the partial was folded.
    """
    is_utc = timezone == "UTC"  # the usual case, and of every session
    rows = {
        "article_days": _article_days(partial, timezone),
        "user_days": [
            f"{_escaped(user)}\t{_iso(day)}\t{displays}\t{clicks}\n"
            for (user, day), (displays, clicks) in partial.user_days.items()
        ],
        "sessions": [
            f"{_escaped(user)}\t{_escaped(session)}\t"
            f"{4 * first + 1 if is_utc else _mark_day(first, timezone)}\t{last}\t{events}\n"
            for (user, session), (first, last, events) in partial.sessions.items()
        ],
        "rejected_lines": [
            f"{begin}\t{number}\t{rejection.reason}\t\\\\x{rejection.raw.hex()}\n"
            for (begin, number), rejection in partial.rejections.items()
        ],
    }
    return {name: "".join(lines).encode() for name, lines in rows.items() if lines}


def _article_days(partial: "Partial", timezone: str) -> list[str]:
    """Return the rows of article-days; a title or category is on the day of its event."""
    rows = []
    titles, categories = partial.titles, partial.categories
    for (article, day), (displays, clicks) in partial.article_days.items():
        title_at, title = _on(day, titles.get(article), timezone)
        category_at, category = _on(day, categories.get(article), timezone)
        rows.append(
            f"{_escaped(article)}\t{_iso(day)}\t{displays}\t{clicks}\t{title_at}\t{category_at}\t{title}\t{category}\n"
        )
    return rows


def make_event_days(event_days: Mapping[tuple[str, int], int]) -> str:
    """Return the numbers of events by name and day as JSON, by day and then by name.

    >>> make_event_days({("article_viewed", 17942): 3})
    '{"2019-02-15": {"article_viewed": 3}}'
    """
    days = defaultdict[str, dict[str, int]](dict)
    for (name, day), events in sorted(event_days.items()):
        days[_iso(day)][name] = events
    return json.dumps(days)


def _on(day: int, text: "Text | None", timezone: str) -> tuple[int | str, str]:
    """Return time and text of the latest text if its event was on that day; else NULLs."""
    if text is None or find_day(timezone, text.at) != day:
        return NULL, NULL
    return text.at, _escaped(text.text)


def _mark_day(at: int, timezone: str) -> int:
    """Return a time times 4, plus 0, 1 or 2 if its day in the zone is the one before its UTC day, the same or the next.

    The order of times stays, so Postgres gets the day of a session's first event together with its time.
    """
    day = find_day(timezone, at)
    assert day is not None, "a line whose time has no day is rejected"
    return 4 * at + day - at // DAY_MICROSECONDS + 1


@lru_cache(10_000)
def _iso(day: int) -> str:
    return to_date(day).isoformat()


def _escaped(text: str) -> str:
    if "\\" in text or "\t" in text or "\n" in text or "\r" in text:
        return text.translate(_ESCAPES)
    return text
