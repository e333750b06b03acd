"""The unit of work: a stretch of a file, and what its lines say as rows for the database."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from math import ceil
from typing import NamedTuple, TypeVar

from processor.lake.base import FileError, Lake, LakeFile
from processor.lake.text import BLOCK_BYTES, is_compressed, read_text
from processor.reducers.events import HeaderError
from processor.reducers.fast_fold import FastFold
from processor.reducers.fold import CHUNK, header_columns, reduce_text
from processor.reducers.partial import Chunk, Partial
from processor.reducing.copy_rows import copy_rows
from state.staging import Staged

BUNDLE = 100
LONGEST = 8

T = TypeVar("T")


class Stretch(NamedTuple):
    """The lines of a file that begin in its bytes [start, stop), both multiples of the chunk; no stop is its end."""

    file: LakeFile
    start: int = 0
    stop: int | None = None


class Reduced(NamedTuple):
    """A partial ready for the database: its rows by the name of the COPY that takes them, and what is checked of it.

    rows: or where they are staged. chunks: by where in the file they begin. reasons: how many lines were rejected for
    each. size: bytes read from the lake. newest_at: when the latest event was.
    """

    rows: dict[str, bytes] | Staged
    chunks: dict[int, Chunk]
    events: int
    empty: int
    reasons: Counter[str]
    size: int
    newest_at: int | None


def stretches(file: LakeFile, length: int) -> list[Stretch]:
    """A file cut into stretches of so many bytes; one that can be read from its beginning only stays whole."""
    if is_compressed(file):
        return [Stretch(file)]
    starts = range(0, max(file.size, 1), length)
    return [Stretch(file, start, None if start == starts[-1] else start + length) for start in starts]


def stretch_length(file: LakeFile, chunk: int, ways: float) -> int:
    """How long the stretches of a file are, a multiple of the chunk, to keep so many processes busy with it.

    Long ones have fewer partials to merge; ones of over LONGEST chunks would come too late to be committed meanwhile.
    """
    chunks = ceil(file.size / chunk) or 1
    count = max(ceil(chunks / LONGEST), min(chunks, ceil(ways)))
    return ceil(chunks / count) * chunk


def units(items: Iterable[T], stretch: Callable[[T], Stretch], size: int) -> Iterator[list[T]]:
    """Units of work in their order, each of so many bytes at most: a stretch of a large file, or small files bundled.

    `stretch` tells which stretch an item is about.
    """
    unit: list[T] = []
    held = 0
    for item in items:
        file, start, stop = stretch(item)
        length = (file.size if stop is None else stop) - start
        if unit and (held + length > size or len(unit) == BUNDLE):
            yield unit
            unit, held = [], 0
        unit.append(item)
        held += length
    if unit:
        yield unit


def reduced(lake: Lake, stretch: Stretch, chunk: int) -> Iterator[Reduced]:
    """What the lines of a stretch say, in one partial or more, as they are asked for; raises FileError, LakeError."""
    sizes: list[int] = []
    try:
        for partial in partials(lake, stretch, chunk, sizes.append):
            yield ready(partial, copy_rows(partial), sum(sizes))
            sizes.clear()
    except FileError as error:
        error.size = sum(sizes)
        raise


def ready(partial: Partial, rows: dict[str, bytes] | Staged, size: int) -> Reduced:
    """A partial whose rows are made, or staged already."""
    reasons = Counter(rejection.reason for rejection in partial.rejections.values())
    return Reduced(rows, partial.chunks, partial.events, partial.empty, reasons, size, partial.newest_at)


def partials(
    lake: Lake, stretch: Stretch, chunk: int, read: Callable[[int], None] = lambda _: None
) -> Iterator[Partial]:
    """The partials of a stretch; `read` is told how many bytes came from the lake. Raises FileError, LakeError."""
    file, start, stop = stretch
    try:
        header = header_columns(read_text(lake, file)) if start else None
        yield from reduce_text(_blocks(lake, stretch, read), start, stop, header, chunk, FastFold)
    except HeaderError as error:
        raise FileError(f"{error}; write it again") from error


def _blocks(lake: Lake, stretch: Stretch, read: Callable[[int], None]) -> Iterator[bytes]:
    """The bytes of a stretch, the one before it, and those that its last line has behind it."""
    file, start, stop = stretch
    has_line = not start
    for block in read_text(lake, file, max(start - 1, 0), stop, read):
        has_line = has_line or b"\n" in block
        yield block
    # Where no line begins, one of any length may pass through, which is not read for every stretch of it.
    size = BLOCK_BYTES
    while has_line and stop is not None and stop < file.size:
        yield from read_text(lake, file, stop, stop + size, read)
        stop, size = stop + size, min(2 * size, CHUNK)
