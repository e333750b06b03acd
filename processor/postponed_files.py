"""Files that a watch tries again later, each after a pause that doubles every time."""

from collections.abc import Collection
from math import inf
from typing import NamedTuple

from processor.lake.base import LakeFile


class Postponement(NamedTuple):
    """When to try a file again."""

    at: float  # on the monotonic clock, in seconds
    pause: float  # seconds since the last try
    fingerprint: str  # of the version that failed


class PostponedFiles:
    """The files to try again, by their keys."""

    def __init__(self, first_seconds: float, max_seconds: float) -> None:
        """Start without files; pauses grow from `first_seconds` to `max_seconds`."""
        self._first_seconds, self._max_seconds = first_seconds, max_seconds
        self._postponed: dict[str, Postponement] = {}

    def postpone(self, file: LakeFile, now: float) -> None:
        """Try a file again after a pause from `now`, which is twice as long as its last one."""
        before = self.find(file.key)
        pause = self._first_seconds if before is None else min(2 * before.pause, self._max_seconds)
        self._postponed[file.key] = Postponement(now + pause, pause, file.fingerprint)

    def find(self, key: str) -> Postponement | None:
        """Return when to try a file again, or None if it is not postponed."""
        return self._postponed.get(key)

    def must_wait(self, file: LakeFile, now: float) -> bool:
        """Whether the pause of this version of a file is not over `now`."""
        found = self.find(file.key)
        return found is not None and found.fingerprint == file.fingerprint and now < found.at

    def due(self, now: float) -> list[str]:
        """Return the keys of the files whose pause is over `now`."""
        return [key for key, postponed in self._postponed.items() if postponed.at <= now]

    def next_at(self) -> float:
        """Return when the first pause is over, on the monotonic clock in seconds; infinity without files."""
        return min((postponed.at for postponed in self._postponed.values()), default=inf)

    def remove(self, key: str) -> None:
        """Postpone a file no longer, if it is postponed."""
        self._postponed.pop(key, None)

    def keep(self, keys: Collection[str]) -> None:
        """Postpone no other files than these."""
        self._postponed = {key: postponed for key, postponed in self._postponed.items() if key in keys}
