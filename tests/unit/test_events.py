"""Lines, timestamps and attributes are parsed as the oracle parses them."""

from datetime import datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from processor.reducers.definition import Definition
from processor.reducers.events import (
    Event,
    HeaderError,
    Rejection,
    cut_into_lines,
    parse,
    parse_header,
    parse_object,
    parse_timestamp,
    strip_ending,
)
from tests.support import oracle, strategies
from tests.support.definitions import definitions, of_the_program
from tests.support.event_files import COLUMNS
from tests.support.odd_lines import LINE, attributes


def as_the_oracle_says(line: bytes, definition: oracle.Definition = oracle.ASSIGNMENT) -> Event | Rejection:
    try:
        event = oracle.parse(line, list(oracle.REQUIRED), definition)
    except oracle.LineError as error:
        return Rejection(str(error), line[:1000])
    at = (event.when - datetime(1970, 1, 1)) // timedelta(microseconds=1)
    return Event(at, event.user, event.session, event.name, event.article, event.title, event.category)


@given(strategies.good_lines() | strategies.bad_lines())
def test_a_line_means_what_the_oracle_says(line: bytes) -> None:
    if line:
        assert parse(line, parse_header(COLUMNS, Definition())) == as_the_oracle_says(line)


@given(strategies.good_lines() | strategies.bad_lines(), definitions())
def test_a_line_means_what_the_definition_says(line: bytes, definition: oracle.Definition) -> None:
    if line:
        found = parse(line, parse_header(COLUMNS, of_the_program(definition)))
        assert found == as_the_oracle_says(line, definition)


def test_a_time_whose_local_day_is_in_no_year_is_none() -> None:
    for time, zone in (("0001-01-01 04:00:00", "America/New_York"), ("9999-12-31 18:15:00", "Asia/Kathmandu")):
        line = f"{time}\ts\tapp_opened\tu\t".encode()
        for definition in (oracle.Definition(timezone=zone), oracle.Definition()):
            found = parse(line, parse_header(COLUMNS, of_the_program(definition)))
            assert found == as_the_oracle_says(line, definition)
            assert isinstance(found, Rejection if definition.timezone == zone else Event)


@given(strategies.good_lines(), st.data())
def test_a_line_with_bytes_changed_means_what_the_oracle_says(line: bytes, data: st.DataObject) -> None:
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(line)))
        line = line[:at] + data.draw(st.binary(max_size=3)) + line[at + data.draw(st.integers(0, 3)) :]
    line = line.replace(b"\n", b" ")
    if line:
        assert parse(line, parse_header(COLUMNS, Definition())) == as_the_oracle_says(line)


@pytest.mark.parametrize("name", [oracle.CLICK, *oracle.DISPLAYS])
@pytest.mark.parametrize("null", ["", r"\N"])
def test_a_counted_event_with_null_attributes_is_an_event_without_an_article(name: str, null: str) -> None:
    line = f"2019-02-15 03:07:03\ts1\t{name}\tu1\t{null}".encode()
    at = parse_timestamp("2019-02-15 03:07:03")
    assert at is not None
    assert parse(line, parse_header(COLUMNS, Definition())) == Event(at, "u1", "s1", name) == as_the_oracle_says(line)


@given(strategies.timestamps() | strategies.bad_timestamps() | st.text("0123456789-:.TZ +", max_size=35))
def test_a_timestamp_means_what_the_oracle_says(text: str) -> None:
    try:
        wanted = (oracle.utc(text) - datetime(1970, 1, 1)) // timedelta(microseconds=1)
    except oracle.LineError:
        assert parse_timestamp(text) is None
    else:
        assert parse_timestamp(text) == wanted


def test_every_pool_of_the_strategies_means_what_the_oracle_says() -> None:
    for body in (*attributes(), *(text.encode() for text in strategies.UNWANTED_TEXT)):
        assert parse(LINE + body, parse_header(COLUMNS, Definition())) == as_the_oracle_says(LINE + body), body[:99]
    for time in strategies.BAD_TIMESTAMPS + strategies.SPECIAL_TIMESTAMPS:
        line = time.encode() + b"\ts\tapp_opened\tu\t"
        assert parse(line, parse_header(COLUMNS, Definition())) == as_the_oracle_says(line), time


@pytest.mark.parametrize("text", ["[" * 300_000 + "]" * 300_000, '{"a":' * 300_000 + "1" + "}" * 300_000])
def test_json_of_any_depth_is_read(text: str) -> None:
    assert parse_object(f'{{"id": "a", "deep": {text}}}') == {"id": "a", "deep": None}


@pytest.mark.parametrize(
    "text", ['{"a":1e999e5}', '{"a":1e999.5}', '{"a":01e999}', '{"a":1e999', '"\\"' * 200_000, "[" * 500_000]
)
def test_text_that_is_not_json_is_not_parsed_however_long_or_deep(text: str) -> None:
    assert parse_object(text) is None


@given(st.lists(st.binary(max_size=40)))
@example([b"a\r\nb\n\n", b"c"])
def test_whole_lines_are_cut_from_blocks(blocks: list[bytes]) -> None:
    text = b"".join(blocks)
    found = list(cut_into_lines(blocks))
    assert b"".join(lines for _, lines in found) == text
    assert all(length == len(lines) > 0 for length, lines in found)
    assert all(lines.endswith(b"\n") for _, lines in found[:-1])


def test_a_line_over_the_limit_is_cut_and_its_length_is_true() -> None:
    blocks = [b"x" * 700_000] * 5 + [b"\nnext"]
    (length, line), following = cut_into_lines(blocks)
    assert length == 3_500_001
    assert oracle.MAX_LINE_BYTES < len(strip_ending(line)) <= oracle.MAX_LINE_BYTES + 2
    assert following == (4, b"next")


@pytest.mark.parametrize("header", strategies.WRONG_HEADERS)
def test_a_wrong_header_is_reported(header: bytes) -> None:
    with pytest.raises(oracle.Unreadable):
        oracle.read_file(header, "a.tsv")
    with pytest.raises(HeaderError):
        parse_header(strip_ending(header.partition(b"\n")[0]), Definition())


@pytest.mark.parametrize("over", [0, 1, 2])
def test_a_line_and_a_header_may_be_as_long_as_the_limit_but_not_longer(over: int) -> None:
    size = oracle.MAX_LINE_BYTES + over
    line = b"2019-02-15 03:07:03\ts\tapp_opened\tu\t"
    line += b" " * (size - len(line))
    assert parse(line, parse_header(COLUMNS, Definition())) == as_the_oracle_says(line)
    assert isinstance(parse(line, parse_header(COLUMNS, Definition())), Rejection if over else Event)
    long = COLUMNS + b"\t" + b"x" * (size - len(COLUMNS) - 1)
    if over:
        with pytest.raises(HeaderError, match="longer than 1 MiB"):
            parse_header(long, Definition())
    else:
        assert parse_header(long, Definition()).width == 6
