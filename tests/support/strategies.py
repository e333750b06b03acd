"""Hypothesis strategies for lakes: small, full of collisions, and near every edge the contract names.

Pools are literal because a draw from a pool is fast, shrinks to its first entry, and can be read.
"""

import gzip
import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache

from backports import zstd
from hypothesis import strategies as st

from tests.support.oracle import CLICK, DISPLAYS, MAX_LINE_BYTES, REQUIRED, SUFFIXES

Strategy = st.SearchStrategy
Draw = st.DrawFn

DAYS = [datetime(2019, 2, 15), datetime(2019, 2, 16), datetime(2019, 2, 14), datetime(2019, 3, 1)]
EVENT_NAMES = (CLICK, *DISPLAYS, CLICK, *DISPLAYS, "article_closed", "app_opened")
ODD_EVENT_NAMES = ("ARTICLE_VIEWED", " article_viewed", "article_viewed\r", "null", "événement", "\u2028")
NEAR_MIDNIGHT = st.integers(-3, 3) | st.integers(-2_000_000, 2_000_000) | st.integers(-(10**10), 10**10)
OFFSETS = ["", "Z", " Z"] + [
    space + sign + hours + colon + minutes
    for space in (" ", "")
    for sign in "+-"
    for hours, minutes in (("00", "00"), ("01", "00"), ("05", "30"), ("23", "59"))
    for colon in ("", ":")
]
SPECIAL_TIMESTAMPS = [
    "0001-01-01 00:00:00",
    "0001-01-01T00:00:00.000001-23:59",
    "9999-12-31 23:59:59.999999999 +0000",
    "9999-12-31T23:59:59+23:59",
    "2020-02-29 23:59:59.0",
    "2000-02-29T12:00:00Z",
    "1969-12-31 23:59:59.999999 +0000",
]
BAD_TIMESTAMPS = [
    "",
    r"\N",
    "yesterday",
    "1550199600",
    "2019-02-15",
    "2019-02-15 03:07",
    "2019-2-15 03:07:03",
    "20190215 03:07:03",
    "2019/02/15 03:07:03",
    "2019-02-30 03:07:03",
    "2019-02-29T00:00:00Z",
    "1900-02-29T00:00:00Z",
    "2019-13-01 00:00:00",
    "2019-00-01 00:00:00",
    "2019-01-00 00:00:00",
    "2019-02-15 24:00:00",
    "2019-02-15T24:00:00Z",
    "2019-02-15 24:00:00.000 +0000",
    "2019-W07-5 03:07:03",
    "2019-02-15 23:60:00",
    "2016-12-31 23:59:60",
    "2019-02-15  03:07:03",
    "2019-02-15t03:07:03",
    "2019-02-15_03:07:03",
    "2019-02-15\u00a003:07:03",
    " 2019-02-15 03:07:03",
    "2019-02-15 03:07:03 ",
    "2019-02-15 03:07:03\r",
    "2019-02-15 03:07:03.",
    "2019-02-15 03:07:03,662",
    "2019-02-15 03:07:03.1234567890",
    "2019-02-15 03:07:03. 1",
    "2019-02-15 03:07:03z",
    "2019-02-15 03:07:03 UTC",
    "2019-02-15 03:07:03  +0000",
    "2019-02-15 03:07:03 +00",
    "2019-02-15 03:07:03 +000",
    "2019-02-15 03:07:03 +00000",
    "2019-02-15 03:07:03 +2400",
    "2019-02-15 03:07:03 +0060",
    "2019-02-15 03:07:03 +5:30",
    "2019-02-15 03:07:03 0000",
    "2019-02-15 03:07:03 +00:00Z",
    "2019-02-15 03:07:03 +00:00:00",
    "2019-02-15 03:07:03 + 0000",
    "2019-02-15 03:07:03 \u22120100",
    "2019-02-15 03:07:0\u0663",
    "\uff12\uff10\uff11\uff19-02-15 03:07:03",
    "\ufeff2019-02-15 03:07:03",
    "+2019-02-15 03:07:03",
    "12019-02-15 03:07:03",
    "0000-12-31 23:59:59",
    "0000-12-31 23:59:59-23:59",
    "0001-01-01 00:00:00+00:01",
    "9999-12-31 23:59:59 -0001",
]
USERS = ("u1", "u2", "u3")
SESSIONS = ("s1", "s2", "s3")
ODD_IDS = (
    "",
    r"\N",
    r"\n",
    r"\\N",
    "\\",
    " u1",
    "u1 ",
    "U1",
    "null",
    "0",
    "é",
    "e\u0301",
    "\uffff",
    "\U0001f600",
    "\x0b\x0c\x1c\x85\u2028",
    "\ufeff",
    '"u1"',
    "'u1'; --",
    "%s%(u1)s%%",
    "$1 {} {u1}",
    "a\rb",
    "\r",
    "a,b",
    "x" * 999,
    "x" * 1000,
    "é" * 500,
)
LONG_IDS = ["x" * 1001, "é" * 500 + "x", "\U0001f600" * 250 + "x"]

