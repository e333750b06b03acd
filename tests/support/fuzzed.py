"""Checks one input of the fuzz target: the program and the oracle must read it alike, without an exception.

The first byte decides what the others are: a file as it is stored, a line, a timestamp, or attributes.
"""

import functools
import gzip
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from io import BytesIO
from itertools import chain

from backports import zstd

from processor.file_reading import FileReading
from processor.formats import make_printable
from processor.lake.base import DEFAULT_LAKE_SETTINGS, FileError, LakeFile
from processor.lake.text import is_compressed, read_text
from processor.reducers.definition import Definition
from processor.reducers.events import Event, HeaderError, Rejection, parse, parse_header, parse_object, parse_timestamp
from processor.reducers.fast_fold import FastFold
from processor.reducers.fold import reduce_text
from processor.reducers.partial import Partial
from processor.reducing.byte_ranges import cut_into_byte_ranges
from processor.reducing.in_process import reduce_byte_range
from tests.support import oracle, strategies
from tests.support.event_files import COLUMNS
from tests.support.ingest import SilentTally
from tests.support.partials import merged, numbered, rejected, without_chunk_starts

EPOCH = datetime(1970, 1, 1)
MICROSECOND = timedelta(microseconds=1)
LONG = b"\x0e"  # stands for a text nearly as long as the limit of an id
VERY_LONG = b"\x0f"  # at the beginning, stands for a text nearly as long as the limit of a line
BLOCKS = (1, 7, 64, 4096)
CHUNKS = (1, 20, 200, 100_000)

# Every way to reduce a text; each result must equal the oracle's.
REDUCERS: dict[str, Callable[..., Iterable[Partial]]] = {
    "clear": functools.partial(reduce_text, definition=Definition()),
    "fast": functools.partial(reduce_text, definition=Definition(), fold=FastFold),
}


class Memory:
    """The files of a lake that holds one."""

    url, settings, is_remote = "memory", DEFAULT_LAKE_SETTINGS, False

    def __init__(self, data: bytes) -> None:
        self._data = data

    def open(self, _: LakeFile, start: int = 0, stop: int | None = None) -> BytesIO:
        return BytesIO(self._data[start:stop])


def check(data: bytes) -> None:
    """Fail unless the program and the oracle read an input alike."""
    CHECKS[data[0] % len(CHECKS)](data[1:]) if data else None


def check_timestamp(data: bytes) -> None:
    """Fail unless both parse a text to the same time, or refuse it."""
    found = parse_timestamp(decoded(data))
    try:
        assert found == (oracle.utc(decoded(data)) - EPOCH) // MICROSECOND
    except oracle.LineError:
        assert found is None


def check_attributes(data: bytes) -> None:
    """Fail unless both parse a text to the same JSON object, or refuse it."""
    found = parse_object(decoded(data))
    try:
        wanted = oracle.json_object(decoded(data))
    except ValueError:
        assert found is None
    else:
        assert found is not None
        assert found.keys() == wanted.keys()
        assert all(found[key] == value for key, value in wanted.items() if isinstance(value, str))


def check_line(data: bytes) -> None:
    """Fail unless both parse a line to the same event, or reject it for the same reason."""
    one = lengthened(data).replace(b"\n", b"")
    if one:
        found = parse(one, parse_header(COLUMNS, Definition()))
        assert found == as_the_oracle_says(one)
        if isinstance(found, Rejection):
            assert make_printable(found.raw.decode(errors="replace")).isprintable()


def as_the_oracle_says(data: bytes) -> Event | Rejection:
    """Return the oracle's result for a line as an object of the program."""
    try:
        return of_the_program(oracle.parse(data, list(oracle.REQUIRED)))
    except oracle.LineError as error:
        return Rejection(str(error), data[: oracle.RAW_BYTES])


def of_the_program(event: oracle.Event) -> Event:
    """Return the oracle's event as an event of the program."""
    at = (event.when - EPOCH) // MICROSECOND
    return Event(at, event.user, event.session, event.name, event.article, event.title, event.category)


