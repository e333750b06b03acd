"""How output writes text, numbers and times: for people and for programs, and safely for terminals."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any


def make_printable(text: str) -> str:
    """Return the text with every character escaped that a terminal might not take for text."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def escape_bytes(line: bytes) -> str:
    r"""Return the bytes of a line as one printable field of TSV, which `printf %b` turns back into the bytes.

    >>> escape_bytes(b"a\tb\\ \xff")
    'a\\tb\\\\ \\xff'
    """
    text = line.decode("utf-8", "surrogateescape").replace("\\", "\\\\").replace("\t", "\\t")
    parts = (c if c.isprintable() else c.encode("utf-8", "surrogateescape") for c in text)
    return "".join(part if isinstance(part, str) else "".join(f"\\x{byte:02x}" for byte in part) for part in parts)


def pluralize(count: int, noun: str) -> str:
    """Return a number with its noun.

    >>> pluralize(1, "line"), pluralize(5219, "line")
    ('1 line', '5,219 lines')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def format_size(size: float) -> str:
    """Return a number of bytes in a few characters.

    >>> format_size(950), format_size(9500), format_size(95_000_000)
    ('950 B', '9.5 kB', '95 MB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5 or unit == "GB":
            break
        size /= 1000
    return f"{size:,.{1 if size < 9.95 and unit != 'B' else 0}f} {unit}"


def format_time(at: int) -> str:
    """Return a time, given in microseconds since 1970-01-01 UTC, as people write it.

    Where the calendar has no date for it, return the number.
    """
    try:
        when = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at)
    except OverflowError:
        return str(at)
    return f"{when.replace(tzinfo=None).isoformat(' ', 'microseconds')} UTC"


def format_moment(when: datetime) -> str:
    """Return a time as people write it, to the second and with its zone.

    >>> format_moment(datetime(2019, 2, 15, 7, 30, tzinfo=UTC))
    '2019-02-15 07:30:00 UTC'
    """
    return f"{when:%Y-%m-%d %H:%M:%S %Z}"


def format_since(when: datetime | None) -> str:
    """Return since when something lasts, as the end of a phrase; empty if the server hides that.

    >>> format_since(datetime(2019, 2, 15, 7, 30, tzinfo=UTC))
    ' since 2019-02-15 07:30:00 UTC'
    """
    return f" since {format_moment(when)}" if when else ""


def make_json_value(value: object) -> Any:
    """Return a value of the database for JSON: times and days in ISO 8601, exact numbers as numbers."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()  # the session's zone is whatever PGTZ says
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(type(value).__name__)
