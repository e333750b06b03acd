"""Who tells of files that may have come: a queue, the folder itself, or nobody."""

import os
import threading
import time
from collections.abc import Callable, Collection
from typing import Protocol

from processor.environment import decode_utf8, encode_utf8
from processor.lake.base import Lake, LakeSettingError, is_hidden, is_lake_file
from processor.lake.folder import FolderLake

# A file that was written to is left alone until nothing was written for so many seconds; the listing does not wait.
QUIET_SECONDS = 0.4
MAX_NAMES = 1000


class Notifications(Protocol):
    """Tells of files that may have come; what it leaves out, a listing finds."""

    def restart(self) -> None:
        """Begin anew, before the lake is listed."""

    def wait(self, seconds: float) -> list[str]:
        """The paths below the lake's URL that were told of, as soon as there are some, or none after so long."""

    def acknowledge(self, keys: Collection[str]) -> None:
        """Take note that the files with these keys are counted, or that it is recorded why not."""

    def close(self) -> None:
        """End whatever goes on."""


def open_notifications(lake: Lake, queue: str, warn: Callable[[str], None]) -> Notifications:
    """Who tells of a lake's files: the queue at a URL if there is one; raises LakeError."""
    if queue:
        if isinstance(lake, FolderLake):
            raise LakeSettingError("a queue tells of objects on S3, and LAKE_URL is a folder: leave QUEUE_URL out")
        if not queue.startswith(("https://", "http://")):
            raise LakeSettingError(
                "QUEUE_URL is no URL of a queue; write it as https://sqs.REGION.amazonaws.com/ID/NAME"
            )
        from processor.lake.sqs import QueueNotifications

        return QueueNotifications(queue, lake.url, warn)
    return FolderNotifications(lake.url, warn) if isinstance(lake, FolderLake) else NoNotifications()


class NoNotifications:
    """Nobody tells of anything."""

    def restart(self) -> None:
        """Nothing to do."""

    def wait(self, seconds: float) -> list[str]:
        """None, after so many seconds."""
        time.sleep(seconds)
        return []

    def acknowledge(self, keys: Collection[str]) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""


class FolderNotifications:
    """Tells of the files of a folder that are written to, as its file system does; a network mount may not."""

    def __init__(self, folder: str, warn: Callable[[str], None]) -> None:
        """Nothing is watched before `restart`."""
        self._folder, self._warn = folder, warn
        self._told: dict[str, float] = {}
        self._is_told = threading.Condition()
        self._thread: threading.Thread | None = None
        self._end = threading.Event()
        self._watched: tuple[int, int] | None = None
        self._failed = False

    def restart(self) -> None:
        """Watch the folder, if it is not the one that is watched."""
        try:
            status = os.stat(encode_utf8(self._folder))
        except OSError:
            return  # the listing tells
        if self._thread is not None and self._thread.is_alive() and self._watched == (status.st_dev, status.st_ino):
            return
        self.close()
        self._watched, self._end, begun = (status.st_dev, status.st_ino), threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._watch, args=(self._end, begun), daemon=True, name="arrivals")
        self._thread.start()
        begun.wait(5)  # what is written from now on is told, and what was before is listed

    def wait(self, seconds: float) -> list[str]:
        """The paths of files that were written to, and are no more, or none after so many seconds."""
        end = time.monotonic() + seconds
        with self._is_told:
            while True:
                now = time.monotonic()
                quiet = [name for name, at in self._told.items() if at + QUIET_SECONDS <= now][:MAX_NAMES]
                if quiet or now >= end:
                    for name in quiet:
                        del self._told[name]
                    return quiet
                self._is_told.wait(min(end, min(self._told.values(), default=end) + QUIET_SECONDS) - now)

    def acknowledge(self, keys: Collection[str]) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Watch no more."""
        self._end.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self, end: threading.Event, begun: threading.Event) -> None:
        from watchfiles import Change, watch

        try:
            for changes in watch(
                self._folder, watch_filter=None, debounce=200, step=50, stop_event=end, rust_timeout=200,
                yield_on_timeout=True, raise_interrupt=False, ignore_permission_denied=True,
            ):  # fmt: skip
                begun.set()
                for change, path in changes:
                    if change is not Change.deleted:
                        self._tell(path, is_new=change is Change.added)
        except (OSError, RuntimeError) as error:
            if not self._failed:
                self._failed = True
                self._warn(f"the lake folder cannot be watched ({error}): it is only listed")
        finally:
            begun.set()

    def _tell(self, path: str, is_new: bool) -> None:
        paths = [path]
        if is_new and self._is_folder(path):
            # What was in it before it could be watched is told by nobody else.
            for folder, folders, files in os.walk(encode_utf8(path)):
                folders[:] = [name for name in folders if not is_hidden(decode_utf8(name))]
                paths += (decode_utf8(os.path.join(folder, file)) for file in files)
        now = time.monotonic()
        with self._is_told:
            self._told.update((key, now) for key in map(self._key, paths) if is_lake_file(key))
            self._is_told.notify()

    def _is_folder(self, path: str) -> bool:
        return not is_lake_file(self._key(path)) and os.path.isdir(encode_utf8(path))

    def _key(self, path: str) -> str:
        """The path below the lake's folder of one in it, as is told."""
        return os.path.relpath(path, self._folder)
