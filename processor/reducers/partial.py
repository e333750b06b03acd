"""Events fold into partials: what a set of lines says, in any order, split in any way.

Partials form a commutative monoid: `merge` is associative and commutative, and `Partial()` is its identity. So lines
may be reduced in any order, in any pieces, by any number of processes, and give the same. Pure Python: no file, no
network, no SQL.
"""

import hashlib
from dataclasses import dataclass, field
from typing import NamedTuple
from zlib import crc32

from processor.reducers.events import CLICKS, DISPLAYS, Event, Rejection

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


def content_hash(chunks: dict[int, Chunk]) -> bytes:
    """The SHA-256 that tells a file's content from any other's, however it was split into ranges."""
    digest = hashlib.sha256()
    for begin, chunk in sorted(chunks.items()):
        if chunk.lines:
            digest.update(begin.to_bytes(8, "big") + chunk.digest)
    return digest.digest()
