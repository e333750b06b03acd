"""What a run did, in numbers, and who hears of it while it goes on."""

from dataclasses import dataclass
from typing import Protocol

from state.batch_writer import Version


class Listener(Protocol):
    """Who is told how a run goes on."""

    def begin(self, files: int, size: int) -> None:
        """So many files, of so many bytes, are to be counted."""

    def read(self, size: int) -> None:
        """So many bytes more were read."""

    def counted(self, version: Version) -> None:
        """A file was counted."""

    def committed(self, seconds: float) -> None:
        """A transaction that ingested files took so long."""

    def same(self, key: str) -> None:
        """A file was read again and holds the same."""

    def forgotten(self, key: str) -> None:
        """What a file gave was taken back."""

    def failed(self, key: str, error: str) -> None:
        """A file counts nowhere."""

    def warn(self, line: str) -> None:
        """Something went wrong that the run makes good."""


@dataclass(slots=True)
class Outcome:
    """What a run did, as `--json` prints it: numbers of files, events and rejected lines; seconds."""

    files_counted: int = 0
    files_unchanged: int = 0
    files_failed: int = 0
    files_forgotten: int = 0
    events: int = 0
    rejected: int = 0
    seconds: float = 0
