"""The values that stand for files: as the checkpoint knows them, as they are read, and as they fail."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple, Protocol

from state.partial_rows import Rows


class KnownFile(NamedTuple):
    """The checkpoint of a file; without a fingerprint, no version of it was ingested."""

    file_id: int
    key: str
    fingerprint: str | None
    error: str | None


class RejectedLine(NamedTuple):
    """A rejected line: a code of `processor.reducers.events.REASONS`, and the line's first 1,000 bytes."""

    key: str
    line_number: int
    reason: str
    raw: bytes


class FileVersion(NamedTuple):
    """A version of a file that was read to its end, as the checkpoint records it.

    size: bytes in the lake. newest_at: time of its latest event, in microseconds since 1970-01-01 UTC; None without
    events. event_days: how many clicks and displays it has by day and name of the event, as JSON. reasons: how many
    lines were rejected for each reason. lines_before: for each chunk, by the byte at which it begins, the number of
    lines before it.
    """

    key: str
    fingerprint: str
    size: int
    content_hash: bytes
    lines: int
    events: int
    rejected: int
    empty: int
    newest_at: int | None
    event_days: str
    reasons: Mapping[str, int]
    lines_before: Mapping[int, int]


class Reading(Protocol):
    """A file that is being read: the rows of each partial, in the file's order, and after the last one its version."""

    @property
    def key(self) -> str:
        """The file's key."""

    @property
    def is_complete(self) -> bool:
        """Whether the file was read to its end, and all its rows are in memory; otherwise they can be taken once."""

    def __iter__(self) -> Iterator[Rows]:
        """Yield the rows, which are read meanwhile unless the reading is complete; raises what reading raises."""

    def version(self) -> FileVersion:
        """Return the version that was read; raises RuntimeError before the last row was."""


class Failure(NamedTuple):
    """A file whose present version cannot be ingested, and why."""

    key: str
    error: str


class KeptFile(NamedTuple):
    """A missing or failed file that keeps its contribution; `error` says why it failed, None if it is missing."""

    file: KnownFile
    error: str | None