ARTICLES = ('"a1"', '"a2"', '"a3"', "1", '"a\\u0031"')
ODD_ARTICLES = (
    '"1"',
    "-0",
    "0",
    "-1",
    "1.0",
    "1e0",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    '"18446744073709551615"',
    "18446744073709551616",
    "-9223372036854775808",
    "-9223372036854775809",
    "1" + "0" * 400,
    "1" * 5000,
    "1e999",
    "true",
    "null",
    "[]",
    '["a1"]',
    '{"id":"a1"}',
    '""',
    '" "',
    '"a1 "',
    '"A1"',
    '"\\\\N"',
    '"\\n\\t\\r"',
    '"\\"\\/\\b\\f"',
    '"é"',
    '"e\u0301"',
    '"\\ud83d\\ude00"',
    '"\U0001f600"',
    '"\\uffff"',
    '"\u2028\x7f\x85"',
    '"%s\'$1{}"',
    f'"{"x" * 999}"',
    f'"{"x" * 1000}"',
    f'"{"é" * 500}"',
    '"' + "\\u00e9" * 500 + '"',
)
TEXTS = ('"B"', '"a"', '"b"', '"c"')
ODD_TEXTS = (
    '""',
    "null",
    '"é"',
    '"Z"',
    '"\uffff"',
    '"\U00010000"',
    '"\\ud800\\udc00"',
    '" "',
    '"\\\\N"',
    '"a\\tb\\nc\\\\"',
    '"\\"a\\""',
    '"a\\u0001"',
    '"%s\'{}$"',
    "0",
    "1.5",
    "false",
    '["a"]',
    '{"title":"a"}',
    f'"{"x" * 5000}"',
)


def nested(depth: int) -> list[str]:
    """A member that makes an object `depth` deep, by arrays and by objects."""
    inner = depth - 1
    return ['"deep":' + "[" * inner + "]" * inner, '"deep":' + '{"id":' * inner + "0" + "}" * inner]


