"""What a run did, added up while it goes on: for the history of runs, however the run ends."""

import json
from collections import Counter
from collections.abc import Callable

from processor.run_tally import Listener
from state.batch_writer import Version
from state.connection import RunEnd


class Record:
    """A listener that adds up what it is told, and passes it on.

    `commits` gets how long each transaction took that ingested files, in seconds.
    """

    def __init__(self, listener: Listener, commits: Callable[[float], object] = lambda _: None) -> None:
        """Nothing was told yet."""
        self._listener, self._commits = listener, commits
        self.reasons = Counter[str]()
        self._left = 0
        self.before_last: Callable[[], object] = lambda: None  # called when one file is left to count
        self.seconds: float | None = None
        self.did = dict.fromkeys(
            ("files_counted", "files_unchanged", "files_failed", "files_forgotten", "events", "rejected", "bytes"), 0
        )

    def end(self, seconds: float, exit_code: int | None = None, error: str | None = None) -> RunEnd:
        """What the history of runs keeps of it, for a run that took so long."""
        seconds = round(seconds, 3) if self.seconds is None else self.seconds
        return RunEnd(exit_code, error, **self.did, seconds=seconds, reasons=json.dumps(self.reasons))

    def begin(self, files: int, size: int) -> None:
        """So many files, of so many bytes, are to be counted."""
        self._listener.begin(files, size)
        self._leave(files)

    def read(self, size: int) -> None:
        """So many bytes more were read."""
        self.did["bytes"] += size
        self._listener.read(size)

    def counted(self, version: Version) -> None:
        """A file was counted."""
        self.did["files_counted"] += 1
        self.did["events"] += version.events
        self.did["rejected"] += version.rejected
        self.reasons.update(version.reasons)
        self._listener.counted(version)
        self._leave(self._left - 1)

    def committed(self, seconds: float) -> None:
        """A transaction that ingested files took so long."""
        self._commits(seconds)
        self._listener.committed(seconds)

    def same(self, key: str) -> None:
        """A file was read again and holds the same."""
        self.did["files_unchanged"] += 1
        self._listener.same(key)
        self._leave(self._left - 1)

    def forgotten(self, key: str) -> None:
        """What a file gave was taken back."""
        self.did["files_forgotten"] += 1
        self._listener.forgotten(key)

    def failed(self, key: str, error: str) -> None:
        """A file counts nowhere."""
        self.did["files_failed"] += 1
        self._listener.failed(key, error)
        self._leave(self._left - 1)

    def warn(self, line: str) -> None:
        """Something went wrong that the run makes good."""
        self._listener.warn(line)

    def _leave(self, files: int) -> None:
        self._left = files
        if files == 1:
            self.before_last()
