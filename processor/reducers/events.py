"""Parses one line of a lake file into an Event or a Rejection.

docs/tables.md defines the format, the counted events and the reasons to reject a line. This module
uses no file, no network and no SQL.
"""

import math
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import orjson

from processor.reducers.days import EPOCH, MICROSECOND, find_day
from processor.reducers.definition import Definition

# The most bytes of a line, of an id, and of the part of a rejected line that is kept.
MAX_LINE_BYTES = 1024 * 1024
MAX_ID_BYTES = 1000
MAX_RAW_BYTES = 1000

REASONS = {
    "line_too_long": "the line is longer than 1 MiB",
    "nul_byte": "the line holds a NUL byte",
    "invalid_utf8": "the line is not valid UTF-8",
    "wrong_field_count": "the line does not have as many fields as the header",
    "bad_timestamp": "the timestamp cannot be read",
    "no_event_name": "the event has no name",
    "id_too_long": "a user, session or article id is longer than 1,000 bytes",
    "bad_attributes": "the attributes of a counted event are neither null nor a JSON object",
    "nul_in_text": "an article id, title or category holds the character U+0000",
}

_TIMESTAMP = re.compile(
    "([0-9]{4})-([0-9]{2})-([0-9]{2})[ T]([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9])"
    r"(?:\.([0-9]{1,9}))?"
    r"(?: ?(?:Z|([+-])([01][0-9]|2[0-3]):?([0-5][0-9])))?"
)
_JSON_SYMBOL = re.compile(
    r'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]|-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?', re.DOTALL
)


class HeaderError(ValueError):
    """The first line of a file does not name the required columns; the message says which."""


class MissingColumnError(HeaderError):
    """The first line lacks a required column, unless the definition names the wrong one."""


class Columns(NamedTuple):
    """The positions of the required columns in a file, the number of all its columns, and what its lines mean."""

    timestamp: int
    session: int
    name: int
    user: int
    attributes: int
    width: int
    definition: Definition


class Event(NamedTuple):
    """One event; absent ids and texts are None.

    at: microseconds since 1970-01-01 UTC. article, title, category: read for clicks and displays only.
    """

    at: int
    user: str | None
    session: str | None
    name: str
    article: str | None = None
    title: str | None = None
    category: str | None = None


class Rejection(NamedTuple):
    """A line that cannot be parsed: a code of `REASONS` and the line's first MAX_RAW_BYTES bytes."""

    reason: str
    raw: bytes


def parse_header(header: bytes, definition: Definition) -> Columns:
    """Return the columns of a file's first line; raises HeaderError if a required one is missing or not unique."""
    required = definition.columns
    if len(header) > MAX_LINE_BYTES:
        raise HeaderError("its first line is longer than 1 MiB, so it is not a header")
    try:
        names = header.decode("utf-8-sig").split("\t")
    except UnicodeDecodeError:
        raise HeaderError("its first line is not valid UTF-8, so it is not a header") from None
    missing = [name for name in required if name not in names]
    if missing:
        raise MissingColumnError(f"its first line is not a header: it does not name {', '.join(missing)}")
    double = [name for name in required if names.count(name) > 1]
    if double:
        raise HeaderError(f"its header names {', '.join(double)} more than once")
    timestamp, session, name, user, attributes = map(names.index, required)
    return Columns(timestamp, session, name, user, attributes, len(names), definition)


