"""Numbers and days in settings and options, parsed by our own patterns.

Python's parsers accept more (`1_0`, ` 7 `, digits of other scripts, `2019-W07-5`), and its new versions even more.
"""

import re
from datetime import date

_INTEGER = re.compile("[0-9]{1,9}")
_DECIMAL = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")
_DAY = re.compile("([0-9]{4})-([0-9]{2})-([0-9]{2})")


def parse_integer(text: str) -> int | None:
    """Return the whole number from 0 to 999,999,999 that a text is, or None.

    >>> parse_integer("060"), parse_integer("1_0"), parse_integer(" 1"), parse_integer("-1"), parse_integer("\u0661")
    (60, None, None, None, None)
    """
    return int(text) if _INTEGER.fullmatch(text) else None


def parse_decimal(text: str) -> float | None:
    """Return the number that a text is, in digits with or without a decimal point, or None.

    >>> parse_decimal("2.5"), parse_decimal("1e2"), parse_decimal("inf"), parse_decimal(".5")
    (2.5, None, None, None)
    """
    return float(text) if _DECIMAL.fullmatch(text) else None


def has_day_form(text: str) -> bool:
    """Whether a text has the form YYYY-MM-DD, even if there is no such day."""
    return _DAY.fullmatch(text) is not None


def parse_day(text: str) -> date | None:
    """Return the day that a text of the form YYYY-MM-DD names, or None.

    >>> parse_day("2019-02-15"), parse_day("2019-02-29"), parse_day("20190215")
    (datetime.date(2019, 2, 15), None, None)
    """
    match = _DAY.fullmatch(text)
    try:
        return date(*map(int, match.groups())) if match else None
    except ValueError:
        return None
