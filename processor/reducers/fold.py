"""Folds lines into partials, one by one: the simple fold, which the hot loop must equal."""

import hashlib
from collections.abc import Iterable, Iterator
from itertools import chain

from processor.reducers.definition import Definition
from processor.reducers.events import Columns, Event, cut_into_lines, parse, parse_header, strip_ending
from processor.reducers.partial import Chunk, Partial

CHUNK_BYTES = 32 * 1024 * 1024
# The most that a partial holds. A file with few entries has several partials, too, as their chunks are limited.
MAX_ENTRIES = 200_000
MAX_CHUNKS = 8


class Fold:
    """Folds lines into a partial, one by one. It is written to be read, and defines the result of every fold."""

    def __init__(self, header: Columns, begin: int) -> None:
        """Begin without lines, at the chunk that begins at byte `begin` of a file with this header."""
        self._header, self._begin = header, begin
        self._partial = Partial()

    def add(self, lines: bytes, number: int) -> int:
        """Fold whole lines and return how many they are; `number` is the first one's, in its chunk from 0."""
        rows = lines.split(b"\n")
        if not rows[-1]:
            rows.pop()
        for at, row in enumerate(rows, number):
            self._add_line(row.removesuffix(b"\r"), at)
        return len(rows)

    def _add_line(self, row: bytes, number: int) -> None:
        if not row:
            self._partial.empty += 1
            return
        parsed = parse(row, self._header)
        if isinstance(parsed, Event):
            self._partial.add(parsed, self._header.definition)
        else:
            self._partial.rejections[self._begin, number] = parsed

    def end_chunk(self, chunk: Chunk) -> None:
        """Record a chunk that ended."""
        self._partial.chunks[self._begin] = chunk

    def start_chunk(self, begin: int) -> None:
        """Count the next lines as those of the chunk that begins at byte `begin` of the file."""
        self._begin = begin

    @property
    def chunks(self) -> int:
        """The number of chunks that ended."""
        return len(self._partial.chunks)

    def __len__(self) -> int:
        """The number of entries, which memory grows with."""
        return len(self._partial)

    def partial(self) -> Partial:
        """Return the partial of the lines."""
        return self._partial


def read_header(text: Iterable[bytes], definition: Definition) -> Columns:
    """Return the columns of the file whose text begins with these blocks; raises `events.HeaderError`."""
    return parse_header(strip_ending(_first_line(*next(cut_into_lines(text), (0, b"")))[1]), definition)


def reduce_text(
    text: Iterable[bytes],
    definition: Definition,
    start: int = 0,
    stop: int | None = None,
    header: Columns | None = None,
    chunk_bytes: int = CHUNK_BYTES,
    fold: type[Fold] = Fold,
    max_entries: int = MAX_ENTRIES,
) -> Iterator[Partial]:
    """Yield one or more partials of the lines that begin within a range of a file's bytes; raises `events.HeaderError`.

    How the lines are cut into ranges, chunks and partials, and which fold is used, does not change what the partials
    merge to.

    text: blocks of the file. With start 0, from its beginning; with a later start, from one byte before it, which shows
    whether a line begins at `start`.
    definition: what the lines mean.
    start: the first byte, a multiple of `chunk_bytes`. stop: the byte after the last one; None for the file's end.
    header: the file's columns under that definition; needed with a later start.
    chunk_bytes: the size of a chunk.
    fold: how lines are folded; both classes give the same partials.
    max_entries: the number of entries at which a partial ends; it also ends at MAX_CHUNKS chunks.
    """
    digest, begin, number, offset = hashlib.sha256(), start, 0, max(start - 1, 0)
    source = cut_into_lines(text)
    if start or header is None:
        length, lines = next(source, (0, b""))
        line_length, line = _first_line(length, lines)
        if header is None:
            header = parse_header(strip_ending(line), definition)
        if not start:
            digest.update(line)
            number = 1
        offset += line_length
        source = chain([(length - line_length, lines[line_length:])], source)
    folded = fold(header, begin)
    for read_length, read_lines in source:
        length, lines = read_length, read_lines
        while length and (stop is None or offset < stop):
            if offset >= begin + chunk_bytes:
                folded.end_chunk(Chunk(number, digest.digest()))
                begin = offset - offset % chunk_bytes
                digest, number = hashlib.sha256(), 0
                if folded.chunks == MAX_CHUNKS:
                    yield folded.partial()
                    folded = fold(header, begin)
                folded.start_chunk(begin)
            end = begin + chunk_bytes if stop is None else min(begin + chunk_bytes, stop)
            within = _length_within(length, lines, end - offset)
            added = lines[:within]
            digest.update(added)
            number += folded.add(added, number)
            offset += within
            length, lines = length - within, lines[within:]
        if stop is not None and offset >= stop:
            break
        if len(folded) >= max_entries:
            yield folded.partial()
            folded = fold(header, begin)
    folded.end_chunk(Chunk(number, digest.digest()))
    yield folded.partial()


def _first_line(length: int, lines: bytes) -> tuple[int, bytes]:
    """Return the first of some lines, after its true length."""
    within = _length_within(length, lines, 1)
    return within, lines[:within]


def _length_within(length: int, lines: bytes, size: int) -> int:
    """Return the length of those lines that begin in the first `size` bytes; `length` is the true one of all."""
    if size >= length or length > len(lines):
        return length
    return lines.find(b"\n", size - 1) + 1 or length
