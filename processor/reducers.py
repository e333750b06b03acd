"""Events fold into partials: what a set of lines says, in any order, split in any way.

Partials form a commutative monoid: `merge` is associative and commutative, and `Partial()` is its identity. So lines
may be reduced in any order, in any pieces, by any number of processes, and give the same. Pure Python: no file, no
network, no SQL.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple
from zlib import crc32

from processor.events import CLICKS, DISPLAYS, Columns, Event, Rejection, columns, content, parse, pieces

CHUNK = 32 * 1024 * 1024
ENTRIES = 200_000
CHUNKS = 8  # of how many a partial tells at most, so that a file of few keys comes bit by bit, too
DAY = 86_400_000_000


class Text(NamedTuple):
    """A title or category and the time (microseconds) of the event that carried it; the greater one is the latest."""

    at: int
    text: str


class Span(NamedTuple):
    """What is known of a session: its first and last event (microseconds since 1970-01-01 UTC), and how many."""

    first: int
    last: int
    events: int


class Counts(NamedTuple):
    """How often something was displayed and clicked."""

    displays: int
    clicks: int


class Chunk(NamedTuple):
    """The lines that begin in one stretch of a file: how many, and the SHA-256 of their bytes."""

    lines: int
    digest: bytes


@dataclass(slots=True)
class Partial:
    """What a set of lines says; empty, it is the identity of `merge`.

    article_days, user_days: counts by (article or user id, day); a day is the number of days since 1970-01-01 UTC.
    sessions: spans by (user id, session id). titles, categories: the latest text by article id.
    chunks: by where in the file they begin. rejections: by (beginning of the chunk, line in the chunk from 0).
    events, empty: how many lines held an event, or nothing. newest_at: when the latest event was (microseconds).
    """

    article_days: dict[tuple[str, int], Counts] = field(default_factory=dict)
    user_days: dict[tuple[str, int], Counts] = field(default_factory=dict)
    sessions: dict[tuple[str, str], Span] = field(default_factory=dict)
    titles: dict[str, Text] = field(default_factory=dict)
    categories: dict[str, Text] = field(default_factory=dict)
    chunks: dict[int, Chunk] = field(default_factory=dict)
    rejections: dict[tuple[int, int], Rejection] = field(default_factory=dict)
    events: int = 0
    empty: int = 0
    newest_at: int | None = None

    def add(self, event: Event) -> None:
        """Take in one event."""
        self.events += 1
        self.newest_at = newest(self.newest_at, event.at)
        if event.user and event.session:
            _put_span(self.sessions, (event.user, event.session), Span(event.at, event.at, 1))
        if event.name in CLICKS:
            counts = Counts(0, 1)
        elif event.name in DISPLAYS:
            counts = Counts(1, 0)
        else:
            return
        day = event.at // DAY
        if event.user:
            _put_counts(self.user_days, (event.user, day), counts)
        if event.article:
            _put_counts(self.article_days, (event.article, day), counts)
            if event.title:
                put_text(self.titles, event.article, Text(event.at, event.title))
            if event.category:
                put_text(self.categories, event.article, Text(event.at, event.category))

    def merge(self, other: "Partial") -> None:
        """Take in what other lines of the same file say; the other partial stays as it is."""
        self.events += other.events
        self.empty += other.empty
        self.newest_at = newest(self.newest_at, other.newest_at)
        for article_day, counts in other.article_days.items():
            _put_counts(self.article_days, article_day, counts)
        for user_day, counts in other.user_days.items():
            _put_counts(self.user_days, user_day, counts)
        for session, span in other.sessions.items():
            _put_span(self.sessions, session, span)
        for article, text in other.titles.items():
            put_text(self.titles, article, text)
        for article, text in other.categories.items():
            put_text(self.categories, article, text)
        self.chunks |= other.chunks
        self.rejections |= other.rejections

    def split(self, ways: int) -> "dict[int, Partial]":
        """Partials that together say the same, by number below `ways`; all that is said of an id is in one of them.

        What is said of no article and no user is in number 0.
        """
        if ways == 1:
            return {0: self}
        parts = {way: Partial() for way in range(ways)}
        parts[0].chunks, parts[0].rejections = self.chunks, self.rejections
        parts[0].events, parts[0].empty, parts[0].newest_at = self.events, self.empty, self.newest_at
        for (article, day), counts in self.article_days.items():
            parts[_way(article, ways)].article_days[article, day] = counts
        for (user, day), counts in self.user_days.items():
            parts[_way(user, ways)].user_days[user, day] = counts
        for (user, session), span in self.sessions.items():
            parts[_way(user, ways)].sessions[user, session] = span
        for article, text in self.titles.items():
            parts[_way(article, ways)].titles[article] = text
        for article, text in self.categories.items():
            parts[_way(article, ways)].categories[article] = text
        return parts

    def __len__(self) -> int:
        """How many entries it holds: what its memory grows with."""
        days = len(self.article_days) + len(self.user_days)
        return days + len(self.sessions) + len(self.titles) + len(self.categories) + len(self.rejections)


def _way(name: str, ways: int) -> int:
    """Which of so many ways an id goes: the same in every process."""
    return crc32(name.encode()) % ways


def _put_counts(days: dict[tuple[str, int], Counts], key: tuple[str, int], new: Counts) -> None:
    old = days.get(key)
    days[key] = new if old is None else Counts(old.displays + new.displays, old.clicks + new.clicks)


def _put_span(sessions: dict[tuple[str, str], Span], key: tuple[str, str], new: Span) -> None:
    old = sessions.get(key)
    sessions[key] = (
        new if old is None else Span(min(old.first, new.first), max(old.last, new.last), old.events + new.events)
    )


def newest(one: int | None, other: int | None) -> int | None:
    """The later of two times; None, no time, is before any."""
    if one is None or other is None:
        return other if one is None else one
    return max(one, other)


def put_text(texts: dict[str, Text], article: str, new: Text) -> None:
    """Keep the latest text of an article; one that is empty is none."""
    old = texts.get(article)
    if new.text and (old is None or old < new):
        texts[article] = new


class Fold:
    """Folds lines into a partial, one by one: the clear path, which defines what a partial says.

    `begin` is where the chunk begins in the file whose lines come next.
    """

    def __init__(self, header: Columns, begin: int) -> None:
        """Nothing yet of a chunk that begins there, in a file whose first line says `header`."""
        self._header, self.begin = header, begin
        self._partial = Partial()

    def add(self, piece: bytes, number: int) -> int:
        """Take in whole lines, the first of which has that number in its chunk; how many they are."""
        rows = piece.split(b"\n")
        if not rows[-1]:
            rows.pop()
        for at, row in enumerate(rows, number):
            self._add_line(row.removesuffix(b"\r"), at)
        return len(rows)

    def _add_line(self, row: bytes, number: int) -> None:
        if not row:
            self._partial.empty += 1
            return
        parsed = parse(row, self._header)
        if isinstance(parsed, Event):
            self._partial.add(parsed)
        else:
            self._partial.rejections[self.begin, number] = parsed

    def end_chunk(self, chunk: Chunk) -> None:
        """Take note of what a chunk held; `begin` is then set to where the next one begins."""
        self._partial.chunks[self.begin] = chunk

    @property
    def chunks(self) -> int:
        """How many chunks have ended."""
        return len(self._partial.chunks)

    def __len__(self) -> int:
        """How many entries it holds: what its memory grows with."""
        return len(self._partial)

    def partial(self) -> Partial:
        """What the lines say."""
        return self._partial


def header_columns(text: Iterable[bytes]) -> Columns:
    """The columns of the file whose text begins so; raises `events.HeaderError`."""
    return columns(content(_first_line(*next(pieces(text), (0, b"")))[1]))


def reduce_text(
    text: Iterable[bytes],
    start: int = 0,
    stop: int | None = None,
    header: Columns | None = None,
    chunk: int = CHUNK,
    fold: type[Fold] = Fold,
    entries: int = ENTRIES,
) -> Iterator[Partial]:
    """The partials, one or more, of the lines that begin in the bytes [start, stop) of a file.

    With start 0, `text` is the file's text and its first line the header; raises `events.HeaderError`. With a later
    start, a multiple of `chunk`, `text` begins one byte before it, which tells whether a line begins there, and
    `header` says what the file's first line does. A partial is cut off where it holds so many entries or CHUNKS chunks.
    Ranges, chunks, entries and the way to fold change how partials are cut, not their sum.
    """
    digest, begin, number, offset = hashlib.sha256(), start, 0, max(start - 1, 0)
    source = pieces(text)
    if start or header is None:
        length, piece = next(source, (0, b""))
        line_length, line = _first_line(length, piece)
        if header is None:
            header = columns(content(line))
        if not start:
            digest.update(line)
            number = 1
        offset += line_length
        source = chain([(length - line_length, piece[line_length:])], source)
    folded = fold(header, begin)
    for whole, rest in source:
        length, piece = whole, rest
        while length and (stop is None or offset < stop):
            if offset >= begin + chunk:
                folded.end_chunk(Chunk(number, digest.digest()))
                begin = offset - offset % chunk
                digest, number = hashlib.sha256(), 0
                if folded.chunks == CHUNKS:
                    yield folded.partial()
                    folded = fold(header, begin)
                folded.begin = begin
            end = begin + chunk if stop is None else min(begin + chunk, stop)
            within = _within(length, piece, end - offset)
            lines = piece[:within]
            digest.update(lines)
            number += folded.add(lines, number)
            offset += within
            length, piece = length - within, piece[within:]
        if stop is not None and offset >= stop:
            break
        if len(folded) >= entries:
            yield folded.partial()
            folded = fold(header, begin)
    folded.end_chunk(Chunk(number, digest.digest()))
    yield folded.partial()


def _first_line(length: int, piece: bytes) -> tuple[int, bytes]:
    """The first line of a piece, with its true length."""
    within = _within(length, piece, 1)
    return within, piece[:within]


def _within(length: int, piece: bytes, size: int) -> int:
    """The length of those lines of a piece that begin in its first bytes."""
    if size >= length or length > len(piece):
        return length
    return piece.find(b"\n", size - 1) + 1 or length


def content_hash(chunks: dict[int, Chunk]) -> bytes:
    """The SHA-256 that tells a file's content from any other's, however it was split into ranges."""
    digest = hashlib.sha256()
    for begin, chunk in sorted(chunks.items()):
        if chunk.lines:
            digest.update(begin.to_bytes(8, "big") + chunk.digest)
    return digest.digest()
