"""The slow and obvious oracle: the tables that a lake must have by the contract.

It shares nothing with the program that it checks. It keeps every event in a list and groups at the end.
"""

import gzip
import json
import re
import zlib
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple
from zoneinfo import ZoneInfo, reset_tzpath

from backports import zstd

reset_tzpath(to=())  # the zones of the package tzdata, whatever the machine has

REQUIRED = ("TIMESTAMP", "MD5(SESSION_ID)", "EVENT_NAME", "MD5(USER_ID)", "ATTRIBUTES")
SUFFIXES = (".tsv", ".tsv.gz", ".tsv.zst")
CLICK = "article_viewed"
DISPLAYS = ("top_news_card_viewed", "my_news_card_viewed")
MAX_LINE_BYTES = 1_048_576
MAX_ID_BYTES = 1_000
RAW_BYTES = 1_000
MICROSECOND = timedelta(microseconds=1)


class Definition(NamedTuple):
    """What lake.toml says: names of columns, of events and of keys, and the zone of the days."""

    timestamp: str = REQUIRED[0]
    session: str = REQUIRED[1]
    event: str = REQUIRED[2]
    user: str = REQUIRED[3]
    attributes: str = REQUIRED[4]
    click: tuple[str, ...] = (CLICK,)
    display: tuple[str, ...] = DISPLAYS
    article: str = "id"
    title: str = "title"
    category: str = "category"
    timezone: str = "UTC"


ASSIGNMENT = Definition()


class Event(NamedTuple):
    """One good line; `when` is in UTC and naive; only a counted event has an article, title and category."""

    when: datetime
    session: str | None
    name: str
    user: str | None
    article: str | None = None
    title: str | None = None
    category: str | None = None


class Rejected(NamedTuple):
    """One bad line: its physical number, why it was rejected, and its first 1,000 bytes."""

    line_number: int
    reason: str
    raw: bytes


class FileReading(NamedTuple):
    """The events and rejected lines of one file, and the number of its empty lines."""

    events: list[Event]
    rejected: list[Rejected]
    empty: int


class ArticleRow(NamedTuple):
    """One row of `article_performance`."""

    article_id: str
    date: date
    title: str | None
    category: str | None
    displays: int
    clicks: int
    cumulative_clicks: int
    click_through_rate: float | None


class UserRow(NamedTuple):
    """One row of `user_performance`."""

    user_id: str
    date: date
    sessions: int
    session_seconds: Decimal
    average_session_seconds: float | None
    displays: int
    clicks: int
    click_through_rate: float | None


class Expected(NamedTuple):
    """Both tables by primary key, the rejected lines of files that have some, and the unreadable files."""

    article_performance: dict[tuple[str, date], ArticleRow]
    user_performance: dict[tuple[str, date], UserRow]
    rejected: dict[str, list[Rejected]]
    failed: set[str]


class Session(NamedTuple):
    """A session: its user, the day on which it began, its length, and its number of events."""

    user: str
    date: date
    length: timedelta
    events: int


class DayTotals(NamedTuple):
    """What a day adds up to in both tables."""

    displays: int
    clicks: int
    sessions: int
    session_seconds: Decimal


NOTHING = DayTotals(0, 0, 0, Decimal(0))


class Unreadable(Exception):  # noqa: N818
    """A file that cannot be read."""


class LineError(Exception):
    """A line that is rejected; its text is the code of the reason."""


def expected(
    lake: Mapping[str, bytes], forgotten: Collection[str] = (), definition: Definition = ASSIGNMENT
) -> Expected:
    """Return both BI tables, the rejected lines and the failed files, for the bytes of each key.

    forgotten: the ids of users that were forgotten, as if no line had carried them.
    """
    events: list[Event] = []
    rejected: dict[str, list[Rejected]] = {}
    failed: set[str] = set()
    for key, data in lake.items():
        if not is_lake_file(key):
            continue
        try:
            reading = read_file(data, key, definition)
        except Unreadable:
            failed.add(key)
            continue
        events += [event._replace(user=None) if event.user in forgotten else event for event in reading.events]
        if reading.rejected:
            rejected[key] = [line._replace(raw=without(forgotten, line.raw)) for line in reading.rejected]
    return Expected(article_performance(events, definition), user_performance(events, definition), rejected, failed)