def cut_into_lines(blocks: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    r"""Yield whole lines, several at a time, from blocks of any size: (length, lines), with the line endings.

    A line over MAX_LINE_BYTES comes alone and cut off just after the limit, with its true length.

    >>> list(cut_into_lines([b"a\r\nb", b"c\n\nd"]))
    [(3, b'a\r\n'), (4, b'bc\n\n'), (1, b'd')]
    """
    keep = MAX_LINE_BYTES + 2
    held, length = b"", 0
    # A block of at most MAX_LINE_BYTES bytes cannot hold a whole line that is longer.
    for block in (whole[at : at + MAX_LINE_BYTES] for whole in blocks for at in range(0, len(whole), MAX_LINE_BYTES)):
        end = block.rfind(b"\n") + 1
        if not end:
            held += block[: keep - len(held)]
            length += len(block)
            continue
        first = block.find(b"\n") + 1
        if length + first > MAX_LINE_BYTES:
            yield length + first, (held + block[: first - 1])[:keep] + b"\n"
            if end > first:
                yield end - first, block[first:end]
        else:
            yield length + end, held + block[:end]
        held, length = block[end:], len(block) - end
    if length:
        yield length, held


def strip_ending(line: bytes) -> bytes:
    """Return a line without its ending: LF, CRLF, or CR at the very end of a file."""
    return line.removesuffix(b"\n").removesuffix(b"\r")


def parse(line: bytes, columns: Columns) -> Event | Rejection:
    """Parse a line without its ending, which is not empty; never raises."""
    reason_or_event = _parse(line, columns)
    return Rejection(reason_or_event, line[:MAX_RAW_BYTES]) if isinstance(reason_or_event, str) else reason_or_event


def _parse(line: bytes, columns: Columns) -> Event | str:
    if len(line) > MAX_LINE_BYTES:
        return "line_too_long"
    if b"\0" in line:
        return "nul_byte"
    try:
        fields = line.decode().split("\t")
    except UnicodeDecodeError:
        return "invalid_utf8"
    if len(fields) != columns.width:
        return "wrong_field_count"
    definition = columns.definition
    at = parse_timestamp(fields[columns.timestamp])
    if at is None or find_day(definition.timezone, at) is None:
        return "bad_timestamp"
    name = _value(fields[columns.name])
    if name is None:
        return "no_event_name"
    user, session = _value(fields[columns.user]), _value(fields[columns.session])
    if _too_long(user) or _too_long(session):
        return "id_too_long"
    if name not in definition.click and name not in definition.display:
        return Event(at, user, session, name)
    text = _value(fields[columns.attributes])
    attributes = parse_object(text) if text is not None else {}
    if attributes is None:
        return "bad_attributes"
    article, title, category = map(attributes.get, (definition.article, definition.title, definition.category))
    if any(isinstance(text, str) and "\0" in text for text in (article, title, category)):
        return "nul_in_text"
    article = parse_article_id(article)
    if _too_long(article):
        return "id_too_long"
    return Event(at, user, session, name, article, _text(title), _text(category))


def parse_timestamp(text: str) -> int | None:
    """Return microseconds since 1970-01-01 UTC, or None if the text is not a timestamp of the years 1 to 9999.

    >>> parse_timestamp("2019-02-15 03:07:03.662 +0000") == parse_timestamp("2019-02-15T04:07:03.6620009+01:00")
    True
    """
    match = _TIMESTAMP.fullmatch(text)
    if match is None:
        return None
    *day_and_time, fraction, sign, hours, minutes = match.groups()
    year, month, day, hour, minute, second = map(int, day_and_time)
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
        if sign:
            offset = timedelta(hours=int(hours), minutes=int(minutes))
            moment = moment - offset if sign == "+" else moment + offset
    except (ValueError, OverflowError):
        return None
    return (moment - EPOCH) // MICROSECOND + int((fraction or "")[:6].ljust(6, "0"))


def parse_object(text: str) -> dict[str, object] | None:
    """Return the JSON object (RFC 8259) in a text, or None; values nested deeper than orjson allows become None."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        try:
            value = orjson.loads(_simplify_json(text))
        except orjson.JSONDecodeError:
            return None
    return value if isinstance(value, dict) else None


def _simplify_json(text: str) -> str:
    """Return a JSON text without what orjson refuses: RFC 8259 limits neither depth nor numbers.

    Containers inside the outermost one are checked and become null. A number too large for a double becomes 1e5, which
    is not an integer, so it cannot be mistaken for an id. The result is empty or invalid if the text is not JSON.
    """
    stack: list[list[str]] = [[]]
    end = 0
    for match in _JSON_SYMBOL.finditer(text):
        symbol = match.group()
        stack[-1].append(text[end : match.start()])
        end = match.end()
        if symbol in "[{":
            stack.append([symbol])
        elif symbol in "]}":
            if len(stack) == 1:
                return ""
            container = "".join(stack.pop()) + symbol
            if len(stack) > 1:
                orjson.loads(container)
                container = "null"
            stack[-1].append(container)
        elif symbol[0] != '"' and math.isinf(float(symbol)):
            stack[-1].append("1e5")
        else:
            stack[-1].append(symbol)
    return "".join(stack[0]) + text[end:] if len(stack) == 1 else ""


def parse_article_id(value: object) -> str | None:
    """Return the article id in the attribute `id`, a nonempty text or an integer of 64 bits; else None."""
    if isinstance(value, str):
        return value or None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return None


def _value(field: str) -> str | None:
    return None if field in ("", r"\N") else field


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _too_long(text: str | None) -> bool:
    return text is not None and len(text) > MAX_ID_BYTES // 4 and len(text.encode()) > MAX_ID_BYTES
