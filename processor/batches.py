"""Gathers files into batches, each of which one transaction commits."""

import time
from collections.abc import Iterator, Sequence
from math import inf
from typing import NamedTuple

from processor.file_reading import MAX_REJECTED_LINES, FileReading, RowsWithheldError
from processor.lake.base import FileError, LakeFile
from processor.lake.text import estimate_text_size
from processor.listener import Listener
from processor.reducing.reducer import Reducer
from state.partial_rows import LostRowsError

MIB_BYTES = 1024 * 1024


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
        self._reading: FileReading | None = None
        self._reducer, self._listener, self._limits = reducer, listener, limits
        self._max_rejected: float = MAX_REJECTED_LINES
        self._read_within_limits()

    def read(self) -> FileReading:
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

    def _begin(self) -> FileReading:
        return FileReading(self.file, self._reducer.results(self.file), self._listener, self._max_rejected)

    def _read_within_limits(self) -> None:
        """Read the file until all of it is in memory, or the limits are reached."""
        while True:  # at a second call, the reducer uses this process, which cannot be lost
            try:
                reading = self._begin()
                self.rows = _hold_rows(reading, self._limits)
                self._reading = reading
            except FileError as error:
                self.error = error
            except LostRowsError as error:
                self._listener.warn(f"{error}; its file is reduced again in this process")
                continue
            except RowsWithheldError:
                self._max_rejected = inf
                continue
            return


def _hold_rows(reading: FileReading, limits: BatchLimits) -> int | None:
    """Hold the rows of a file in memory and return their number; None if they take too much memory or time."""
    end = time.monotonic() + limits.seconds
    count, size = 0, 0
    for part, rows in enumerate(reading.hold()):
        count += rows.count
        size += rows.size
        if count > limits.rows or size > limits.text_bytes or (part and time.monotonic() > end):
            return None
    return count


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
