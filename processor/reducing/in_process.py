"""Reduces byte ranges in this process: what every worker does, and a reducer without workers."""

from collections.abc import Callable, Iterator, Sequence
from typing import Self

from processor.lake.base import FileError, Files, LakeFile
from processor.lake.read_ahead import ReadAhead
from processor.lake.text import BLOCK_BYTES, read_text
from processor.reducers.events import HeaderError, MissingColumnError
from processor.reducers.fast_fold import FastFold
from processor.reducers.fold import CHUNK_BYTES, read_header, reduce_text
from processor.reducers.partial import Partial
from processor.reducing.byte_ranges import ByteRange
from processor.reducing.copy_rows import make_copy_rows
from processor.reducing.reducer import ReducedPartial
from state.partial_rows import RowsInMemory


class InProcessReducer:
    """Reduces each file when it is asked for, in this process; only the lake is read ahead."""

    def __init__(self, lake: Files, files: Sequence[LakeFile], chunk_bytes: int = CHUNK_BYTES) -> None:
        """Start to read ahead.

        lake: where the files are. files: in the order in which `results` will get them. chunk_bytes: the size of a
        chunk.
        """
        self._lake, self._chunk_bytes = ReadAhead(lake), chunk_bytes
        self._lake.expect(files)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._lake.close()

    def results(self, file: LakeFile) -> Iterator[ReducedPartial]:
        """Yield the partials of a file; raises FileError and LakeError."""
        return reduce_byte_range(self._lake, ByteRange(file), self._chunk_bytes)


def reduce_byte_range(lake: Files, byte_range: ByteRange, chunk_bytes: int) -> Iterator[ReducedPartial]:
    """Yield the lines of a byte range as one partial or more, each when the caller takes it.

    lake: where the file is. byte_range: which lines. chunk_bytes: the size of a chunk.
    Raises LakeError, and FileError with the bytes that were read since the last partial.
    """
    sizes: list[int] = []
    try:
        for partial in fold_byte_range(lake, byte_range, chunk_bytes, sizes.append):
            rows = RowsInMemory(make_copy_rows(partial, lake.settings.definition.timezone))
            yield ReducedPartial.of(partial, rows, sum(sizes))
            sizes.clear()
    except FileError as error:
        error.size = sum(sizes)
        raise


def fold_byte_range(
    lake: Files, byte_range: ByteRange, chunk_bytes: int, count_bytes: Callable[[int], None] = lambda _: None
) -> Iterator[Partial]:
    """Yield the partials of a byte range; raises FileError and LakeError.

    lake: where the file is. byte_range: which lines. chunk_bytes: the size of a chunk.
    count_bytes: called with the number of bytes of each read from the lake.
    """
    file, start, stop = byte_range
    definition = lake.settings.definition
    try:
        header = read_header(read_text(lake, file), definition) if start else None
        blocks = _read_blocks(lake, byte_range, count_bytes)
        yield from reduce_text(blocks, definition, start, stop, header, chunk_bytes, FastFold)
    except MissingColumnError as error:
        raise FileError(f"{error}; write it again, or name its columns in lake.toml") from error
    except HeaderError as error:
        raise FileError(f"{error}; write it again") from error


def _read_blocks(lake: Files, byte_range: ByteRange, count_bytes: Callable[[int], None]) -> Iterator[bytes]:
    """Yield the byte before a range, the bytes of the range, and those after it that end its last line."""
    file, start, stop = byte_range
    has_line = not start
    for block in read_text(lake, file, max(start - 1, 0), stop, count_bytes):
        has_line = has_line or b"\n" in block
        yield block
    # A long line may pass through many ranges; only the one in which it begins reads it to its end.
    size = BLOCK_BYTES
    while has_line and stop is not None and stop < file.size:
        yield from read_text(lake, file, stop, stop + size, count_bytes)
        stop, size = stop + size, min(2 * size, CHUNK_BYTES)
