"""Lines fold into partials, one by one: the definition of what a partial says."""

import hashlib
from collections.abc import Iterable, Iterator
from itertools import chain

from processor.reducers.events import Columns, Event, columns, content, parse, pieces
from processor.reducers.partial import Chunk, Partial

CHUNK = 32 * 1024 * 1024
ENTRIES = 200_000
CHUNKS = 8  # of how many a partial tells at most, so that a file of few keys comes bit by bit, too


class Fold:
    """Folds lines into a partial, one by one: the clear path, which defines what a partial says.

    `begin` is where the chunk begins in the file whose lines come next.
    """

    def __init__(self, header: Columns, begin: int) -> None:
        """Nothing yet of a chunk that begins there, in a file whose first line says `header`."""
        self._header, self.begin = header, begin
        self._partial = Partial()

    def add(self, piece: bytes, number: int) -> int:
        """Take in whole lines, the first of which has that number in its chunk; how many they are."""
        rows = piece.split(b"\n")
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
            self._partial.add(parsed)
        else:
            self._partial.rejections[self.begin, number] = parsed

    def end_chunk(self, chunk: Chunk) -> None:
        """Take note of what a chunk held; `begin` is then set to where the next one begins."""
        self._partial.chunks[self.begin] = chunk

    @property
    def chunks(self) -> int:
        """How many chunks have ended."""
        return len(self._partial.chunks)

    def __len__(self) -> int:
        """How many entries it holds: what its memory grows with."""
        return len(self._partial)

    def partial(self) -> Partial:
        """What the lines say."""
        return self._partial


def header_columns(text: Iterable[bytes]) -> Columns:
    """The columns of the file whose text begins so; raises `events.HeaderError`."""
    return columns(content(_first_line(*next(pieces(text), (0, b"")))[1]))


def reduce_text(
    text: Iterable[bytes],
    start: int = 0,
    stop: int | None = None,
    header: Columns | None = None,
    chunk: int = CHUNK,
    fold: type[Fold] = Fold,
    entries: int = ENTRIES,
) -> Iterator[Partial]:
    """The partials, one or more, of the lines that begin in the bytes [start, stop) of a file.

    With start 0, `text` is the file's text and its first line the header; raises `events.HeaderError`. With a later
    start, a multiple of `chunk`, `text` begins one byte before it, which tells whether a line begins there, and
    `header` says what the file's first line does. A partial is cut off where it holds so many entries or CHUNKS chunks.
    Ranges, chunks, entries and the way to fold change how partials are cut, not their sum.
    """
    digest, begin, number, offset = hashlib.sha256(), start, 0, max(start - 1, 0)
    source = pieces(text)
    if start or header is None:
        length, piece = next(source, (0, b""))
        line_length, line = _first_line(length, piece)
        if header is None:
            header = columns(content(line))
        if not start:
            digest.update(line)
            number = 1
        offset += line_length
        source = chain([(length - line_length, piece[line_length:])], source)
    folded = fold(header, begin)
    for whole, rest in source:
        length, piece = whole, rest
        while length and (stop is None or offset < stop):
            if offset >= begin + chunk:
                folded.end_chunk(Chunk(number, digest.digest()))
                begin = offset - offset % chunk
                digest, number = hashlib.sha256(), 0
                if folded.chunks == CHUNKS:
                    yield folded.partial()
                    folded = fold(header, begin)
                folded.begin = begin
            end = begin + chunk if stop is None else min(begin + chunk, stop)
            within = _within(length, piece, end - offset)
            lines = piece[:within]
            digest.update(lines)
            number += folded.add(lines, number)
            offset += within
            length, piece = length - within, piece[within:]
        if stop is not None and offset >= stop:
            break
        if len(folded) >= entries:
            yield folded.partial()
            folded = fold(header, begin)
    folded.end_chunk(Chunk(number, digest.digest()))
    yield folded.partial()


def _first_line(length: int, piece: bytes) -> tuple[int, bytes]:
    """The first line of a piece, with its true length."""
    within = _within(length, piece, 1)
    return within, piece[:within]


def _within(length: int, piece: bytes, size: int) -> int:
    """The length of those lines of a piece that begin in its first bytes."""
    if size >= length or length > len(piece):
        return length
    return piece.find(b"\n", size - 1) + 1 or length
