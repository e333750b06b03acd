"""Numbers and days as settings and options write them, by patterns of our own.

Python's parsers know more ways than that (`1_0`, ` 7 `, digits of other scripts, `2019-W07-5`), and learn new ones.
"""

import re
from datetime import date

_WHOLE = re.compile("[0-9]{1,9}")
_DECIMAL = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")
_DAY = re.compile("([0-9]{4})-([0-9]{2})-([0-9]{2})")


def whole(text: str) -> int | None:
    """The whole number from 0 to 999,999,999 that a text writes, or None.

    >>> whole("060"), whole("1_0"), whole(" 1"), whole("-1"), whole("\u0661")
    (60, None, None, None, None)
    """
    return int(text) if _WHOLE.fullmatch(text) else None


def decimal(text: str) -> float | None:
    """The number that a text writes in digits, with a point or without, or None.

    >>> decimal("2.5"), decimal("1e2"), decimal("inf"), decimal(".5")
    (2.5, None, None, None)
    """
    return float(text) if _DECIMAL.fullmatch(text) else None


def is_written_as_day(text: str) -> bool:
    """Whether a text has the form YYYY-MM-DD, be there such a day or not."""
    return _DAY.fullmatch(text) is not None


def day(text: str) -> date | None:
    """The day that a text of the form YYYY-MM-DD names, or None.

    >>> day("2019-02-15"), day("2019-02-29"), day("20190215")
    (datetime.date(2019, 2, 15), None, None)
    """
    match = _DAY.fullmatch(text)
    try:
        return date(*map(int, match.groups())) if match else None
    except ValueError:
        return None
