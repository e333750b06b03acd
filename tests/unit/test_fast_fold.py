"""The hot loop returns the same partials as the simple fold, for any bytes."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from processor.reducers.definition import Definition
from processor.reducers.events import MAX_LINE_BYTES, HeaderError
from processor.reducers.fast_fold import FastFold
from processor.reducers.fold import Fold, read_header, reduce_text
from processor.reducers.partial import Partial
from tests.support import oracle, strategies
from tests.support.definitions import definitions, of_the_program
from tests.support.event_files import HEADER
from tests.support.odd_lines import LINE, attributes
from tests.support.partials import merged
from tests.support.zones import ZONES, zone_lakes


def reduced(
    blocks: list[bytes], chunk: int, entries: int, fold: type[Fold], definition: Definition
) -> list[Partial] | str:
    try:
        return list(reduce_text(blocks, definition, chunk_bytes=chunk, max_entries=entries, fold=fold))
    except HeaderError as error:
        return str(error)


def check(data: bytes, chunk: int = 2000, block: int = 700, definition: Definition = Definition()) -> None:  # noqa: B008
    blocks = [data[at : at + block] for at in range(0, len(data), block)]
    clear = reduced(blocks, chunk, 1 << 40, Fold, definition)
    assert reduced(blocks, chunk, 1 << 40, FastFold, definition) == clear
    if isinstance(clear, str):
        return
    often = reduced(blocks, chunk, 3, FastFold, definition)
    assert not isinstance(often, str)
    assert merged(*often) == merged(*clear)
    header = read_header([data], definition)
    for start in range(chunk, len(data), chunk):
        clear, fast = (
            list(reduce_text([data[start - 1 :]], definition, start, start + chunk, header, chunk, fold))
            for fold in (Fold, FastFold)
        )
        assert fast == clear


@given(strategies.files(), st.integers(1, 4000), st.integers(1, 2000))
def test_any_file(data: bytes, chunk: int, block: int) -> None:
    check(data, max(chunk, len(data) // 30 + 1), max(block, len(data) // 300 + 1))


@given(strategies.files(), st.data())
def test_any_file_with_bytes_changed(data: bytes, draw: st.DataObject) -> None:
    for _ in range(draw.draw(st.integers(1, 8))):
        at = draw.draw(st.integers(min(len(HEADER), len(data)), len(data)))
        new = draw.draw(
            st.binary(max_size=3) | st.sampled_from([b"\r", b"\r\n", b"\t", b"\0", b"\\u0000", b'"', b"\\"])
        )
        data = data[:at] + new + data[at + draw.draw(st.integers(0, 3)) :]
    check(data, len(data) // 10 + 1, len(data) // 20 + 1)


@given(strategies.files(), definitions())
def test_any_definition(data: bytes, definition: oracle.Definition) -> None:
    check(data, definition=of_the_program(definition))


@pytest.mark.parametrize("zone", ZONES)
@given(st.data())
@settings(max_examples=30)
def test_any_zone(zone: str, draw: st.DataObject) -> None:
    for data in draw.draw(zone_lakes(zone)).values():
        check(data, definition=Definition(timezone=zone))


def test_all_attributes_of_the_strategies() -> None:
    for text in attributes():
        check(HEADER + LINE + text + b"\n" + LINE + b'{"id":"a2"}\n', chunk=1 << 30, block=1 << 20)


@given(strategies.timestamps() | strategies.bad_timestamps() | st.text("0123456789-:.TZ +", max_size=35))
@example("2019-02-15 03:07:60.662 +0000")
@example("2019-02-30 03:07:00.662 +0000")
def test_any_timestamp_after_a_regular_one(stamp: str) -> None:
    line = b"\ts1\tapp_opened\tu1\t\n"
    check(HEADER + b"2019-02-15 03:07:03.662 +0000" + line + stamp.encode() + line)


def test_a_line_over_the_limit_and_its_neighbours() -> None:
    for size in range(MAX_LINE_BYTES - 2, MAX_LINE_BYTES + 4):
        for ending in (b"\n", b"\r\n"):
            short, fill = LINE + b"{}" + ending, size - len(LINE) - len(b'{"x":""}')
            long = LINE + b'{"x":"' + b"x" * fill + b'"}' + ending
            data = HEADER + short + long + short
            for block in (len(data), MAX_LINE_BYTES, 256 * 1024):
                check(data, 1 << 30, block)


@pytest.mark.parametrize("further", [1, 2])
@pytest.mark.parametrize("body", [b'{"id":"a"}', b"", rb"\N"])
@pytest.mark.parametrize("name", [b"article_viewed", b"app_opened"])
def test_bad_utf8_in_a_further_column_rejects_the_line(name: bytes, body: bytes, further: int) -> None:
    header = HEADER.replace(b"\n", b"\tMORE" * further + b"\n")
    line = LINE.replace(b"article_viewed", name) + body + b"\tmore" * (further - 1)
    data = header + line + b"\t\xc3\xa9\n" + line + b"\t\xc3\n" + line + b"\tmore\n"
    check(data)
    whole = merged(*reduce_text([data], Definition(), fold=FastFold))
    assert whole.events == 2
    assert [rejection.reason for rejection in whole.rejections.values()] == ["invalid_utf8"]


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_after_a_header(data: bytes, further: bool) -> None:
    header = HEADER.replace(b"\n", b"\tMORE\n") if further else HEADER
    check(header + LINE + b"{}" + (b"\tmore" if further else b"") + b"\n" + data)
