"""The port for notifications of files that may be new, and the choice of its implementation."""

import time
from collections.abc import Callable, Collection
from typing import Protocol

from processor.lake.base import Lake, LakeSettingError
from processor.lake.folder import FolderLake
from processor.lake.folder_notifications import FolderNotifications


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


def open_notifications(lake: Lake, queue: str, warn: Callable[[str], None]) -> Notifications:
    """Return the notifications of a lake; raises LakeError.

    lake: a folder notifies of its own files. queue: the URL of the queue that gets S3's notifications; empty for none.
    warn: logs a line.
    """
    if queue:
        if isinstance(lake, FolderLake):
            raise LakeSettingError("a queue names objects on S3, but LAKE_URL is a folder: leave QUEUE_URL out")
        if not queue.startswith(("https://", "http://")):
            raise LakeSettingError(
                "QUEUE_URL is not the URL of a queue; write it as https://sqs.REGION.amazonaws.com/ID/NAME"
            )
        from processor.lake.sqs import QueueNotifications

        return QueueNotifications(queue, lake.url, warn)
    return FolderNotifications(lake.url, warn) if isinstance(lake, FolderLake) else NoNotifications()


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
