"""Files of any size: memory stays flat, and the result is right or an error is reported."""

import tracemalloc
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, repeat
from pathlib import Path

import pytest
from backports import zstd

from processor.file_reading import MAX_REJECTED_LINES, FileReading
from processor.lake.base import DEFAULT_LAKE_SETTINGS, FileError, LakeFile, LakeSettings
from processor.lake.open_lake import open_lake
from processor.lake.text import BLOCK_BYTES, read_text
from processor.reducers.fold import MAX_ENTRIES
from processor.reducers.partial import Partial
from processor.reducing.byte_ranges import ByteRange
from processor.reducing.in_process import reduce_byte_range
from state.files import FileVersion
from tests.support.event_files import COLUMNS, HEADER
from tests.support.fuzzed import REDUCERS, Memory, line
from tests.support.ingest import SilentTally

MIB = 1024 * 1024
GIB = 1024 * MIB
EVENT = line("app_opened", "{}")


def blocks(unit: bytes, size: int) -> Iterator[bytes]:
    """Yield at least `size` bytes of text, one unit repeated, without holding them."""
    block = unit * (BLOCK_BYTES // len(unit))
    return repeat(block, size // len(block) + 1)


class Stream:
    """A stream of text that is made while it is read."""

    def __init__(self, text: Iterable[bytes]) -> None:
        self._text, self._held, self.close = iter(text), b"", lambda: None

    def read(self, size: int = -1, /) -> bytes:
        held = self._held or next(self._text, b"")
        self._held = held[size:]
        return held[:size]


class Made(Memory):
    """A lake of one file that is made while it is read."""

    def __init__(self, text: Callable[[], Iterable[bytes]], settings: LakeSettings = DEFAULT_LAKE_SETTINGS) -> None:
        self._text, self.settings = text, settings

    def open(self, _: LakeFile, start: int = 0, stop: int | None = None) -> Stream:  # type: ignore[override]
        del start, stop
        return Stream(self._text())


def version(
    make: Callable[[], Iterable[bytes]],
    key: str = "a.tsv",
    most: int = 64 * MIB,
    settings: LakeSettings = DEFAULT_LAKE_SETTINGS,
) -> FileVersion:
    """Return the version of a file that is made while it is read; fail if that takes `most` bytes of memory or more."""
    tracemalloc.start()
    try:
        file = LakeFile(key, "1-1", 1 << 50)
        reading = FileReading(file, reduce_byte_range(Made(make, settings), ByteRange(file), 32 * MIB), SilentTally())
        for _ in reading:
            pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < most
    return reading.version()


def test_a_line_of_10_gb_is_one_rejected_line() -> None:
    found = version(lambda: chain([HEADER, EVENT, b"\n"], blocks(b"x", 10 * GIB), [b"\n", EVENT, b"\n"]))
    assert (found.lines, found.events, found.rejected) == (3, 2, 1)


def test_a_file_of_one_line_of_10_gb_has_no_header() -> None:
    with pytest.raises(FileError, match="longer than 1 MiB"):
        version(lambda: blocks(b"x", 10 * GIB))


def test_empty_lines_take_no_memory() -> None:
    found = version(lambda: chain([HEADER], blocks(b"\n", BLOCK_BYTES), [EVENT]), most=8 * MIB)
    assert found.lines == found.empty + 1
    assert found.empty >= BLOCK_BYTES


@pytest.mark.slow
@pytest.mark.parametrize("reduce", REDUCERS.values(), ids=REDUCERS)
def test_no_partial_of_short_lines_grows_past_its_bound(reduce: Callable[..., Iterable[Partial]]) -> None:
    def text() -> Iterator[bytes]:
        yield HEADER
        for user in range(3 * MAX_ENTRIES):
            yield b"2019-02-15 03:07:03\ts\ta\t%x\t\n" % user

    sizes = [len(partial) for partial in reduce(text())]
    assert sum(sizes) == 3 * MAX_ENTRIES
    assert max(sizes) < 1.1 * MAX_ENTRIES


@pytest.mark.slow
def test_at_most_a_million_rejected_lines_of_a_file_are_written() -> None:
    lines = 2_500_000
    file, made = LakeFile("a.tsv", "1-1", 1 << 50), Made(lambda: [HEADER, *repeat(b"x\n" * 1000, lines // 1000)])
    reading = FileReading(file, reduce_byte_range(made, ByteRange(file), 32 * MIB), SilentTally())
    written = 0

    def write() -> None:
        nonlocal written
        for rows in reading:
            assert rows.tables is not None
            written += rows.tables["rejected_lines"].count(b"\n")

    with pytest.raises(FileError, match=f"{lines} of its {lines} lines were rejected"):
        write()
    assert 0.5 * MAX_REJECTED_LINES < written <= MAX_REJECTED_LINES


@pytest.mark.parametrize("key", ["bomb.tsv.gz", "bomb.tsv.zst"])
def test_a_file_that_holds_more_text_than_the_limit_fails(key: str) -> None:
    limit = LakeSettings(max_text_gib=1)
    with pytest.raises(FileError, match="more than 1 GiB of text; write it as several files, or increase MAX_TEXT_GIB"):
        version(lambda: packed(key, chain([HEADER, EVENT, b"\n"], blocks(b"x", 2 * GIB))), key, settings=limit)


def packed(key: str, text: Iterable[bytes]) -> Iterator[bytes]:
    """Yield a text, compressed as its key says, while it is made."""
    pack = zstd.ZstdCompressor(level=1) if key.endswith(".zst") else zlib.compressobj(1, wbits=31)
    yield from filter(None, map(pack.compress, text))
    yield pack.flush()


@pytest.mark.parametrize("key", ["a.tsv", "a.tsv.zst"])
def test_a_file_that_grows_while_it_is_read_fails(key: str, tmp_path: Path) -> None:
    path = tmp_path / key
    data = b"\n".join([COLUMNS, *[EVENT] * 20_000])
    path.write_bytes(zstd.compress(data) if key.endswith("zst") else data)
    (file,) = open_lake(str(tmp_path)).list_files()
    reading = read_text(open_lake(str(tmp_path)), file)
    next(reading)
    with path.open("ab") as more:
        more.write(b"\n" + EVENT)
    with pytest.raises(FileError, match="changed while it was being read"):
        list(reading)
