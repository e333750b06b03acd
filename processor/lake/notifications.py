"""The port for notifications of files that may be new, and the implementation without any."""

import time
from collections.abc import Collection
from typing import Protocol


class Notifications(Protocol):
    """Names files that may be new or changed; a listing finds the files that it misses."""

    def restart(self) -> None:
        """Start, or start again, before the lake is listed."""

    def wait(self, seconds: float) -> list[str]:
        """Return paths below the lake's URL as soon as there are some, or none after `seconds`."""

    def acknowledge(self, keys: Collection[str]) -> None:
        """Note that the files with these keys were ingested, or that the database records why not."""

    def close(self) -> None:
        """Stop."""


class NoNotifications:
    """No notifications: only a listing finds new files."""

    def restart(self) -> None:
        """Do nothing."""

    def wait(self, seconds: float) -> list[str]:
        """Return nothing after `seconds`."""
        time.sleep(seconds)
        return []

    def acknowledge(self, keys: Collection[str]) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""