def is_lake_file(key: str) -> bool:
    """Whether a key names a lake file: by its ending, and no part of it is hidden, a writer's, or `lost+found`."""
    for part in key.split("/"):
        if part == "lost+found" or part[:1] in (".", "_"):
            return False
    return key.endswith(SUFFIXES)


# Forgotten users


def without(forgotten: Collection[str], raw: bytes) -> bytes:
    """What is kept of a rejected line: nothing if it holds a forgotten id, and no last field that may be half an id."""
    if not forgotten:
        return raw
    if len(raw) == RAW_BYTES:
        raw = raw[: raw.rfind(b"\t") + 1]
    held = {*raw.split(b"\t"), *re.findall(rb"[A-Za-z0-9_.@+\x80-\xff-]+", raw)}
    return b"" if any(user.encode("utf-8") in held for user in forgotten) else raw


# The tables


def article_performance(events: list[Event], definition: Definition) -> dict[tuple[str, date], ArticleRow]:
    """The rows of `article_performance`."""
    by_article: dict[str, list[Event]] = {}
    for event in events:
        if event.article is not None:
            by_article.setdefault(event.article, []).append(event)
    rows = {}
    for article, its_events in by_article.items():
        title = latest([(event.when, event.title) for event in its_events])
        category = latest([(event.when, event.category) for event in its_events])
        day_of = {event: local_day(event.when, definition) for event in its_events}
        for day in set(day_of.values()):
            that_day = [event for event in its_events if day_of[event] == day]
            displays, clicks = displays_and_clicks(that_day, definition)
            _, cumulative = displays_and_clicks([event for event in its_events if day_of[event] <= day], definition)
            rate = clicks / displays if displays else None
            rows[article, day] = ArticleRow(article, day, title, category, displays, clicks, cumulative, rate)
    return rows


def user_performance(events: list[Event], definition: Definition) -> dict[tuple[str, date], UserRow]:
    """The rows of `user_performance`."""
    counted: dict[tuple[str, date], list[Event]] = {}
    for event in events:
        if event.user is not None and (event.name in definition.click or event.name in definition.display):
            counted.setdefault((event.user, local_day(event.when, definition)), []).append(event)
    lengths: dict[tuple[str, date], list[timedelta]] = {}
    for session in sessions_of(events, definition):
        lengths.setdefault((session.user, session.date), []).append(session.length)
    rows = {}
    for user, day in counted.keys() | lengths.keys():
        sessions = len(lengths.get((user, day), []))
        seconds = sum(map(exact_seconds, lengths.get((user, day), [])), Decimal(0))
        average = float(seconds) / sessions if sessions else None
        displays, clicks = displays_and_clicks(counted.get((user, day), []), definition)
        rate = clicks / displays if displays else None
        rows[user, day] = UserRow(user, day, sessions, seconds, average, displays, clicks, rate)
    return rows


def sessions_of(events: list[Event], definition: Definition = ASSIGNMENT) -> list[Session]:
    """Every session of the events."""
    times: dict[tuple[str, str], list[datetime]] = {}
    for event in events:
        if event.user is not None and event.session is not None:
            times.setdefault((event.user, event.session), []).append(event.when)
    return [
        Session(user, local_day(min(its), definition), max(its) - min(its), len(its))
        for (user, _), its in times.items()
    ]


def day_totals(tables: Expected) -> dict[date, DayTotals]:
    """The totals of every day that has a row in either table."""
    totals = {}
    for day in {key[1] for key in [*tables.article_performance, *tables.user_performance]}:
        articles = [row for row in tables.article_performance.values() if row.date == day]
        users = [row for row in tables.user_performance.values() if row.date == day]
        totals[day] = DayTotals(
            sum(row.displays for row in articles),
            sum(row.clicks for row in articles),
            sum(row.sessions for row in users),
            sum((row.session_seconds for row in users), Decimal(0)),
        )
    return totals


def restated(before: Expected, after: Expected) -> dict[date, tuple[DayTotals, DayTotals]]:
    """The days that were published before a run and have other totals after it, with both; 0 where a day has none."""
    left = day_totals(after)
    return {
        day: (found, left.get(day, NOTHING))
        for day, found in day_totals(before).items()
        if left.get(day, NOTHING) != found
    }


def latest(texts: list[tuple[datetime, str | None]]) -> str | None:
    """Return the text with the latest time, the greatest one of several; None without a text."""
    return max(((when, text) for when, text in texts if text), default=(None, None))[1]


