"""What a run did, in numbers."""

import json
import time
from collections import Counter

from processor.listener import Listener
from state.files import FileVersion


class RunTally(Listener):
    """Adds up what a run does.

    What `--json` prints, `state.runs`, the metrics and the console's last line all follow from it.
    """

    def __init__(self) -> None:
        self.files_counted = self.files_unchanged = self.files_failed = self.files_forgotten = 0
        self.events = self.rejected = self.bytes = 0
        self.reasons = Counter[str]()  # rejected lines by the code of the reason
        self._begun = time.monotonic()
        self._seconds: float | None = None

    @property
    def seconds(self) -> float:
        """How long the run has taken, until the clock was stopped."""
        return round(time.monotonic() - self._begun, 3) if self._seconds is None else self._seconds

    def stop_clock(self) -> None:
        """Leave what follows, such as drawing the report, out of the run's seconds."""
        self._seconds = self.seconds

    def summary(self) -> dict[str, float]:
        """Return what `--json` prints: numbers of files, events and rejected lines; seconds."""
        return {
            "files_counted": self.files_counted,
            "files_unchanged": self.files_unchanged,
            "files_failed": self.files_failed,
            "files_forgotten": self.files_forgotten,
            "events": self.events,
            "rejected": self.rejected,
            "seconds": self.seconds,
        }

    def columns(self) -> dict[str, object]:
        """Return what the row of this run in `state.runs` keeps: values by the names of its columns."""
        return {**self.summary(), "bytes": self.bytes, "reasons": json.dumps(self.reasons)}

    def listed(self, unchanged: int) -> None:
        self.files_unchanged = unchanged

    def read(self, size: int) -> None:
        self.bytes += size

    def ingested(self, version: FileVersion) -> None:
        self.files_counted += 1
        self.events += version.events
        self.rejected += version.rejected
        self.reasons.update(version.reasons)

    def unchanged(self, key: str) -> None:
        self.files_unchanged += 1

    def forgotten(self, key: str) -> None:
        self.files_forgotten += 1

    def failed(self, key: str, error: str) -> None:
        self.files_failed += 1
