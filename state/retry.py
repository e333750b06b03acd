"""Tries again after errors that pass, and waits longer each time; imports nothing of the program."""

import random
import time
from collections.abc import Callable, Iterator
from math import inf
from typing import TypeVar

ATTEMPTS = 5
FIRST_SECONDS, MAX_SECONDS = 0.2, 10.0

T = TypeVar("T")


def pauses(first_seconds: float = FIRST_SECONDS, max_seconds: float = MAX_SECONDS) -> Iterator[float]:
    """Yield how long to wait after each failure, about twice as long each time: `first_seconds` to `max_seconds`."""
    seconds = first_seconds
    while True:
        # The random factor keeps many processes from trying again at once.
        yield seconds * random.uniform(0.5, 1)  # noqa: S311
        seconds = min(2 * seconds, max_seconds)


def retry(
    attempt: Callable[[], T],
    may_pass: Callable[[Exception], bool],
    before_pause: Callable[[Exception], object] = lambda _: None,
    *,
    attempts: float = ATTEMPTS,
    seconds: float = inf,
    max_pause_seconds: float = MAX_SECONDS,
) -> T:
    """Return what an attempt returns; raises its error if that does not pass.

    attempt: called until it succeeds. may_pass: whether another attempt may succeed after an error.
    before_pause: called with the error before each pause.
    attempts: how many there are at most. seconds: how long they take at most, besides the last attempt.
    max_pause_seconds: the most seconds between two of them.
    """
    deadline = time.monotonic() + seconds
    waits = pauses(max_seconds=max_pause_seconds)
    while True:
        try:
            return attempt()
        except Exception as error:
            attempts -= 1
            if attempts <= 0 or time.monotonic() >= deadline or not may_pass(error):
                raise
            before_pause(error)
        time.sleep(max(0.0, min(next(waits), deadline - time.monotonic())))