def displays_and_clicks(events: list[Event], definition: Definition) -> tuple[int, int]:
    """Return how many of the events are displays, and how many are clicks."""
    displays = sum(event.name in definition.display for event in events)
    return displays, sum(event.name in definition.click for event in events)


def local_day(when: datetime, definition: Definition) -> date:
    """The day of a time in UTC in the zone of the definition; OverflowError outside the years 1 to 9999."""
    return when.replace(tzinfo=UTC).astimezone(ZoneInfo(definition.timezone)).date()


def exact_seconds(length: timedelta) -> Decimal:
    """A length in seconds, exact to the microsecond."""
    return Decimal(length // MICROSECOND) / 1_000_000


# A file


def read_file(data: bytes, key: str, definition: Definition = ASSIGNMENT) -> FileReading:
    """The events and rejected lines of a file, or `Unreadable` when it cannot be read."""
    lines = decompressed(data, key).split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    if not lines:
        raise Unreadable("no header")
    lines = [line.removesuffix(b"\r") for line in lines]
    columns = header(lines[0], definition)
    reading = FileReading([], [], lines[1:].count(b""))
    for number, line in enumerate(lines[1:], start=2):
        if line == b"":
            continue
        try:
            reading.events.append(parse(line, columns, definition))
        except LineError as error:
            reading.rejected.append(Rejected(number, str(error), line[:RAW_BYTES]))
    if len(reading.rejected) * 2 > len(reading.events) + len(reading.rejected):
        raise Unreadable("over half of its lines rejected")
    return reading


def newest_at(reading: FileReading) -> int | None:
    """Return the time of a file's latest event, in microseconds since 1970-01-01 UTC."""
    times = [(event.when - datetime(1970, 1, 1)) // MICROSECOND for event in reading.events]
    return max(times) if times else None


def event_days(reading: FileReading, definition: Definition = ASSIGNMENT) -> dict[str, dict[str, int]]:
    """Return how many clicks and displays a file has by day and name of the event."""
    days: dict[str, dict[str, int]] = {}
    for event in reading.events:
        if event.name in definition.click + definition.display:
            names = days.setdefault(local_day(event.when, definition).isoformat(), {})
            names[event.name] = names.get(event.name, 0) + 1
    return days


def decompressed(data: bytes, key: str) -> bytes:
    """The plain bytes of a file, by the suffix of its key."""
    try:
        if key.endswith(".gz"):
            return gzip.decompress(data)
        if key.endswith(".zst"):
            return zstd.decompress(data)
    except (OSError, EOFError, zlib.error, zstd.ZstdError) as error:
        raise Unreadable(f"broken compression: {error}") from error
    return data


def header(line: bytes, definition: Definition = ASSIGNMENT) -> list[str]:
    """The names of the columns, each required one once."""
    if len(line) > MAX_LINE_BYTES:
        raise Unreadable("header too long")
    try:
        columns = line.decode("utf-8").removeprefix("\ufeff").split("\t")
    except UnicodeDecodeError as error:
        raise Unreadable("header is not UTF-8") from error
    for name in definition[:5]:
        if columns.count(name) != 1:
            raise Unreadable(f"wrong header: {columns.count(name)} columns named {name}")
    return columns


# A line


def parse(line: bytes, columns: list[str], definition: Definition = ASSIGNMENT) -> Event:
    """The event of a line, or `LineError` with the first reason that applies."""
    if len(line) > MAX_LINE_BYTES:
        raise LineError("line_too_long")
    if b"\0" in line:
        raise LineError("nul_byte")
    try:
        fields = line.decode("utf-8").split("\t")
    except UnicodeDecodeError as error:
        raise LineError("invalid_utf8") from error
    if len(fields) != len(columns):
        raise LineError("wrong_field_count")
    timestamp, session, name, user, attributes = (nullable(fields[columns.index(it)]) for it in definition[:5])
    when = utc(timestamp or "")
    try:
        local_day(when, definition)
    except OverflowError as error:
        raise LineError("bad_timestamp") from error
    if name is None:
        raise LineError("no_event_name")
    if too_long(user) or too_long(session):
        raise LineError("id_too_long")
    if name not in definition.click and name not in definition.display:
        return Event(when, session, name, user)
    try:
        members = json_object(attributes) if attributes is not None else {}
    except ValueError as error:
        raise LineError("bad_attributes") from error
    article, title, category = (members.get(key) for key in (definition.article, definition.title, definition.category))
    if any(isinstance(text, str) and "\0" in text for text in (article, title, category)):
        raise LineError("nul_in_text")
    if isinstance(article, int):
        article = str(article) if -(2**63) <= article < 2**64 else None
    if too_long(article):
        raise LineError("id_too_long")
    return Event(when, session, name, user, article or None, text_or_none(title), text_or_none(category))


def nullable(field: str) -> str | None:
    """Return the text of a field, or None if it is null."""
    return None if field in ("", r"\N") else field


def too_long(text: str | None) -> bool:
    """Whether an id is longer than the contract allows."""
    return text is not None and len(text.encode("utf-8")) > MAX_ID_BYTES


def text_or_none(value: str | int | None) -> str | None:
    """Return the value if it is a non-empty string, else None."""
    return value if isinstance(value, str) and value else None


TIMESTAMP = re.compile(
    "([0-9]{4})-([0-9]{2})-([0-9]{2})[ T]([0-9]{2}):([0-9]{2}):([0-9]{2})"
    r"(?:\.([0-9]{1,9}))?"
    "(?: ?(?:Z|([+-])([01][0-9]|2[0-3]):?([0-5][0-9])))?"
)


def utc(text: str) -> datetime:
    """The instant of a timestamp in UTC, cut off at the microsecond."""
    match = TIMESTAMP.fullmatch(text)
    if match is None:
        raise LineError("bad_timestamp")
    year, month, day, hour, minute, second, fraction, sign, offset_hours, offset_minutes = match.groups()
    microsecond = int((fraction or "").ljust(6, "0")[:6])
    offset = timedelta(hours=int(offset_hours or 0), minutes=int(offset_minutes or 0))
    try:
        local = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second), microsecond)
        return local + offset if sign == "-" else local - offset
    except (ValueError, OverflowError) as error:
        raise LineError("bad_timestamp") from error


