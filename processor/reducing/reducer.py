"""The port for reducing: who reduces the files of a lake, and the result for each file."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol, Self

from processor.lake.base import Files, LakeFile
from processor.reducers.partial import Chunk, Partial
from state.partial_rows import Rows


class ReducedPartial(NamedTuple):
    """A partial as rows for the database, and the numbers that are checked and recorded of it.

    chunks: by the byte of the file at which they begin. reasons: how many lines were rejected for each reason.
    size: bytes read from the lake. newest_at: time of the latest event, in microseconds since 1970-01-01 UTC.
    event_days: clicks and displays by the name of the event and the day, in days since 1970-01-01.
    """

    rows: Rows
    chunks: dict[int, Chunk]
    events: int
    empty: int
    reasons: Counter[str]
    size: int
    newest_at: int | None
    event_days: Counter[tuple[str, int]]

    @classmethod
    def of(cls, partial: Partial, rows: Rows, size: int) -> "ReducedPartial":
        """Return a partial as rows with its numbers.

        partial: what was reduced. rows: its rows. size: the bytes that were read from the lake for it.
        """
        reasons = Counter(rejection.reason for rejection in partial.rejections.values())
        numbers = partial.events, partial.empty, reasons, size, partial.newest_at, partial.event_days
        return cls(rows, partial.chunks, *numbers)


class Reducer(Protocol):
    """Reduces files that it was opened for, some of them ahead; leaving its context ends what still runs."""

    def __enter__(self) -> Self:
        """Begin to reduce, if this reducer works ahead."""

    def __exit__(self, *_: object) -> None:
        """End what still runs."""

    def results(self, file: LakeFile) -> Iterator[ReducedPartial]:
        """Yield the partials of a file; raises FileError, LakeError and LostRowsError.

        The reducer was opened with files in the order of their keys; `results` gets the same objects in that order, and
        some may be left out. A file that is asked for once more, or after a later one, is reduced again in this
        process: when a transaction failed, its files are read again.
        """


# Opens a reducer for files of a lake, in the order of their keys.
OpenReducer = Callable[[Files, Sequence[LakeFile]], Reducer]
