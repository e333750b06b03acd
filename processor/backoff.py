"""Waits for something unavailable: logs the beginning and the end of the outage, and waits longer each time."""

import random
import time
from collections.abc import Callable

FIRST_SECONDS, MAX_SECONDS = 0.5, 30.0


class Backoff:
    """Waits longer each time for a database, a lake or a queue that is unavailable."""

    def __init__(self, warn: Callable[[str], None], back: str) -> None:
        """Start as available; `warn` logs the line that `report` gets, and the line `back` when the trouble ends."""
        self._warn, self._back = warn, back
        self._seconds: float | None = None

    def report(self, line: str) -> None:
        """Warn that something is unavailable, once until `end`."""
        if self._seconds is None:
            self._seconds = FIRST_SECONDS
            self._warn(line)

    def wait(self, max_seconds: float = MAX_SECONDS) -> None:
        """Sleep for about twice as long as the last time, at most `max_seconds`."""
        seconds = self._seconds or FIRST_SECONDS
        self._seconds = min(2 * seconds, MAX_SECONDS)
        # The random factor keeps many processes from retrying at once.
        time.sleep(min(seconds * random.uniform(0.5, 1), max_seconds))  # noqa: S311

    def end(self) -> None:
        """Log that everything is available again if `report` warned, and start with short waits the next time."""
        if self._seconds is not None:
            self._seconds = None
            self._warn(self._back)