# JSON: json.loads recurses, takes NaN and lone surrogates and refuses long integers: it reads strings only.

TOKEN = re.compile(
    r"""(?P<mark>[][{}:,])
      | (?P<word>true|false|null)
      | (?P<number>-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?)
      | (?P<string>"(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*+")
      | (?P<space>[ \t\n\r]++)""",
    re.VERBOSE,
)
SMALL_INTEGER = re.compile("-?[0-9]{1,20}")
VALUE = ("{", "[", "string", "scalar")


def json_object(text: str) -> dict[str, str | int | None]:
    """The members of a JSON object: its strings, its integers of at most 20 digits, None for all else."""
    members: dict[str, str | int | None] = {}
    key = ""
    opened: list[str] = []
    allowed: tuple[str, ...] = ("{",)
    for token_kind, token in json_tokens(text):
        kind = "key" if token_kind == "string" and "key" in allowed else token_kind
        if kind not in allowed:
            raise ValueError(f"unexpected {kind}")
        if opened == ["{"] and kind == "key":
            key = json_string(token)
        if opened == ["{"] and kind in VALUE:
            members[key] = json_value(kind, token)
        if kind in ("{", "["):
            opened.append(kind)
            allowed = ("key", "}") if kind == "{" else (*VALUE, "]")
        elif kind == "key":
            allowed = (":",)
        elif kind == ":":
            allowed = VALUE
        elif kind == ",":
            allowed = ("key",) if opened[-1] == "{" else VALUE
        else:
            if kind in ("}", "]"):
                opened.pop()
            allowed = () if not opened else (",", "}") if opened[-1] == "{" else (",", "]")
    if allowed:
        raise ValueError("unexpected end")
    return members


def json_tokens(text: str) -> Iterator[tuple[str, str]]:
    """The tokens of a JSON text as kind and text, a mark being its own kind; every string is a valid one."""
    position = 0
    while position < len(text):
        match = TOKEN.match(text, position)
        if match is None:
            raise ValueError(f"no JSON at character {position}")
        token = match.group()
        if match.lastgroup == "mark":
            yield token, token
        elif match.lastgroup == "string":
            json_string(token)
            yield "string", token
        elif match.lastgroup != "space":
            yield "scalar", token
        position = match.end()


def json_value(kind: str, token: str) -> str | int | None:
    """The value of a string or small integer token, None of any other."""
    if kind == "string":
        return json_string(token)
    return int(token) if SMALL_INTEGER.fullmatch(token) else None


def json_string(token: str) -> str:
    """The text of a string token, or an error when it holds a lone surrogate."""
    text = str(json.loads(token))
    text.encode("utf-8")
    return text