def check_file(data: bytes) -> None:
    """Fail unless both read the same events from a file, however it is cut, or neither can read it.

    Its first two bytes decide how it is cut and how it is stored.
    """
    if len(data) < 2:
        return
    block, chunk = BLOCKS[data[0] % 4], CHUNKS[data[0] // 4 % 4]
    stored, file = storage(data[1], lengthened(data[2:]))
    lake = Memory(stored)
    try:
        wanted: oracle.FileReading | None = oracle.read_file(stored, file.key)
    except oracle.Unreadable:
        wanted = None
    try:
        long = max(chunk, len(stored) // 20)
        results = chain.from_iterable(reduce_byte_range(lake, one, long) for one in cut_into_byte_ranges(file, long))
        reading = FileReading(file, results, SilentTally())
        list(reading)
    except FileError:
        assert wanted is None
    else:
        assert wanted is not None
        version = reading.version()
        assert (version.events, version.rejected) == (len(wanted.events), len(wanted.rejected))
        assert version.lines == version.events + version.rejected + wanted.empty
        assert version.newest_at == oracle.newest_at(wanted)
        assert json.loads(version.event_days) == oracle.event_days(wanted)
        assert version.reasons == Counter(bad.reason for bad in wanted.rejected)
    try:
        plain = b"".join(read_text(lake, file))
    except FileError:
        return
    try:
        expected = rejected(plain)
    except oracle.Unreadable:
        expected = None
    block = max(block, len(plain) // 1000)
    for name, reduce in REDUCERS.items():
        blocks = (plain[at : at + block] for at in range(0, len(plain), block))
        try:
            whole = merged(*reduce(blocks, chunk_bytes=chunk))
        except HeaderError:
            assert expected is None, name
            continue
        assert expected is not None, name
        assert numbered(whole) == [(bad.line_number, bad.reason) for bad in expected], name
        assert {one.raw for one in whole.rejections.values()} == {bad.raw for bad in expected}, name
        if wanted is not None:
            total = Partial()
            for event in wanted.events:
                total.add(of_the_program(event), Definition())
            total.empty = wanted.empty
            assert without_chunk_starts(whole)[0] == without_chunk_starts(total)[0], name
            assert whole.event_days == total.event_days, name
            assert (whole.events, whole.empty) == (total.events, total.empty), name
            assert whole.newest_at == total.newest_at == oracle.newest_at(wanted), name


def storage(how: int, data: bytes) -> tuple[bytes, LakeFile]:
    """Return the bytes of a file and the file: plain, compressed, damaged, or compressed in the input itself."""
    suffix = (".tsv", ".tsv.gz", ".tsv.zst")[how % 3]
    if suffix != ".tsv" and how // 3 % 4:
        data = gzip.compress(data, 1, mtime=0) if suffix == ".tsv.gz" else zstd.compress(data, 1)
        if how // 3 % 4 == 3:
            at = how // 12 * len(data) // 22
            data = data[:at] + bytes([how]) + data[at + 1 :]
    file = LakeFile(f"a{suffix}", f"1-{len(data)}", len(data))
    assert is_compressed(file) == (suffix != ".tsv")
    return data, file


def lengthened(data: bytes) -> bytes:
    """Return the bytes with the marks of long texts replaced by these texts."""
    data = data.replace(VERY_LONG, b" " * (oracle.MAX_LINE_BYTES - 60), 1)
    return data.replace(LONG, b"x" * 333)


def decoded(data: bytes) -> str:
    """Return bytes as text, for functions that take text: a line is decoded before its fields are parsed."""
    return lengthened(data).decode(errors="replace")


CHECKS = (check_file, check_line, check_timestamp, check_attributes)


def seeds() -> Iterator[bytes]:
    """Return the first inputs, from the pools of the strategies."""
    for time in strategies.BAD_TIMESTAMPS + strategies.SPECIAL_TIMESTAMPS:
        yield b"\x02" + time.encode()
    articles = [f'{{"id":{article},"title":"t"}}' for article in strategies.ARTICLES + strategies.ODD_ARTICLES]
    texts = [f'{{"category":{text},"id":1}}' for text in strategies.TEXTS + strategies.ODD_TEXTS]
    members = [f"{{{member}}}" for member in strategies.MEMBERS]
    bodies = [*strategies.NULL_ATTRIBUTES, *strategies.BAD_JSON, *strategies.UNWANTED_TEXT, *articles, *texts, *members]
    bodies = [body for body in bodies if len(body) < 2000]
    yield from (b"\x03" + body.encode() for body in bodies)
    lines = [line(name, '{"id":"a"}') for name in strategies.EVENT_NAMES + strategies.ODD_EVENT_NAMES]
    lines += [line(oracle.CLICK, body) for body in bodies]
    lines += [line(oracle.CLICK, "{}") + fault for fault in strategies.BAD_UTF8]
    yield from (b"\x01" + one for one in lines)
    for how in range(0, 256, 5):
        body = b"\n".join([COLUMNS, *lines[how % 7 : 6 + how % 7], lines[how % len(lines)], b"", lines[-how % 50], b""])
        yield bytes([0, how, how]) + body
    for compress, how in ((gzip.compress, 1), (zstd.compress, 2)):
        yield bytes([0, 37, how]) + compress(b"\n".join([COLUMNS, *lines[:4]]))
    for header in strategies.WRONG_HEADERS:
        if len(header) < 2000:
            yield b"\0\0\0" + header + b"\n" + lines[0]


def line(name: str, attributes: str) -> bytes:
    """Return a line of a file."""
    return f"2019-02-15 03:07:03.662 +0000\ts1\t{name}\tu1\t{attributes}".encode()


def words() -> Iterator[bytes]:
    """Return words that the fuzzer inserts into inputs."""
    yield from (b"\n", b"\r\n", b"\t", b"\0", rb"\N", b'"', b"\\", b"\xef\xbb\xbf", LONG, VERY_LONG, b"1e999", b"NaN")
    yield from (b'{"id":', b'"title":', b'"category":', rb"\u0000", rb"\ud800", rb"\udc00", b"[[[[[[[[", b"]]]]]]]]")
    yield from (name.encode() for name in strategies.EVENT_NAMES[:3] + oracle.REQUIRED)
    yield from (offset.encode() for offset in strategies.OFFSETS if offset)
    yield from strategies.BAD_UTF8
    yield COLUMNS + b"\n"
