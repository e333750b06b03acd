"""Select files of a lake by the date in their key, or by the key."""

import re
from typing import NamedTuple

from processor.setting_values import parse_day

# 2019-02-15, 2019/02/15, 20190215, year=2019/month=02/day=15
_DATE = re.compile(
    "(?<![0-9])((?:19|20)[0-9]{2})(?:[-_./]|/month=)?(0[1-9]|1[0-2])(?:[-_./]|/day=)?(0[1-9]|[12][0-9]|3[01])(?![0-9])"
)


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

    def _is_after_since(self, key: str) -> bool:
        if self.since is None:
            return True
        if parse_day(self.since) is None:
            return key >= self.since
        found = find_date(key)
        return found is not None and found >= self.since

    def _is_before_until(self, key: str) -> bool:
        if self.until is None:
            return True
        if parse_day(self.until) is None:
            return key <= self.until or key.startswith(self.until)
        found = find_date(key)
        return found is not None and found <= self.until


EVERY_FILE = Selection()


def find_date(key: str) -> str | None:
    """Return the first date in a key as YYYY-MM-DD, or None."""
    match = _DATE.search(key)
    return "-".join(match.groups()) if match else None
