"""Files that a watch tries again later, each after a pause that doubles every time."""

from typing import NamedTuple

from processor.lake.base import LakeFile


class Retry(NamedTuple):
    """When to try a file again."""

    at: float  # on the monotonic clock, in seconds
    pause: float  # seconds since the last try
    fingerprint: str  # of the version that failed


class Retries(dict[str, Retry]):
    """The files to try again, by their keys."""

    def __init__(self, first_seconds: float, max_seconds: float) -> None:
        """Start without files; pauses grow from `first_seconds` to `max_seconds`."""
        super().__init__()
        self._first_seconds, self._max_seconds = first_seconds, max_seconds

    def postpone(self, file: LakeFile, now: float) -> None:
        """Try a file again after a pause from `now`, which is twice as long as its last one."""
        before = self.get(file.key)
        pause = self._first_seconds if before is None else min(2 * before.pause, self._max_seconds)
        self[file.key] = Retry(now + pause, pause, file.fingerprint)

    def must_wait(self, file: LakeFile, now: float) -> bool:
        """Whether the pause of this version of a file is not over `now`."""
        retry = self.get(file.key)
        return retry is not None and retry.fingerprint == file.fingerprint and now < retry.at

    def due(self, now: float) -> list[str]:
        """Return the keys of the files whose pause is over `now`."""
        return [key for key, retry in self.items() if retry.at <= now]
