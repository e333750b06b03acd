"""Selects files of a lake by the date in their key, or by the key."""

import re
from collections.abc import Iterable, Mapping
from itertools import takewhile
from typing import NamedTuple, TypeVar

from processor.setting_values import parse_day

# 2019-02-15, 2019/02/15, 20190215, year=2019/month=02/day=15
_DATE = re.compile(
    "(?<![0-9])((?:19|20)[0-9]{2})(?:[-_./]|/month=)?(0[1-9]|1[0-2])(?:[-_./]|/day=)?(0[1-9]|[12][0-9]|3[01])(?![0-9])"
)
_FIRST_DATE, _LAST_DATE = "1900-01-01", "2099-12-31"  # that _DATE finds
_LAST_CHARACTER = "\U0010ffff"

T = TypeVar("T")


class KeyRange(NamedTuple):
    """The keys after `after`, up to and with `last`, by code points; None means up to the last one."""

    after: str = ""
    last: str | None = None

    def holds(self, key: str) -> bool:
        """Whether a key is in the range."""
        return key > self.after and (self.last is None or key <= self.last)

    @property
    def prefix(self) -> str:
        """What all keys of the range begin with."""
        pairs = zip(self.after, self.last or "", strict=False)
        return "".join(one for one, other in takewhile(lambda pair: pair[0] == pair[1], pairs))

    def intersect(self, other: "KeyRange") -> "KeyRange":
        """Return the keys that are in both ranges."""
        ends = [last for last in (self.last, other.last) if last is not None]
        return KeyRange(max(self.after, other.after), min(ends, default=None))


EVERY_KEY = KeyRange()


class Selection(NamedTuple):
    """The files from `since` to `until`, both included; None means no limit.

    A limit of the form YYYY-MM-DD is compared with the date in a file's key; keys without a date are not included. Any
    other limit is compared with the key itself, by code points; `until` includes the keys that begin with it.
    """

    since: str | None = None
    until: str | None = None

    def includes(self, key: str) -> bool:
        """Whether the file with this key is selected.

        >>> Selection("2019-02-15").includes("year=2019/month=02/day=16/a.tsv")
        True
        >>> Selection(until="b/").includes("b/c.tsv")
        True
        """
        return self._is_after_since(key) and self._is_before_until(key)

    def of(self, files: Mapping[str, T]) -> dict[str, T]:
        """Return the selected ones of some files, by their keys."""
        return {key: file for key, file in files.items() if self.includes(key)}

    def _is_after_since(self, key: str) -> bool:
        if self.since is None:
            return True
        if not _is_date(self.since):
            return key >= self.since
        found = find_date(key)
        return found is not None and found >= self.since

    def _is_before_until(self, key: str) -> bool:
        if self.until is None:
            return True
        if not _is_date(self.until):
            return key <= self.until or key.startswith(self.until)
        found = find_date(key)
        return found is not None and found <= self.until

    def key_ranges(self, known: Iterable[str]) -> list[KeyRange]:
        """Return the ranges of keys, in their order, that need to be listed: no other key is selected.

        A date limits the range only if all dates in the `known` keys follow the same text, as in 2019-02-15.tsv or
        events/2019/02/15/a.tsv. Keys that begin with neither that text nor a year are then listed, too, as they may
        hold a date anywhere.
        """
        since, until = self.since or "", self.until
        from_date, to_date = _is_date(since), until is not None and _is_date(until)
        by_key = KeyRange(
            "" if from_date else _before(since), None if until is None or to_date else until + _LAST_CHARACTER
        )
        form = _find_form(known) if from_date or to_date else None
        if form is None:
            return [by_key]
        ranges = [
            KeyRange(
                _before(form.write(max(since, _FIRST_DATE))) if from_date else "",
                form.write(min(until, _LAST_DATE)) + _LAST_CHARACTER if until is not None and to_date else None,
            )
        ]
        if from_date:
            ranges.insert(0, KeyRange("", f"{form.begin}19"))
        if to_date:
            ranges.append(KeyRange(_before(f"{form.begin}21")))
        found = [by_key.intersect(dates) for dates in ranges]
        return [keys for keys in found if keys.last is None or keys.after < keys.last]


EVERY_FILE = Selection()


class _DateForm(NamedTuple):
    """How keys hold their date: after which text, and what separates year, month and day."""

    begin: str
    before_month: str
    before_day: str

    def write(self, date: str) -> str:
        """Return a key as far as its date.

        >>> _DateForm("year=", "/month=", "/day=").write("2019-02-15")
        'year=2019/month=02/day=15'
        """
        year, month, day = date.split("-")
        return f"{self.begin}{year}{self.before_month}{month}{self.before_day}{day}"


def _find_form(keys: Iterable[str]) -> _DateForm | None:
    """Return how the keys that have a date hold it; None if there are none, or if they do not agree."""
    found = set[_DateForm]()
    for match in filter(None, map(_DATE.search, keys)):
        key = match.string
        begin, end = key[: match.start()], match.end
        found.add(_DateForm(begin, key[end(1) : match.start(2)], key[end(2) : match.start(3)]))
        if len(found) > 1:
            return None
    return found.pop() if found else None


def _is_date(limit: str) -> bool:
    return parse_day(limit) is not None


def _before(key: str) -> str:
    """Return a text that sorts before a key, and not far before it.

    >>> _before("2019-02-15")
    '2019-02-14~'
    """
    return f"{key[:-1]}{chr(ord(key[-1]) - 1)}~" if key and "!" < key[-1] <= "~" else key[:-1]


def find_date(key: str) -> str | None:
    """Return the first date in a key as YYYY-MM-DD, or None."""
    match = _DATE.search(key)
    return "-".join(match.groups()) if match else None
