"""A file is read once, as its rows are taken; its version is known after the last of them, and not before."""

import gc
from collections.abc import Callable, Iterator
from itertools import chain, islice

import pytest

from processor.file_reading import MAX_REJECTED_LINES, FileReading
from processor.lake.base import FileError, LakeFile
from processor.reducing.byte_ranges import cut_into_byte_ranges
from processor.reducing.in_process import reduce_byte_range
from processor.reducing.reducer import ReducedPartial
from tests.support.event_files import events
from tests.support.fuzzed import Memory
from tests.support.ingest import SilentTally

TEXT = events(1, 20, "title")


def begin(
    text: bytes = TEXT, wrap: Callable[[Iterator[ReducedPartial]], Iterator[ReducedPartial]] = iter
) -> FileReading:
    """Begin to read a file in several partials."""
    file, lake = LakeFile("a.tsv", "1-1", len(text)), Memory(text)
    results = (reduce_byte_range(lake, byte_range, 500) for byte_range in cut_into_byte_ranges(file, 500))
    return FileReading(file, wrap(chain.from_iterable(results)), SilentTally())


def test_the_limit_of_rejected_lines() -> None:
    assert MAX_REJECTED_LINES == 1_000_000


def test_the_version_is_refused_until_the_last_row_is_taken() -> None:
    reading = begin()
    rows = iter(reading)
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"the version of a\.tsv is not known"):
            reading.version()
        next(rows)
    assert list(rows)
    assert reading.version().events == 20


def test_a_file_that_fails_has_no_version() -> None:
    reading = begin(TEXT + b"bad\n" * 21)
    with pytest.raises(FileError, match="21 of its 41 lines were rejected"):
        list(reading)
    with pytest.raises(RuntimeError):
        reading.version()


def test_a_reading_that_is_given_up_closes_its_file_at_once() -> None:
    closed = False

    def results(reading: Iterator[ReducedPartial]) -> Iterator[ReducedPartial]:
        nonlocal closed
        try:
            yield from reading
        finally:
            closed = True

    gc.disable()
    try:
        reading = begin(wrap=results)
        next(reading.hold())
        del reading
        assert closed
    finally:
        gc.enable()


def test_held_rows_come_before_those_that_are_still_to_be_read() -> None:
    whole = begin()
    rows = list(whole)
    for held in range(1, len(rows)):
        reading = begin()
        assert list(islice(reading.hold(), held)) == rows[:held]
        assert not reading.is_complete
        assert list(reading) == rows
        assert reading.version() == whole.version()


def test_rows_that_are_all_held_may_be_taken_again() -> None:
    reading = begin()
    assert len(list(reading.hold())) > 1
    assert reading.is_complete
    assert list(reading) == list(reading) == list(begin())
    assert reading.version().events == 20
