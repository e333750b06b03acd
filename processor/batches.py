"""Files gathered into batches, each of which one transaction commits."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from math import inf
from typing import NamedTuple, Protocol

from processor.lake.base import FileError, LakeFile
from processor.lake.text import estimate_text_size
from processor.reducers.events import REASONS
from processor.reducers.partial import Chunk, content_hash, newest
from processor.reducing.byte_ranges import Reduced
from processor.reducing.process_pool import LostWorkerError
from state.batch_writer import Reading, Version
from state.staging import Staged

# After so many rejected lines a file that has fewer events is not written on, before it fills the database's disk.
HOPELESS = 1_000_000
MIB = 1024 * 1024


class ReprievedError(Exception):
    """A file had so many rejected lines on the way that it was not written on, and then turned out to be a good one."""


class Reducer(Protocol):
    """Reduces the files of a lake."""

    def results(self, file: LakeFile) -> Iterator[Reduced]:
        """What the lines of a file say; asked for again, it is reduced again. Raises FileError, LakeError."""


class Progress(Protocol):
    """Hears how much was read, and what went wrong that the run makes good."""

    def read(self, size: int) -> None:
        """So many bytes more were read."""

    def warn(self, line: str) -> None:
        """Something went wrong that the run makes good."""


class Limits(NamedTuple):
    """The most that a batch holds: rows for the database, bytes of text in the lake, seconds since its first file.

    A file that is larger than that is a batch of its own, written as it is read.
    """

    rows: int = 200_000
    size: int = 64 * MIB
    seconds: float = 0.5


LIMITS = Limits()


class Item:
    """A file of a batch: what is read of it, or `error`, why it cannot be read.

    `rows` is how many rows it has for the database, and None where it is too large to be held in memory.
    """

    def __init__(self, file: LakeFile, reducer: Reducer, progress: Progress, limits: Limits) -> None:
        """The file, once it is read, or as much of it as the limits allow; raises LakeError."""
        self.file = file
        self.error: FileError | None = None
        self.rows: int | None = 0
        self._reading: Reading | None = None
        self._reducer, self._progress, self._limits = reducer, progress, limits
        self._hopeless: float = HOPELESS
        self._gather()

    def read(self) -> Reading:
        """The reading of the file; where it is not held in memory, read again at each call but the first."""
        if self._reading is None:
            return self._begin()
        held = self._reading
        if self.rows is None:
            self._reading = None
        return held

    def read_again(self, reason: Exception) -> None:
        """Let what was read of the file go, since that cannot be used, and read it again."""
        if isinstance(reason, ReprievedError):
            self._hopeless = inf
        else:
            self._progress.warn(f"{reason}; its file is reduced without it")
        self._gather()

    def _begin(self) -> Reading:
        return reading(self.file, self._reducer.results(self.file), self._progress, self._hopeless)

    def _gather(self) -> None:
        while True:  # a file that is asked for again is reduced in this process, which loses nothing
            try:
                self._reading, self.rows = _gathered(self._begin(), self._limits)
            except FileError as error:
                self.error = error
            except LostWorkerError as error:
                self._progress.warn(f"{error}; its file is reduced without it")
                continue
            except ReprievedError:
                self._hopeless = inf
                continue
            return


def _gathered(begun: Reading, limits: Limits) -> tuple[Reading, int | None]:
    """The same reading, held in memory, and how many rows it has; None where it takes too much room or time."""
    end = time.monotonic() + limits.seconds
    held: list[dict[str, bytes] | Staged] = []
    count, size, rows = 0, 0, iter(begun.rows)
    for part in rows:
        held.append(part)
        if isinstance(part, Staged):
            count += part.rows
        else:
            count += sum(lines.count(b"\n") for lines in part.values())
            size += sum(map(len, part.values()))
        if count > limits.rows or size > limits.size or (held[1:] and time.monotonic() > end):
            return Reading(begun.key, chain(held, rows), begun.version), None
    version = begun.version()
    return Reading(begun.key, held, lambda: version), count


def batches(files: Sequence[LakeFile], reducer: Reducer, progress: Progress, limits: Limits) -> Iterator[list[Item]]:
    """The files in their order, in batches, as they are asked for.

    Raises LakeError and what else hinders all files, after a batch of those that were read before.
    """
    batch: list[Item] = []
    rows, size, begun = 0, 0, 0.0
    for file in files:
        if batch and size + estimate_text_size(file) > limits.size:
            yield batch
            batch, rows, size = [], 0, 0
        try:
            item = Item(file, reducer, progress, limits)
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


def reading(file: LakeFile, results: Iterator[Reduced], progress: Progress, hopeless: float = HOPELESS) -> Reading:
    """What a file says, as it is asked for, and then its version; raises FileError.

    After so many rejected lines, more than events, no more rows come; raises ReprievedError where all the lines then
    say otherwise.
    """
    chunks: dict[int, Chunk] = {}
    counts, reasons = Counter(events=0, empty=0), Counter[str]()
    newest_at: int | None = None

    def rows() -> Iterator[dict[str, bytes] | Staged]:
        nonlocal newest_at
        is_hopeless = False
        try:
            for result in results:
                progress.read(result.size)
                chunks.update(result.chunks)
                counts.update(events=result.events, empty=result.empty)
                reasons.update(result.reasons)
                newest_at = newest(newest_at, result.newest_at)
                is_hopeless = is_hopeless or reasons.total() > max(hopeless, counts["events"])
                if not is_hopeless:
                    yield result.rows
        except FileError as error:
            progress.read(error.size)
            raise
        events, rejected = counts["events"], reasons.total()
        if rejected > events:
            reason, _ = reasons.most_common(1)[0]
            raise FileError(
                f"{rejected} of its {events + rejected} lines were rejected, more than half, most often because "
                f"{REASONS[reason]}; write it again"
            )
        if is_hopeless:
            raise ReprievedError

    def version() -> Version:
        before, lines_before = 0, {}
        for begin, chunk in sorted(chunks.items()):
            lines_before[begin] = before
            before += chunk.lines
        return Version(
            file.key,
            file.fingerprint,
            file.size,
            content_hash(chunks),
            before - 1,  # but the header
            rejected=reasons.total(),
            newest_at=newest_at,
            reasons=reasons,
            lines_before=lines_before,
            **counts,
        )

    return Reading(file.key, rows(), version)
