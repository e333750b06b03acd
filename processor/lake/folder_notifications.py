"""Notifications of a folder's files, from its file system."""

import os
import threading
import time
from collections.abc import Callable, Collection

from processor.environment import decode_utf8, encode_utf8
from processor.lake.keys import is_hidden, is_lake_file

# A file is named only after nothing was written to it for this long; a listing does not wait.
QUIET_SECONDS = 0.4
MAX_NAMES = 1000
START_SECONDS = 5
DEBOUNCE_MS, STEP_MS, POLL_MS = 200, 50, 200


class FolderNotifications:
    """The files of a folder that are written to, as the file system reports them; a network mount may not."""

    def __init__(self, folder: str, warn: Callable[[str], None]) -> None:
        """Name the folder, which `restart` begins to watch; `warn` logs a line if it cannot be watched."""
        self._folder, self._warn = folder, warn
        # When each file was last written to, by its key.
        self._written: dict[str, float] = {}
        self._condition = threading.Condition()
        self._thread: threading.Thread | None = None
        self._end = threading.Event()
        self._watched: tuple[int, int] | None = None
        self._has_warned = False

    def restart(self) -> None:
        """Watch the folder, unless this very folder is watched already."""
        try:
            status = os.stat(encode_utf8(self._folder))
        except OSError:
            return  # the listing reports it
        if self._thread is not None and self._thread.is_alive() and self._watched == (status.st_dev, status.st_ino):
            return
        self.close()
        self._watched, self._end, begun = (status.st_dev, status.st_ino), threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._watch, args=(self._end, begun), daemon=True, name="notifications")
        self._thread.start()
        begun.wait(START_SECONDS)  # the caller lists the files that were written before

    def wait(self, seconds: float) -> list[str]:
        """Return the paths of files that were written to and are complete, or none after `seconds`."""
        end = time.monotonic() + seconds
        with self._condition:
            while True:
                now = time.monotonic()
                quiet = [name for name, at in self._written.items() if at + QUIET_SECONDS <= now][:MAX_NAMES]
                if quiet or now >= end:
                    for name in quiet:
                        del self._written[name]
                    return quiet
                self._condition.wait(min(end, min(self._written.values(), default=end) + QUIET_SECONDS) - now)

    def acknowledge(self, keys: Collection[str]) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Stop watching."""
        self._end.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self, end: threading.Event, begun: threading.Event) -> None:
        from watchfiles import Change, watch

        try:
            for changes in watch(
                self._folder, watch_filter=None, debounce=DEBOUNCE_MS, step=STEP_MS, stop_event=end,
                rust_timeout=POLL_MS, yield_on_timeout=True, raise_interrupt=False, ignore_permission_denied=True,
            ):  # fmt: skip
                begun.set()
                for change, path in changes:
                    if change is not Change.deleted:
                        self._record_write(path, is_new=change is Change.added)
        except (OSError, RuntimeError) as error:
            if not self._has_warned:
                self._has_warned = True
                self._warn(f"the lake folder cannot be watched ({error}); new files are found by listing it")
        finally:
            begun.set()

    def _record_write(self, path: str, is_new: bool) -> None:
        paths = [path]
        if is_new and self._is_folder(path):
            # Nothing else reports the files that were in a new folder before it was watched.
            for folder, folders, files in os.walk(encode_utf8(path)):
                folders[:] = [name for name in folders if not is_hidden(decode_utf8(name))]
                paths += (decode_utf8(os.path.join(folder, file)) for file in files)
        now = time.monotonic()
        with self._condition:
            self._written.update((key, now) for key in map(self._key, paths) if is_lake_file(key))
            self._condition.notify()

    def _is_folder(self, path: str) -> bool:
        return not is_lake_file(self._key(path)) and os.path.isdir(encode_utf8(path))

    def _key(self, path: str) -> str:
        """Return the path below the lake's folder."""
        return os.path.relpath(path, self._folder)
