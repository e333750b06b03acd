"""Waits for something unavailable: logs the beginning and the end of the outage, and waits longer each time."""

import time
from collections.abc import Callable, Iterator

from state.retry import pauses, retry

__all__ = ["Backoff", "retry"]

FIRST_SECONDS, MAX_SECONDS = 0.5, 30.0


class Backoff:
    """Waits longer each time for a database, a lake or a queue that is unavailable."""

    def __init__(self, warn: Callable[[str], None], end_line: str) -> None:
        """Start as available; `warn` logs the line that `report` gets, and `end_line` when the outage ends."""
        self._warn, self._end_line = warn, end_line
        self._pauses: Iterator[float] | None = None

    def report(self, line: str) -> None:
        """Warn that something is unavailable, once until `end`."""
        if self._pauses is None:
            self._pauses = pauses(FIRST_SECONDS, MAX_SECONDS)
            self._warn(line)

    def wait(self, max_seconds: float = MAX_SECONDS) -> None:
        """Sleep for about twice as long as the last time, at most `max_seconds`."""
        self._pauses = self._pauses or pauses(FIRST_SECONDS, MAX_SECONDS)
        time.sleep(min(next(self._pauses), max_seconds))

    def end(self) -> None:
        """Log that everything is available again if `report` warned, and start with short waits the next time."""
        if self._pauses is not None:
            self._pauses = None
            self._warn(self._end_line)
