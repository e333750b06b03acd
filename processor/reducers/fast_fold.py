"""The hot loop: folds regular lines in as few steps as Python allows, and leaves all others to `Fold`.

Its partial equals that of `fold.Fold`; a property test compares both on any bytes. Ids stay bytes until the end,
counts are items of lists, and nothing of a line is added before all of it is known to be regular.
"""

from operator import itemgetter
from typing import NamedTuple

import orjson

from processor.reducers.days import MINUTE_MICROSECONDS, find_day, find_day_of_minute
from processor.reducers.events import MAX_ID_BYTES, MAX_LINE_BYTES, Columns, parse_article_id, parse_timestamp
from processor.reducers.fold import Fold
from processor.reducers.partial import Counts, Partial, Span, Text, put_text

OTHER = -1
MAX_NAMES = 1000
NEVER = -(1 << 63)
NULLS = (b"", rb"\N")
NO_ATTRIBUTES: dict[str, object] = {}

# A regular timestamp is `YYYY-MM-DD HH:MM:SS.mmm +0000`, cut into three: up to the minute, `SS.`, and the rest.
_SECONDS = {b"%02d." % second: 1_000_000 * second for second in range(60)}
_RESTS = {b"%03d +0000" % millisecond: 1_000 * millisecond for millisecond in range(1_000)}


class ArticleDay:
    """An article on one day: its events by kind, and its latest texts with their times."""

    __slots__ = ("category", "category_at", "counts", "title", "title_at")

    def __init__(self, kinds: int) -> None:
        self.counts = [0] * kinds
        self.title_at = self.category_at = NEVER
        self.title = self.category = ""


class Day(NamedTuple):
    """One day: its events of each kind by user, and its articles."""

    users: dict[bytes, list[int]]
    articles: dict[str, ArticleDay]


