"""Partials: what a set of lines contributes to the tables.

Partials form a commutative monoid: `merge` is associative and commutative, and `Partial()` is its identity. So lines
may be split in any way, and reduced in any order by any number of processes; the merged partial is the same. This
module uses no file, no network and no SQL.
"""

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple
from zlib import crc32

from processor.reducers.days import find_day
from processor.reducers.definition import Definition
from processor.reducers.events import Event, Rejection


class Text(NamedTuple):
    """A title or category, and the time of its event in microseconds since 1970-01-01 UTC; the greatest is shown."""

    at: int
    text: str


class Span(NamedTuple):
    """The first and last event of a session, in microseconds since 1970-01-01 UTC, and the number of its events."""

    first: int
    last: int
    events: int


class Counts(NamedTuple):
    """The number of displays and of clicks."""

    displays: int
    clicks: int


class Chunk(NamedTuple):
    """The lines that begin in one chunk of a file: how many, and the SHA-256 of their bytes."""

    lines: int
    digest: bytes


@dataclass(slots=True)
class Partial:
    """What a set of lines contributes; an empty one is the identity of `merge`.

    article_days, user_days: counts by (article or user id, day); a day is the number of days since 1970-01-01.
    sessions: spans by (user id, session id). titles, categories: the latest text by article id.
    chunks: by the byte at which they begin. rejections: by (that byte of their chunk, line in the chunk from 0).
    event_days: the number of clicks and displays by (name of the event, day), with or without an article or a user.
    events, empty: the number of lines with an event, and of empty lines. newest_at: time of the latest event.
    All times are microseconds since 1970-01-01 UTC.
    """

    article_days: dict[tuple[str, int], Counts] = field(default_factory=dict)
    user_days: dict[tuple[str, int], Counts] = field(default_factory=dict)
    sessions: dict[tuple[str, str], Span] = field(default_factory=dict)
    titles: dict[str, Text] = field(default_factory=dict)
    categories: dict[str, Text] = field(default_factory=dict)
    chunks: dict[int, Chunk] = field(default_factory=dict)
    rejections: dict[tuple[int, int], Rejection] = field(default_factory=dict)
    event_days: Counter[tuple[str, int]] = field(default_factory=Counter)
    events: int = 0
    empty: int = 0
    newest_at: int | None = None

    def add(self, event: Event, definition: Definition) -> None:
        """Add one event, which counts as the definition says."""
        self.events += 1
        self.newest_at = pick_later(self.newest_at, event.at)
        if event.user and event.session:
            _put_span(self.sessions, (event.user, event.session), Span(event.at, event.at, 1))
        if event.name in definition.click:
            counts = Counts(0, 1)
        elif event.name in definition.display:
            counts = Counts(1, 0)
        else:
            return
        day = find_day(definition.timezone, event.at)
        assert day is not None, "a line whose time has no day is rejected"
        self.event_days[event.name, day] += 1
        if event.user:
            _put_counts(self.user_days, (event.user, day), counts)
        if event.article:
            _put_counts(self.article_days, (event.article, day), counts)
            if event.title:
                put_text(self.titles, event.article, Text(event.at, event.title))
            if event.category:
                put_text(self.categories, event.article, Text(event.at, event.category))

    def merge(self, other: "Partial") -> None:
        """Add the partial of other lines of the same file, which stays as it is."""
        self.events += other.events
        self.empty += other.empty
        self.newest_at = pick_later(self.newest_at, other.newest_at)
        self.event_days.update(other.event_days)
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

    def split(self, shards: int) -> "dict[int, Partial]":
        """Return partials by shard, from 0 to `shards` - 1, that merge to this one; all entries of an id are in one.

        Shard 0 also has what belongs to no article and no user.
        """
        if shards == 1:
            return {0: self}
        parts = {shard: Partial() for shard in range(shards)}
        parts[0].chunks, parts[0].rejections, parts[0].event_days = self.chunks, self.rejections, self.event_days
        parts[0].events, parts[0].empty, parts[0].newest_at = self.events, self.empty, self.newest_at
        for (article, day), counts in self.article_days.items():
            parts[_shard_of(article, shards)].article_days[article, day] = counts
        for (user, day), counts in self.user_days.items():
            parts[_shard_of(user, shards)].user_days[user, day] = counts
        for (user, session), span in self.sessions.items():
            parts[_shard_of(user, shards)].sessions[user, session] = span
        for article, text in self.titles.items():
            parts[_shard_of(article, shards)].titles[article] = text
        for article, text in self.categories.items():
            parts[_shard_of(article, shards)].categories[article] = text
        return parts

    def __len__(self) -> int:
        """The number of entries, which memory grows with."""
        days = len(self.article_days) + len(self.user_days)
        return days + len(self.sessions) + len(self.titles) + len(self.categories) + len(self.rejections)


def _shard_of(name: str, shards: int) -> int:
    """Return the shard of an id, the same in every process."""
    return crc32(name.encode()) % shards


def _put_counts(days: dict[tuple[str, int], Counts], key: tuple[str, int], new: Counts) -> None:
    old = days.get(key)
    days[key] = new if old is None else Counts(old.displays + new.displays, old.clicks + new.clicks)


def _put_span(sessions: dict[tuple[str, str], Span], key: tuple[str, str], new: Span) -> None:
    old = sessions.get(key)
    sessions[key] = (
        new if old is None else Span(min(old.first, new.first), max(old.last, new.last), old.events + new.events)
    )


def pick_later(one: int | None, other: int | None) -> int | None:
    """Return the later of two times; None is before any time."""
    if one is None or other is None:
        return other if one is None else one
    return max(one, other)


def put_text(texts: dict[str, Text], article: str, new: Text) -> None:
    """Keep the latest text of an article; an empty text is ignored.

    texts: the latest titles or categories until now, by article id. article: the id. new: a text of that article.
    """
    old = texts.get(article)
    if new.text and (old is None or old < new):
        texts[article] = new


def hash_content(chunks: dict[int, Chunk]) -> bytes:
    """Return the SHA-256 of a file's content, the same for every way to cut it into byte ranges."""
    digest = hashlib.sha256()
    for begin, chunk in sorted(chunks.items()):
        if chunk.lines:
            digest.update(begin.to_bytes(8, "big") + chunk.digest)
    return digest.digest()