MEMBERS = [
    '"url":"https://example.org/?a=1&b=%20"',
    '"position" : "1"',
    '"subcategories": [      "a.b", "a.c"    ]',
    '"empty":[{},[],{"a":[]}]',
    '"inner":{"id":"a9","title":"no","category":"no"}',
    '"inner":[{"id":"a9\\u0000"}]',
    '"nul\\u0000":"\\u0000"',
    '"id\\u0000":"a9"',
    '"ID":"a9"',
    '"":""',
    '"\\u0069d":"a2"',
    '"id":"a1"',
    '"id":null',
    '"id":"\\u0000","id":"a1"',
    '"title":"\\u0000","title":"a"',
    '"id":"' + "x" * 1001 + '","id":"a1"',
    '"t\\u0069tle":"c"',
    '"category":"c"',
    '"category":1',
    '"n":[0,-0,-0.0,1E+2,1e-2,1.5e300,1e999,-1e-999,0.1e1]',
    '"n":' + "9" * 5000,
    '"n":0.' + "3" * 5000,
    '"w":[true,false,null]',
    '"\\ud83d\\ude00":"\\uD83D\\uDE00"',
    '"text":"{}[]:,\\"\\\\"',
    '"text":"\\\\ud800 \ufeff"',
    *(member for depth in (2, 500, 1022, 1023, 1024, 1025, 1026, 3000) for member in nested(depth)),
]
MEMBER_NAMES = [("id", "title", "category")] * 4 + [
    ("title", "id"),
    ("category", "id"),
    ("id",),
    ("title",),
    (),
]
SPACES = [(",", "", ""), (",    ", "    ", "  "), (" \r,", " ", "\r ")]
NULL_ATTRIBUTES = ("", r"\N")
BAD_JSON = [
    " ",
    r" \N",
    r"\N ",
    r"\n",
    r"\\N",
    "NULL",
    "null",
    "[]",
    '"id"',
    "1",
    "{",
    "}",
    "{}}",
    "{}{}",
    "{}[",
    "{}{",
    '{"id":"a1"}[1',
    "{},",
    "{} x",
    "[{}]",
    "({})",
    "\ufeff{}",
    "\u00a0{}",
    "\x0c{}",
    "{}\x0b",
    "{id:1}",
    "{'id':1}",
    "{1:1}",
    "{null:1}",
    '{"id"}',
    '{"id":}',
    '{"id" "a1"}',
    '{"id":"a1",}',
    '{,"id":"a1"}',
    '{"id":"a1" "x":1}',
    '{"id":"a1",,"x":1}',
    '{"id":"a1";"x":1}',
    '{"id":"a1"/**/}',
    '{"id":"a1"]',
    '{"x":[1}',
    '{"x":[1,]}',
    '{"x":[,1]}',
    '{"x":[1 2]}',
    '{"x":["a":1]}',
    '{"id":"a1',
    '{"id":"a1}',
    '{"id":"a\x01"}',
    '{"id":"a\x1f"}',
    '{"id":"a\\x"}',
    '{"id":"\\N"}',
    '{"id":"\\u12"}',
    '{"id":"\\u12g4"}',
    '{"id":"\\u+123"}',
    '{"id":"\\U0001f600"}',
    '{"x":"\\ud800"}',
    '{"x":"\\udc00\\ud800"}',
    '{"x":"\\ud800\\u0041"}',
    '{"x":"\\ud800\\ud800\\udc00"}',
    '{"x":[["\\udfff"]]}',
    '{"\\ud800":1}',
    '{"x":{"\\udbff":1}}',
    '{"id":"\\ud800","id":"a1"}',
    '{"x":NaN}',
    '{"x":Infinity}',
    '{"x":-Infinity}',
    '{"x":nul}',
    '{"x":True}',
    '{"x":truefalse}',
    '{"x":01}',
    '{"x":-01}',
    '{"x":+1}',
    '{"x":-}',
    '{"x":.5}',
    '{"x":1.}',
    '{"x":1.e1}',
    '{"x":1e}',
    '{"x":1e+}',
    '{"x":0x1}',
    '{"x":1_0}',
    '{"x":- 1}',
    '{"x":\u0661}',
    '{"x":' + "[" * 1025 + "]" * 1024 + "}",
    '{"x":' + "[" * 3000 + "}" * 3000 + "}",
]
UNWANTED_TEXT = [
    '{"id":"\\u0000"}',
    '{"id":"a1","title":"a\\u0000b"}',
    '{"category":"\\u0000"}',
    '{"id":"a1","id":"a\\u0000"}',
    '{"i\\u0064":"\\u0000"}',
    '{"id":1,"title":"\\u0000"}',
    '{"id":"\\u0000' + "x" * 1001 + '"}',
    *(f'{{"id":"{long}"}}' for long in LONG_IDS),
    *(json.dumps({"title": "a", "id": long}) for long in LONG_IDS),
]
BAD_UTF8 = [b"\xff", b"\xc3", b"\x80", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xf0\x9f\x98"]
FAULTS = ["timestamp", "attributes", "text", "name", "long id", "fields", "utf8", "nul", "long line"]
NO_FIELDS = [b" ", b"\r\r", b"\t", b"{}"]
EXTRA_COLUMNS = ["X", "", "MD5(USER_ID) ", "timestamp", "ÄÖ"]
BOM = "\ufeff".encode()
WRONG_HEADERS = [
    b"",
    b"\xff",
    b" ",
    b"TIMESTAMP",
    "\t".join(REQUIRED[:4]).encode(),
    "\t".join((*REQUIRED, "TIMESTAMP")).encode(),
    "\t".join(REQUIRED).lower().encode(),
    ",".join(REQUIRED).encode(),
    "\t".join(f'"{name}"' for name in REQUIRED).encode(),
    BOM + BOM + "\t".join(REQUIRED).encode(),
    "\t".join(REQUIRED).encode() + b"\xe9",
    "\t".join(REQUIRED).encode() + b"\r\r",
    b"\n" + "\t".join(REQUIRED).encode(),
    "\t".join(REQUIRED).encode() + b"\t" + b"x" * MAX_LINE_BYTES,
]
FOLDERS = ["", "2019/", "2019/02/", "a b/ü%20'/", "a_b/", "x.tsv.d/"]
NAMES = ["a", "b", "2019-02-15", "ü %s'\"", "c.tsv"]
OTHER_KEYS = [
    "readme.md",
    "a.csv",
    "a.TSV",
    "a.tsv.bz2",
    "a.tsv.gz.part",
    "atsv",
    ".tsv",
    ".hidden.tsv",
    "_new.tsv",
    "2019/_new.tsv.gz",
    "2019/.a.tsv.zst",
    "_temporary/a.tsv",
    "2019/.spark-staging/b.tsv",
    "lost+found/a.tsv",
    "2019/lost+found/02/a.tsv",
]


@cache
def usually(usual: tuple[str, ...], odd: tuple[str, ...]) -> Strategy[str]:
    """A value from the first pool about nine times in ten, else from the second."""
    return st.sampled_from(usual * (9 * len(odd) // len(usual)) + odd)


@st.composite
def timestamps(draw: Draw) -> str:
    """A readable timestamp in any spelling, near one of few midnights, rarely at an end of the calendar."""
    spelling = draw(st.integers(0, 20 * len(OFFSETS)))
    if spelling == 20 * len(OFFSETS):
        return draw(st.sampled_from(SPECIAL_TIMESTAMPS))
    digits, offset = spelling // len(OFFSETS) % 10, OFFSETS[spelling % len(OFFSETS)]
    utc = draw(st.sampled_from(DAYS)) + timedelta(microseconds=draw(NEAR_MIDNIGHT))
    local = utc + shift(offset)
    fraction = f"{local.microsecond:06}999"[:digits]
    separator = " T"[spelling // len(OFFSETS) // 10]
    return f"{local:%Y-%m-%d}{separator}{local:%H:%M:%S}{'.' if digits else ''}{fraction}{offset}"


def shift(offset: str) -> timedelta:
    """How far local time at one of `OFFSETS` is ahead of UTC."""
    digits = offset.strip(" Z").replace(":", "")
    return timedelta(hours=int(digits[:3]), minutes=int(digits[0] + digits[3:])) if digits else timedelta()


def bad_timestamps() -> Strategy[str]:
    """A text that is almost a timestamp."""
    return st.sampled_from(BAD_TIMESTAMPS)


def user_ids() -> Strategy[str]:
    """A user field: one of three ids, now and then null or an odd one."""
    return usually(USERS, ODD_IDS)


def forgettable_ids() -> Strategy[str]:
    """The id of a user, which is not null."""
    return user_ids().filter(lambda user_id: user_id not in NULL_ATTRIBUTES)


def session_ids() -> Strategy[str]:
    """A session field: one of three ids, now and then null or an odd one."""
    return usually(SESSIONS, ODD_IDS)


def long_ids() -> Strategy[str]:
    """An id of 1,001 bytes."""
    return st.sampled_from(LONG_IDS)


def event_names() -> Strategy[str]:
    """The name of an event, most often a counted one."""
    return usually(EVENT_NAMES, ODD_EVENT_NAMES)


@st.composite
def attributes(draw: Draw) -> str:
    """A good JSON object, in most cases with an article id, a title and a category, in any order."""
    members = []
    for name in draw(st.sampled_from(MEMBER_NAMES)):
        pool = usually(ARTICLES, ODD_ARTICLES) if name == "id" else usually(TEXTS, ODD_TEXTS)
        members.append(f'"{name}":{draw(pool)}')
    more = draw(st.integers(0, 3 * len(MEMBERS)))
    if more < len(MEMBERS):
        members.insert(draw(st.integers(0, len(members))), MEMBERS[more])
    comma, before, after = draw(st.sampled_from(SPACES))
    return "{" + before + comma.join(members) + after + "}"


def nullable_attributes() -> Strategy[str]:
    """The attributes of a counted event: a JSON object, one time in five null."""
    return st.integers(0, 9).flatmap(lambda draw: st.just(NULL_ATTRIBUTES[draw - 8]) if draw > 7 else attributes())


def uncounted_attributes() -> Strategy[str]:
    """The attributes of an event that is not counted: null, or a text for which a counted one is rejected."""
    return st.sampled_from(NULL_ATTRIBUTES) | bad_attributes()


def bad_attributes() -> Strategy[str]:
    """A text for which a counted event is rejected: no JSON object, a NUL in a text, or too long an id."""
    return st.sampled_from(BAD_JSON + UNWANTED_TEXT)


@st.composite
def good_fields(draw: Draw) -> dict[str, str]:
    """The required fields of a good line; those of an event that is not counted may hold anything."""
    name = draw(event_names())
    counted = name == CLICK or name in DISPLAYS
    return {
        "TIMESTAMP": draw(timestamps()),
        "MD5(SESSION_ID)": draw(session_ids()),
        "EVENT_NAME": name,
        "MD5(USER_ID)": draw(user_ids()),
        "ATTRIBUTES": draw(nullable_attributes() if counted else uncounted_attributes()),
    }


@st.composite
def good_lines(draw: Draw, columns: Sequence[str] = REQUIRED) -> bytes:
    """A line that is an event, without its ending; now and then as long as a line may be."""
    fields = draw(good_fields())
    if draw(st.integers(0, 299)) == 299:
        if fields["ATTRIBUTES"] in ("", r"\N"):
            fields["ATTRIBUTES"] = "{}"  # a null with spaces after it is neither null nor JSON
        fields["ATTRIBUTES"] += " " * (MAX_LINE_BYTES - len(line(fields, columns)))
    return line(fields, columns)


def line(fields: dict[str, str], columns: Sequence[str]) -> bytes:
    """The fields in the order of the columns; further columns hold their own name."""
    return "\t".join(fields.get(column, column) for column in columns).encode()


@st.composite
def bad_lines(draw: Draw, columns: Sequence[str] = REQUIRED) -> bytes:
    """A line with one fault or more, without its ending."""
    fields = draw(good_fields())
    faults = {draw(st.sampled_from(FAULTS))}
    if draw(st.integers(0, 3)) == 3:
        faults.add(draw(st.sampled_from(FAULTS)))
    if "timestamp" in faults:
        fields["TIMESTAMP"] = draw(bad_timestamps())
    if "long id" in faults:
        fields[draw(st.sampled_from(["MD5(USER_ID)", "MD5(SESSION_ID)"]))] = draw(long_ids())
    if "attributes" in faults or "text" in faults:
        fields["EVENT_NAME"] = draw(st.sampled_from([CLICK, *DISPLAYS]))
        fields["ATTRIBUTES"] = draw(st.sampled_from(BAD_JSON if "attributes" in faults else UNWANTED_TEXT))
    if "name" in faults:
        fields["EVENT_NAME"] = draw(st.sampled_from(["", r"\N"]))
    bad = line(fields, columns)
    if "fields" in faults:
        bad = draw(st.sampled_from([bad + b"\t", b"\t" + bad, bad.partition(b"\t")[2], *NO_FIELDS]))
    for fault, pool in (("utf8", BAD_UTF8), ("nul", [b"\0"])):
        if fault in faults:
            at = draw(st.integers(0, len(bad)))
            bad = bad[:at] + draw(st.sampled_from(pool)) + bad[at:]
    if "long line" in faults:
        bad += b" " * (MAX_LINE_BYTES + 1 - len(bad))
    return bad


@st.composite
def headers(draw: Draw) -> list[str]:
    """The names of the columns, the required ones in any order, with or without further ones."""
    if draw(st.booleans()):
        return list(REQUIRED)
    return draw(st.permutations([*REQUIRED, *draw(st.lists(st.sampled_from(EXTRA_COLUMNS), max_size=2))]))


@st.composite
def files(draw: Draw, max_lines: int = 16) -> bytes:
    """A whole file before compression: mostly good lines, some bad or empty ones, rarely a wrong header."""
    columns = draw(headers())
    ending = draw(st.sampled_from([b"\n", b"\r\n"]))
    good, bad = good_lines(columns), bad_lines(columns)
    lines = [draw(st.sampled_from([b"", b"", b"", BOM])) + "\t".join(columns).encode()]
    if draw(st.integers(0, 29)) == 29:
        lines = [draw(st.sampled_from(WRONG_HEADERS))]
    for _ in range(draw(st.integers(0, max_lines))):
        kind = draw(st.integers(0, 19))
        if kind < 17:
            lines.append(draw(good))
        elif kind == 17:
            lines.append(b"")
        elif kind == 18:
            lines.append(draw(bad))
        else:
            lines.append(draw(st.sampled_from(lines)))
    last = draw(st.sampled_from([ending, ending, b"", b"\r", ending + ending]))
    return ending.join(lines) + last


@st.composite
def stored(draw: Draw, data: bytes, suffix: str) -> bytes:
    """The bytes of a file, compressed as its suffix says: in one frame or two, rarely broken."""
    if suffix == ".tsv":
        return data
    cut = draw(st.integers(0, len(data))) if draw(st.booleans()) else len(data)
    whole = packed(data[:cut], suffix) + (packed(data[cut:], suffix) if cut < len(data) else b"")
    if draw(st.integers(0, 19)) == 19:
        return draw(st.sampled_from([whole[:-1], whole[: len(whole) // 2], whole + b"x", data, b""]))
    return whole


def packed(data: bytes, key: str, level: int = 1) -> bytes:
    """Return the bytes of a file, compressed as its key says."""
    if key.endswith(".gz"):
        return gzip.compress(data, level, mtime=0)
    return zstd.compress(data, level) if key.endswith(".zst") else data


def keys() -> Strategy[str]:
    """The key of a lake file, at several depths, with any suffix."""
    return st.builds("".join, st.tuples(st.sampled_from(FOLDERS), st.sampled_from(NAMES), st.sampled_from(SUFFIXES)))


@st.composite
def named_files(draw: Draw) -> tuple[str, bytes]:
    """A lake file: its key, and its bytes, compressed as the key says and rarely broken."""
    key = draw(keys())
    return key, draw(stored(draw(files()), key[key.rindex(".tsv") :]))


@st.composite
def lakes(draw: Draw, max_files: int = 4) -> dict[str, bytes]:
    """The bytes of a lake's files by key, at several depths, with any suffix, and of other files."""
    lake = {}
    for _ in range(draw(st.integers(0, max_files))):
        key, data = draw(named_files())
        lake[key] = data
    if draw(st.integers(0, 4)) == 4:
        lake[draw(st.sampled_from(OTHER_KEYS))] = draw(files(2))
    return lake
