"""Waiting in a test for what happens in another process or thread."""

import time
from collections.abc import Callable

DEADLINE_SECONDS = 60.0


def wait_until(happened: Callable[[], object], seconds: float = DEADLINE_SECONDS) -> None:
    """Wait until `happened` returns something true; fail after `seconds`, which leave a busy machine its time."""
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "what was waited for does not happen"
        time.sleep(0.02)
