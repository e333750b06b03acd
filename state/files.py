"""The values that stand for files: as the checkpoint knows them, as they are read, and as they fail."""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

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


class Reading(NamedTuple):
    """A file that is being read: its rows, and its version once they are read.

    rows: those of each partial; unless `is_complete`, they are read as they are used, once, and raise FileError.
    version: returns the version after the last row.
    is_complete: whether the file was read to its end, so that its rows and its version are known already.
    """

    key: str
    rows: Iterable[Rows]
    version: Callable[[], FileVersion]
    is_complete: bool = False


class Failure(NamedTuple):
    """A file whose present version cannot be ingested, and why."""

    key: str
    error: str


class KeptFile(NamedTuple):
    """A missing or failed file that keeps its contribution; `error` says why it failed, None if it is missing."""

    file: KnownFile
    error: str | None