class FastFold(Fold):
    """Folds lines into the same partial as `Fold`, faster."""

    def __init__(self, header: Columns, begin: int) -> None:
        super().__init__(header, begin)
        self._pick = itemgetter(header.timestamp, header.session, header.name, header.user, header.attributes)
        definition = header.definition
        self._keys = definition.article, definition.title, definition.category
        # The kind of an event is the place of its name: displays come first.
        self._displays = len(definition.display)
        self._names = [*sorted(definition.display), *sorted(definition.click)]
        self._kinds = {name.encode(): kind for kind, name in enumerate(self._names)}
        self._sessions: dict[tuple[bytes, bytes], list[int]] = {}
        self._days: dict[int, Day] = {}
        self._minutes: dict[bytes, tuple[int, dict[bytes, list[int]], dict[str, ArticleDay]]] = {}

    def add(self, lines: bytes, number: int) -> int:
        """Fold whole lines and return how many they are; `number` is the first one's, in its chunk from 0."""
        if len(lines) > MAX_LINE_BYTES:  # otherwise, no line can be over the limit
            return super().add(lines, number)
        rows = lines.split(b"\n")
        if not rows[-1]:
            rows.pop()
        if b"\r" in lines:
            rows = [row.removesuffix(b"\r") for row in rows]
        has_nul = b"\0" in lines
        width, pick, loads, is_ascii = self._header.width, self._pick, orjson.loads, bytes.isascii
        article_key, title_key, category_key = self._keys
        size = len(self._names)
        minutes, seconds, rests, kinds, sessions = self._minutes, _SECONDS, _RESTS, self._kinds, self._sessions
        for line, row in enumerate(rows, number):
            fields = row.split(b"\t")
            if len(fields) != width or (has_nul and b"\0" in row):
                self._add_line(row, line)
                continue
            stamp, session_id, name, user, attributes = pick(fields)
            try:
                start, users, articles = minutes[stamp[:17]]
                at = start + seconds[stamp[17:20]] + rests[stamp[20:]]
            except KeyError:
                time_and_day = self._find_time_and_day(stamp)
                if time_and_day is None:
                    self._add_line(row, line)
                    continue
                at, (users, articles) = time_and_day
            kind = kinds.get(name)
            if kind is None:
                kind = self._remember_uncounted(name)
            session = sessions.get((user, session_id))
            if kind is None or (session is None and not (_is_id(user) and _is_id(session_id))):
                self._add_line(row, line)
                continue
            if kind == OTHER:
                if not is_ascii(row) and not _is_utf8(row):
                    self._add_line(row, line)
                    continue
            else:
                # orjson checks the encoding of the attributes; ids and names are checked when they are first seen.
                try:
                    value = loads(attributes)
                except orjson.JSONDecodeError:
                    if attributes not in NULLS:
                        self._add_line(row, line)
                        continue
                    value = NO_ATTRIBUTES
                if (
                    type(value) is not dict
                    or (width > 5 and not _is_utf8(row))
                    or (b"\\" in attributes and rb"\u0000" in attributes)
                ):
                    self._add_line(row, line)
                    continue
                get = value.get
                article_name = get(article_key)
                if type(article_name) is not str:
                    article_name = parse_article_id(article_name)
                if article_name:
                    if len(article_name) > MAX_ID_BYTES // 4:
                        self._add_line(row, line)
                        continue
                    article = articles.get(article_name)
                    if article is None:
                        article = articles[article_name] = ArticleDay(size)
                    article.counts[kind] += 1
                    title = get(title_key)
                    if (
                        at >= article.title_at
                        and type(title) is str
                        and title
                        and (at > article.title_at or title > article.title)
                    ):
                        article.title_at, article.title = at, title
                    category = get(category_key)
                    if (
                        at >= article.category_at
                        and type(category) is str
                        and category
                        and (at > article.category_at or category > article.category)
                    ):
                        article.category_at, article.category = at, category
                counts = users.get(user)
                if counts is None:
                    counts = users[user] = [0] * size
                counts[kind] += 1
            if session is None:
                sessions[user, session_id] = [at, at, 1]
            else:
                session[2] += 1
                if at > session[1]:
                    session[1] = at
                elif at < session[0]:
                    session[0] = at
        return len(rows)

    def _find_time_and_day(self, stamp: bytes) -> tuple[int, Day] | None:
        """Return the time and the day of a timestamp, and remember its minute if it is regular and all on that day."""
        if not stamp.isascii():
            return None
        at = parse_timestamp(stamp.decode())
        if at is None:
            return None
        timezone = self._header.definition.timezone
        date = find_day(timezone, at)
        if date is None:
            return None
        day = self._days.get(date)
        if day is None:
            day = self._days[date] = Day({}, {})
        is_regular = stamp[17:20] in _SECONDS and stamp[20:] in _RESTS
        if is_regular and find_day_of_minute(timezone, at // MINUTE_MICROSECONDS) is not None:
            self._minutes[stamp[:17]] = (at - _SECONDS[stamp[17:20]] - _RESTS[stamp[20:]], *day)
        return at, day

    def _remember_uncounted(self, name: bytes) -> int | None:
        """Remember that events of a name are not counted, and return OTHER; None leaves the line to `Fold`."""
        if name in NULLS or not _is_utf8(name) or len(self._kinds) >= MAX_NAMES:
            return None
        self._kinds[name] = OTHER
        return OTHER

    def __len__(self) -> int:
        """The number of entries, which memory grows with."""
        days = sum(len(day.users) + 3 * len(day.articles) for day in self._days.values())
        return super().__len__() + len(self._sessions) + days

    def partial(self) -> Partial:
        """Return the partial of the lines."""
        partial = Partial()
        names: dict[bytes, str] = {}
        for (user, session_id), (first, last, events) in self._sessions.items():
            partial.events += events
            if user not in NULLS:
                name = names.setdefault(user, user.decode())
                if session_id not in NULLS:
                    partial.sessions[name, session_id.decode()] = Span(first, last, events)
        partial.newest_at = max((last for _, last, _ in self._sessions.values()), default=None)
        for date, day in self._days.items():
            for event_name, events in zip(self._names, map(sum, zip(*day.users.values(), strict=True)), strict=False):
                if events:
                    partial.event_days[event_name, date] = events
            for user, counts in day.users.items():
                if user not in NULLS:
                    partial.user_days[names[user], date] = self._count(counts)
            for article_name, article in day.articles.items():
                partial.article_days[article_name, date] = self._count(article.counts)
                put_text(partial.titles, article_name, Text(article.title_at, article.title))
                put_text(partial.categories, article_name, Text(article.category_at, article.category))
        partial.merge(self._partial)
        return partial

    def _count(self, counts: list[int]) -> Counts:
        displays = sum(counts[: self._displays])
        return Counts(displays, sum(counts) - displays)


def _is_id(field: bytes) -> bool:
    """Return whether a user or session field can be an id or null."""
    return len(field) <= MAX_ID_BYTES and _is_utf8(field)


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
