"""Reads a file once: yields its rows for the database as they are reduced, and then knows its version."""

from collections import Counter
from collections.abc import Iterator
from itertools import chain

from processor.lake.base import FileError, LakeFile
from processor.listener import Listener
from processor.reducers.events import REASONS
from processor.reducers.partial import Chunk, hash_content, pick_later
from processor.reducing.copy_rows import make_event_days
from processor.reducing.reducer import ReducedPartial
from state.files import FileVersion
from state.partial_rows import Rows

# The rows of a file with more rejected lines than this, and with fewer events, are withheld: they would fill the
# database's disk, and the file is most likely to fail.
MAX_REJECTED_LINES = 1_000_000


class RowsWithheldError(Exception):
    """The rows of a file were withheld because of its rejected lines, but all its lines together are good enough."""


class FileReading:
    """A file that is being read: the rows of each partial, in the file's order, and after the last one its version.

    `is_complete`: whether all rows are in memory, so that they may be iterated over again; otherwise they are read
    while they are iterated over, once.
    """

    def __init__(
        self,
        file: LakeFile,
        results: Iterator[ReducedPartial],
        listener: Listener,
        max_rejected: float = MAX_REJECTED_LINES,
    ) -> None:
        """Prepare to read a file; the first row begins it.

        file: as it was listed. results: its partials. listener: is informed of the bytes that were read.
        max_rejected: after more rejected lines than this, and more of them than events, the other rows are withheld; if
        all lines together have more events, RowsWithheldError is raised after the last row.
        """
        self.key, self.is_complete = file.key, False
        self._file, self._totals = file, _Totals()
        self._held: list[Rows] = []
        # Without `self`, so that a reading that is given up closes its file at once.
        self._unread = _read(self._totals, results, listener, max_rejected)

    def __iter__(self) -> Iterator[Rows]:
        """Yield all rows, first those that are held; raises FileError, LakeError, LostRowsError, RowsWithheldError."""
        if self.is_complete:
            return iter(self._held)
        held, self._held = self._held, []
        return chain(held, self._unread)

    def hold(self) -> Iterator[Rows]:
        """Yield the rows as they are read, and hold them in memory, until the caller stops; raises as iterating does.

        The reading is complete if the caller takes them all.
        """
        for rows in self._unread:
            self._held.append(rows)
            yield rows
        self.is_complete = True

    def version(self) -> FileVersion:
        """Return the version that was read; raises RuntimeError before the last row was."""
        if not self._totals.are_whole:
            raise RuntimeError(f"the version of {self.key} is not known before its last row is read")
        return self._totals.version(self._file)


class _Totals:
    """What the partials of a file add up to."""

    def __init__(self) -> None:
        self.are_whole = False  # whether all partials were added, and the file is good
        self.events = self._empty = 0
        self._chunks: dict[int, Chunk] = {}
        self._reasons = Counter[str]()
        self._event_days = Counter[tuple[str, int]]()
        self._newest_at: int | None = None

    @property
    def rejected(self) -> int:
        """The number of rejected lines."""
        return self._reasons.total()

    @property
    def most_common_reason(self) -> str:
        """In words, why most of the rejected lines were rejected."""
        ((reason, _),) = self._reasons.most_common(1)
        return REASONS[reason]

    def add(self, partial: ReducedPartial) -> None:
        """Add a partial."""
        self.events += partial.events
        self._empty += partial.empty
        self._chunks.update(partial.chunks)
        self._reasons.update(partial.reasons)
        self._event_days.update(partial.event_days)
        self._newest_at = pick_later(self._newest_at, partial.newest_at)

    def version(self, file: LakeFile) -> FileVersion:
        """Return the version of a file that has exactly these partials."""
        lines, lines_before = 0, {}
        for begin, chunk in sorted(self._chunks.items()):
            lines_before[begin] = lines
            lines += chunk.lines
        return FileVersion(
            file.key,
            file.fingerprint,
            file.size,
            hash_content(self._chunks),
            lines - 1,  # without the header
            events=self.events,
            rejected=self.rejected,
            empty=self._empty,
            newest_at=self._newest_at,
            event_days=make_event_days(self._event_days),
            reasons=self._reasons,
            lines_before=lines_before,
        )


def _read(
    totals: _Totals, results: Iterator[ReducedPartial], listener: Listener, max_rejected: float
) -> Iterator[Rows]:
    """Yield the rows of partials, and add the partials up in `totals`."""
    withholds = False
    try:
        for result in results:
            listener.read(result.size)
            totals.add(result)
            withholds = withholds or totals.rejected > max(max_rejected, totals.events)
            if not withholds:
                yield result.rows
    except FileError as error:
        listener.read(error.size)
        raise
    if totals.rejected > totals.events:
        raise FileError(
            f"{totals.rejected} of its {totals.events + totals.rejected} lines were rejected, more than half, most "
            f"often because {totals.most_common_reason}; write it again"
        )
    if withholds:
        raise RowsWithheldError
    totals.are_whole = True
