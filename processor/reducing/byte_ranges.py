"""Byte ranges: how files are cut into them, and how they are grouped into tasks."""

from collections.abc import Callable, Iterable, Iterator
from math import ceil
from typing import NamedTuple, TypeVar

from processor.lake.base import LakeFile
from processor.lake.text import is_compressed

MAX_TASK_FILES = 100
MAX_RANGE_CHUNKS = 8

T = TypeVar("T")


class ByteRange(NamedTuple):
    """The lines of a file that begin in its bytes [start, stop).

    Both are multiples of the chunk; without `stop`, the range ends with the file.
    """

    file: LakeFile
    start: int = 0
    stop: int | None = None

    @property
    def size(self) -> int:
        """Its bytes, as they are stored."""
        return (self.file.size if self.stop is None else self.stop) - self.start


def cut_into_byte_ranges(file: LakeFile, size: int) -> list[ByteRange]:
    """Return the byte ranges of a file, of `size` bytes each; a compressed file stays whole.

    A compressed file can only be read from its beginning.
    """
    if is_compressed(file):
        return [ByteRange(file)]
    starts = range(0, max(file.size, 1), size)
    return [ByteRange(file, start, None if start == starts[-1] else start + size) for start in starts]


def choose_range_size(file: LakeFile, chunk_bytes: int, processes: float) -> int:
    """Return the size in bytes of a file's byte ranges, a multiple of the chunk.

    Large ranges have fewer partials to merge, but those of more than MAX_RANGE_CHUNKS chunks would come too late to be
    committed while others are reduced.

    file: as it was listed. chunk_bytes: the size of a chunk. processes: how many processes the file should keep busy; a
    fraction for a small file.
    """
    chunks = ceil(file.size / chunk_bytes) or 1
    count = max(ceil(chunks / MAX_RANGE_CHUNKS), min(chunks, ceil(processes)))
    return ceil(chunks / count) * chunk_bytes


def group_into_tasks(items: Iterable[T], byte_range: Callable[[T], ByteRange], max_bytes: int) -> Iterator[list[T]]:
    """Yield tasks in the order of the items: a large byte range alone, or up to MAX_TASK_FILES small ones together.

    byte_range: returns the byte range of an item.
    max_bytes: the most bytes of a task, unless one byte range alone is larger.
    """
    task: list[T] = []
    task_bytes = 0
    for item in items:
        size = byte_range(item).size
        if task and (task_bytes + size > max_bytes or len(task) == MAX_TASK_FILES):
            yield task
            task, task_bytes = [], 0
        task.append(item)
        task_bytes += size
    if task:
        yield task
