"""Gathers files into batches, each of which one transaction commits."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from math import inf
from typing import NamedTuple

from processor.lake.base import FileError, LakeFile
from processor.lake.text import estimate_text_size
from processor.listener import Listener
from processor.reducers.events import REASONS
from processor.reducers.partial import Chunk, hash_content, pick_later
from processor.reducing.copy_rows import make_event_days
from processor.reducing.reducer import ReducedPartial, Reducer
from state.files import FileVersion, Reading
from state.partial_rows import LostRowsError, Rows

# The rows of a file with more rejected lines than this, and with fewer events, are withheld: they would fill the
# database's disk, and the file is most likely to fail.
MAX_REJECTED_LINES = 1_000_000
MIB_BYTES = 1024 * 1024


class RowsWithheldError(Exception):
    """The rows of a file were withheld because of its rejected lines, but all its lines together are good enough."""


class BatchLimits(NamedTuple):
    """The most that a batch holds; a larger file is a batch of its own, written as it is read."""

    rows: int = 200_000  # for the database
    text_bytes: int = 64 * MIB_BYTES  # in the lake
    seconds: float = 0.5  # since its first file


DEFAULT_BATCH_LIMITS = BatchLimits()


class BatchFile:
    """A file of a batch, with its rows for the database, or `error` if it cannot be read.

    `rows` is the number of its rows, or None for a file that is too large to be held in memory.
    """

    def __init__(self, file: LakeFile, reducer: Reducer, listener: Listener, limits: BatchLimits) -> None:
        """Read the file, as far as the limits allow; raises LakeError.

        file: one of those that the reducer was opened for. reducer: what reduces it. listener: is informed of the bytes
        that were read. limits: the most rows, bytes and seconds until which the rows are held in memory.
        """
        self.file = file
        self.error: FileError | None = None
        self.rows: int | None = 0
        self._reading: Reading | None = None
        self._reducer, self._listener, self._limits = reducer, listener, limits
        self._max_rejected: float = MAX_REJECTED_LINES
        self._read_within_limits()

    def read(self) -> Reading:
        """Return the reading of the file; one that is not held in memory is read again at each call but the first."""
        if self._reading is None:
            return self._begin()
        reading = self._reading
        if self.rows is None:
            self._reading = None
        return reading

    def read_again(self, reason: Exception) -> None:
        """Discard what was read of the file, which cannot be used for that reason, and read it again."""
        if isinstance(reason, RowsWithheldError):
            self._max_rejected = inf
        else:
            self._listener.warn(f"{reason}; its file is reduced again in this process")
        self._read_within_limits()

    def _begin(self) -> Reading:
        return read_file(self.file, self._reducer.results(self.file), self._listener, self._max_rejected)

    def _read_within_limits(self) -> None:
        """Read the file until all of it is in memory, or the limits are reached."""
        while True:  # at a second call, the reducer uses this process, which cannot be lost
            try:
                self._reading, self.rows = _collect_rows(self._begin(), self._limits)
            except FileError as error:
                self.error = error
            except LostRowsError as error:
                self._listener.warn(f"{error}; its file is reduced again in this process")
                continue
            except RowsWithheldError:
                self._max_rejected = inf
                continue
            return


def _collect_rows(begun: Reading, limits: BatchLimits) -> tuple[Reading, int | None]:
    """Return the reading with its rows in memory, and their number; None if they take too much memory or time."""
    end = time.monotonic() + limits.seconds
    collected: list[Rows] = []
    count, size, rows = 0, 0, iter(begun.rows)
    for part in rows:
        collected.append(part)
        count += part.count
        size += part.size
        if count > limits.rows or size > limits.text_bytes or (collected[1:] and time.monotonic() > end):
            return Reading(begun.key, chain(collected, rows), begun.version), None
    version = begun.version()
    return Reading(begun.key, collected, lambda: version, is_complete=True), count


def make_batches(
    files: Sequence[LakeFile], reducer: Reducer, listener: Listener, limits: BatchLimits
) -> Iterator[list[BatchFile]]:
    """Read files in their order and yield them in batches.

    files: those that the reducer was opened for, in the order of their keys. reducer: what reduces them. listener: is
    informed of the bytes that were read. limits: the most that a batch holds.
    Raises LakeError and other errors that concern all files, after a batch of the files that were read before.
    """
    batch: list[BatchFile] = []
    rows, size, begun = 0, 0, 0.0
    for file in files:
        if batch and size + estimate_text_size(file) > limits.text_bytes:
            yield batch
            batch, rows, size = [], 0, 0
        try:
            item = BatchFile(file, reducer, listener, limits)
        except Exception:
            if batch:
                yield batch
            raise
        if batch and item.rows is None:
            yield batch
            batch, rows, size = [], 0, 0
        begun = begun if batch else time.monotonic()
        batch.append(item)
        rows, size = rows + (item.rows or 0), size + estimate_text_size(file)
        if item.rows is None or rows >= limits.rows or time.monotonic() >= begun + limits.seconds:
            yield batch
            batch, rows, size = [], 0, 0
    if batch:
        yield batch


def read_file(
    file: LakeFile, results: Iterator[ReducedPartial], listener: Listener, max_rejected: float = MAX_REJECTED_LINES
) -> Reading:
    """Return the rows of a file, which are read as they are used, and then its version; using them raises FileError.

    file: as it was listed. results: its partials. listener: is informed of the bytes that were read.
    max_rejected: after more rejected lines than this, and more of them than events, the other rows are withheld; if all
    lines together have more events, using the rows raises RowsWithheldError at the end.
    """
    chunks: dict[int, Chunk] = {}
    counts, reasons = Counter(events=0, empty=0), Counter[str]()
    event_days = Counter[tuple[str, int]]()
    newest_at: int | None = None

    def rows() -> Iterator[Rows]:
        nonlocal newest_at
        withholds = False
        try:
            for result in results:
                listener.read(result.size)
                chunks.update(result.chunks)
                counts.update(events=result.events, empty=result.empty)
                reasons.update(result.reasons)
                newest_at = pick_later(newest_at, result.newest_at)
                event_days.update(result.event_days)
                withholds = withholds or reasons.total() > max(max_rejected, counts["events"])
                if not withholds:
                    yield result.rows
        except FileError as error:
            listener.read(error.size)
            raise
        events, rejected = counts["events"], reasons.total()
        if rejected > events:
            reason, _ = reasons.most_common(1)[0]
            raise FileError(
                f"{rejected} of its {events + rejected} lines were rejected, more than half, most often because "
                f"{REASONS[reason]}; write it again"
            )
        if withholds:
            raise RowsWithheldError

    def version() -> FileVersion:
        before, lines_before = 0, {}
        for begin, chunk in sorted(chunks.items()):
            lines_before[begin] = before
            before += chunk.lines
        return FileVersion(
            file.key,
            file.fingerprint,
            file.size,
            hash_content(chunks),
            before - 1,  # without the header
            rejected=reasons.total(),
            newest_at=newest_at,
            event_days=make_event_days(event_days),
            reasons=reasons,
            lines_before=lines_before,
            **counts,
        )

    return Reading(file.key, rows(), version)
