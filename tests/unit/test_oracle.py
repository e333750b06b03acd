"""The oracle against cases worked by hand, and the strategies and made lakes against the oracle."""

import gzip
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from backports import zstd
from hypothesis import given, settings

from tests.support import made_lake, strategies
from tests.support.event_files import HEADER
from tests.support.oracle import (
    MAX_LINE_BYTES,
    REQUIRED,
    ArticleRow,
    Event,
    LineError,
    Rejected,
    Unreadable,
    UserRow,
    expected,
    json_object,
    parse,
    read_file,
    utc,
    without,
)
from tests.support.paths import SHARED

SAMPLE = SHARED / "lake_sample/2019-02-15.tsv"
FRIDAY, SATURDAY = date(2019, 2, 15), date(2019, 2, 16)
VIEW, TOP, MY = "article_viewed", "top_news_card_viewed", "my_news_card_viewed"


def row(when: str, session: str, name: str, user: str, attributes: str = "{}") -> str:
    """Return a line of a file."""
    return f"{when}\t{session}\t{name}\t{user}\t{attributes}\n"


def file(*rows: str) -> bytes:
    """Return a file of these lines after a header."""
    return HEADER + "".join(rows).encode()


def verdict(line: bytes) -> Event | str:
    """Return the event of a line, or the reason why it is rejected."""
    try:
        return parse(line, list(REQUIRED))
    except LineError as error:
        return str(error)


def test_a_session_over_midnight_in_two_files_belongs_to_its_first_day() -> None:
    lake = {
        "2019-02-15.tsv": file(
            row("2019-02-15 23:59:59.999999 +0000", "s", MY, "u", '{"id":"a"}'),
            row("2019-02-15 23:59:00Z", "s", "app_opened", "u", "no JSON"),
            row("2019-02-15 12:00:00", "t", "app_opened", "u"),
        ),
        "deeper/2019-02-16.tsv.gz": gzip.compress(
            file(
                row("2019-02-16T01:00:01.25+01:00", "s", VIEW, "u", '{"id":"a"}'),
                row("2019-02-16 00:00:01.25", "s", TOP, "u", '{"id":"a"}'),
            )
        ),
    }
    result = expected(lake)
    assert result.user_performance == {
        ("u", FRIDAY): UserRow("u", FRIDAY, 2, Decimal("61.25"), 30.625, 1, 0, 0.0),
        ("u", SATURDAY): UserRow("u", SATURDAY, 0, Decimal(0), None, 1, 1, 1.0),
    }
    assert result.article_performance == {
        ("a", FRIDAY): ArticleRow("a", FRIDAY, None, None, 1, 0, 0, 0.0),
        ("a", SATURDAY): ArticleRow("a", SATURDAY, None, None, 1, 1, 1, 1.0),
    }
    assert (result.rejected, result.failed) == ({}, set())


def test_title_and_category_are_each_the_latest_or_the_greater_of_equal_timestamps() -> None:
    late = "2019-02-16 08:00:00"
    lake = {
        "b.tsv": file(
            row(late, "s", TOP, "u", '{"id":"a","title":"\U00010000"}'),
            row(late, "s", VIEW, "u", '{"id":"a","title":"\uffff","category":""}'),
            row("2019-02-16 08:00:00.000001", "s", "article_closed", "u", '{"id":"a","title":"zzz"}'),
            row("2019-02-16 09:00:00", "s", MY, "u", '{"id":"a","title":null,"category":["x"]}'),
        ),
        "a.tsv": file(row("2019-02-15 08:00:00", "s", VIEW, "u", '{"id":"a","title":"b","category":"news"}')),
    }
    assert expected(lake).article_performance == {
        ("a", FRIDAY): ArticleRow("a", FRIDAY, "\U00010000", "news", 0, 1, 1, None),
        ("a", SATURDAY): ArticleRow("a", SATURDAY, "\U00010000", "news", 2, 1, 2, 0.5),
    }


def test_an_event_is_counted_for_each_id_that_it_has_and_equal_lines_are_two_events() -> None:
    twice = row("2019-02-15 10:00:00", "s", TOP, "u", '{"id":7,"id":8}')
    lake = {
        "a.tsv": file(
            twice,
            twice,
            row("2019-02-15 10:00:01", "s", VIEW, "", '{"id":"8"}'),
            row("2019-02-15 10:00:02", r"\N", VIEW, "u", '{"id":8.0}'),
            row("2019-02-15 10:00:03", "s", VIEW, r"\N", "{}"),
            row("2019-02-16 10:00:00", "", MY, "v"),
        )
    }
    result = expected(lake)
    assert result.article_performance == {("8", FRIDAY): ArticleRow("8", FRIDAY, None, None, 2, 1, 1, 0.5)}
    assert result.user_performance == {
        ("u", FRIDAY): UserRow("u", FRIDAY, 1, Decimal(0), 0.0, 2, 1, 0.5),
        ("v", SATURDAY): UserRow("v", SATURDAY, 0, Decimal(0), None, 1, 0, 0.0),
    }


def test_a_click_or_display_with_null_attributes_is_counted_for_its_user_and_session_only() -> None:
    lake = {
        "a.tsv": file(
            row("2019-02-15 03:07:00", "s", VIEW, "u", ""),
            row("2019-02-15 03:07:30", "s", MY, "u", r"\N"),
            row("2019-02-15 03:08:00", "s", "app_opened", "u", ""),
            row("2019-02-15 03:09:00", "", TOP, "v", ""),
            row("2019-02-15 03:10:00", "s", TOP, r"\N", r"\N"),
            row("2019-02-15 03:11:00", "s", VIEW, "u", " "),
        )
    }
    result = expected(lake)
    assert result.user_performance == {
        ("u", FRIDAY): UserRow("u", FRIDAY, 1, Decimal(60), 60.0, 1, 1, 1.0),
        ("v", FRIDAY): UserRow("v", FRIDAY, 0, Decimal(0), None, 1, 0, 0.0),
    }
    assert result.article_performance == {}
    assert [(bad.line_number, bad.reason) for bad in result.rejected["a.tsv"]] == [(7, "bad_attributes")]


def test_rejected_lines_keep_their_physical_number_and_their_first_thousand_bytes() -> None:
    good = row("2019-02-15 10:00:00", "s", "app_opened", "u").encode()
    data = b"\xef\xbb\xbf" + file() + good + b"\r\n\n" + b"x" * 1500 + b"\r\n" + good + b"\0\r"
    reading = read_file(data, "a.tsv")
    assert (len(reading.events), reading.empty) == (2, 2)
    assert reading.rejected == [Rejected(5, "wrong_field_count", b"x" * 1000), Rejected(7, "nul_byte", b"\0")]
    assert expected({"a.tsv": data}).rejected == {"a.tsv": reading.rejected}


@pytest.mark.parametrize(
    ("key", "data"),
    [
        ("a.tsv", b""),
        ("a.tsv", b"\n" + file()),
        ("a.tsv", HEADER.replace(b"\tATTRIBUTES", b"")),
        ("a.tsv", HEADER.replace(b"\n", b"\tTIMESTAMP")),
        ("a.tsv", HEADER.replace(b"\n", b"\t\xff")),
        ("a.tsv", file("bad\n", "bad\n", row("2019-02-15 10:00:00", "s", "x", "u"))),
        ("a.tsv.gz", file()),
        ("a.tsv.gz", gzip.compress(file(), mtime=0)[:-1]),
        ("a.tsv.gz", gzip.compress(file(), mtime=0) + b"x"),
        ("a.tsv.zst", file()),
        ("a.tsv.zst", zstd.compress(file())[:-1]),
        ("a.tsv.zst", zstd.compress(file()) + b"x"),
    ],
)
def test_an_unreadable_file_fails_and_the_others_are_counted(key: str, data: bytes) -> None:
    with pytest.raises(Unreadable):
        read_file(data, key)
    good = file(row("2019-02-15 10:00:00", "s", "x", "u"))
    result = expected({key: data, "b.tsv": good})
    assert result.failed == {key}
    assert list(result.user_performance) == [("u", FRIDAY)]


def test_compressed_files_may_have_many_parts_and_other_names_are_ignored() -> None:
    data = file(row("2019-02-15 10:00:00", "s", "x", "u"), "bad\n")
    plain = read_file(data, "a.tsv")
    assert read_file(gzip.compress(data[:99]) + gzip.compress(data[99:]), "a.tsv.gz") == plain
    assert read_file(zstd.compress(data[:99]) + zstd.compress(data[99:]), "a.tsv.zst") == plain
    for key in (".a.tsv", "x/_a.tsv", "a.csv", "a.TSV", "a.tsv.bz2", "atsv"):
        assert expected({key: data}) == ({}, {}, {}, set())
    for part in (".x", "_x", ".", "..", "_", "_temporary", "lost+found"):
        for key in (f"{part}/a.tsv", f"{part}/b/a.tsv", f"b/{part}/a.tsv"):
            assert expected({key: data}) == ({}, {}, {}, set())
    for key in (
        "x.y/a.tsv",
        "x_/a.tsv",
        "lost+found.tsv",
        "lost+found2/a.tsv",
        "Lost+Found/a.tsv",
        "/a.tsv",
        "x//a.tsv",
    ):
        assert expected({key: data}).rejected == {key: plain.rejected}


@pytest.mark.parametrize(
    ("reason", "fields"),
    [
        ("line_too_long", ("\0", "s", VIEW, "u", "{" + " " * MAX_LINE_BYTES)),
        ("nul_byte", ("\0", "\udcff", VIEW, "u", "{")),
        ("invalid_utf8", ("", "\udcff", VIEW, "u")),
        ("wrong_field_count", ("", "s", VIEW, "u")),
        ("bad_timestamp", ("", "s", "", "u" * 1001, "{")),
        ("no_event_name", ("2019-02-15 10:00:00", "s", r"\N", "u" * 1001, "{")),
        ("id_too_long", ("2019-02-15 10:00:00", "s", "app_opened", "é" * 501, "{")),
        ("id_too_long", ("2019-02-15 10:00:00", "s" * 1001, VIEW, "u", "{")),
        ("bad_attributes", ("2019-02-15 10:00:00", "s", VIEW, "u", '{"id":"\\u0000","x":"\\ud800"}')),
        (
            "nul_in_text",
            ("2019-02-15 10:00:00", "s", MY, "u", '{"id":"' + "a" * 1001 + '","title":"\\u0000"}'),
        ),
        ("id_too_long", ("2019-02-15 10:00:00", "s", TOP, "u", '{"id":"' + "\\u00e9" * 501 + '"}')),
    ],
)
def test_the_first_reason_that_applies_is_given(reason: str, fields: tuple[str, ...]) -> None:
    assert verdict("\t".join(fields).encode(errors="surrogateescape")) == reason


def test_a_line_at_every_limit_is_an_event() -> None:
    start = f"2019-02-15 10:00:00\t{'s' * 1000}\t{VIEW}\t{'é' * 500}\t".encode()
    line = start + b'{"id":"' + b"a" * 1000 + b'"}'
    event = verdict(line.ljust(MAX_LINE_BYTES))
    assert isinstance(event, Event)
    assert event.article == "a" * 1000
    assert verdict(line.ljust(MAX_LINE_BYTES + 1)) == "line_too_long"


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2019-02-15 03:07:03.662 +0000", "2019-02-15 03:07:03.662000"),
        ("2019-02-15T03:07:03Z", "2019-02-15 03:07:03"),
        ("2019-02-15 03:07:03.1234569", "2019-02-15 03:07:03.123456"),
        ("2019-02-15 00:10:00 +05:30", "2019-02-14 18:40:00"),
        ("2019-12-31 23:59:59.9-0001", "2020-01-01 00:00:59.900000"),
        ("0001-01-01 00:00:00", "0001-01-01 00:00:00"),
    ],
)
def test_timestamps_are_read_in_utc(text: str, instant: str) -> None:
    assert str(utc(text)) == instant


@pytest.mark.parametrize(
    ("literal", "value"),
    [
        ('"a\\u0031"', "a1"),
        ("-0", 0),
        ("18446744073709551615", 2**64 - 1),
        ("1" * 5000, None),
        ("1e9999", None),
        ("1.0", None),
        ("true", None),
        ('{"id":"x"}', None),
        ("[" * 200_000 + "]" * 200_000, None),
        ('"\\ud83d\\ude00"', "\U0001f600"),
        ('"x","id":"y"', "y"),
        ('"x","\\u0069d":null', None),
    ],
)
def test_json_values(literal: str, value: str | int | None) -> None:
    assert json_object(' {"id" : ' + literal + "\r\n}\t") == {"id": value}


@pytest.mark.parametrize(
    ("number", "article"),
    [(2**64 - 1, str(2**64 - 1)), (2**64, None), (-(2**63), str(-(2**63))), (-(2**63) - 1, None)],
)
def test_an_article_id_is_an_integer_of_64_bits(number: int, article: str | None) -> None:
    event = verdict(f'2019-02-15 10:00:00\ts\t{VIEW}\tu\t{{"id":{number}}}'.encode())
    assert isinstance(event, Event)
    assert event.article == article


@pytest.mark.parametrize("text", strategies.BAD_JSON)
def test_text_that_is_not_a_json_object_is_refused(text: str) -> None:
    assert verdict(f"2019-02-15 10:00:00\ts\t{VIEW}\tu\t{text}".encode()) == "bad_attributes"


@given(strategies.good_lines(), strategies.bad_lines())
def test_good_lines_are_events_and_bad_ones_are_not(good: bytes, bad: bytes) -> None:
    assert isinstance(verdict(good), Event)
    assert isinstance(verdict(bad), str)


@given(strategies.timestamps(), strategies.bad_timestamps())
def test_timestamps_are_instants_and_bad_ones_are_not(good: str, bad: str) -> None:
    utc(good)
    with pytest.raises(LineError):
        utc(bad)


@settings(deadline=None)
@given(strategies.lakes())
def test_the_tables_of_any_lake_agree_with_each_other(lake: dict[str, bytes]) -> None:
    result = expected(lake)
    assert result.failed | result.rejected.keys() <= lake.keys()
    for article in result.article_performance.values():
        assert article.displays + article.clicks > 0
        assert article.clicks <= article.cumulative_clicks
    for user in result.user_performance.values():
        assert user.displays + user.clicks + user.sessions > 0


def test_a_made_lake_is_the_same_each_time_and_mostly_good(tmp_path: Path) -> None:
    paths = made_lake.write(tmp_path / "a", days=3, lines=2000)
    again = made_lake.write(tmp_path / "b", days=2, lines=2000)
    packed = made_lake.write(tmp_path / "c", days=1, lines=2000, compress=True)
    lake = {path.name: path.read_bytes() for path in paths}
    assert [path.read_bytes() for path in again] == list(lake.values())[:2]
    assert gzip.decompress(packed[0].read_bytes()) == lake["2019-02-15.tsv"]
    for key, data in lake.items():
        reading = read_file(data, key)
        assert 1600 < len(reading.events) < 2400
        assert len(reading.rejected) < 20


@pytest.mark.skipif(not SAMPLE.exists(), reason="the sample is not part of the repository")
def test_the_sample_has_thirty_events_of_one_day() -> None:
    result = expected({"2019-02-15.tsv": SAMPLE.read_bytes()})
    assert (result.rejected, result.failed) == ({}, set())
    assert sum(row.displays + row.clicks for row in result.article_performance.values()) == 29
    assert result.user_performance["7f019e4d4a7938dd18006213bb26bb43", FRIDAY] == UserRow(
        "7f019e4d4a7938dd18006213bb26bb43", FRIDAY, 1, Decimal("103.352"), 103.352, 2, 0, 0.0
    )


def test_the_lines_of_a_forgotten_user_have_no_user() -> None:
    lake = {
        "a.tsv": file(
            row("2019-02-15 12:00:00", "s", VIEW, "u", '{"id":"a"}'),
            row("2019-02-15 12:00:09", "s", VIEW, "v", '{"id":"a"}'),
            row("yesterday", "s", VIEW, "u"),
            row("yesterday", "s", VIEW, "v"),
        )
    }
    before, after = expected(lake), expected(lake, {"u", "unknown"})
    assert after.article_performance == before.article_performance
    assert after.article_performance["a", FRIDAY].clicks == 2
    assert after.user_performance == {("v", FRIDAY): before.user_performance["v", FRIDAY]}
    assert [(line.reason, line.raw) for line in after.rejected["a.tsv"]] == [
        ("bad_timestamp", b""),
        ("bad_timestamp", f"yesterday\ts\t{VIEW}\tv\t{{}}".encode()),
    ]


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        (b"a\tu-1\tb", b""),
        (b"u-1", b""),
        (b"2019;s;u-1;{}", b""),
        (b'a\t{"user":"u-1"}', b""),
        (b"a\tu-1\xff", b"a\tu-1\xff"),  # a byte above 127 belongs to the run
        (b"a\tu-1\0b", b""),
        (b"a\txu-1\tu-12", b"a\txu-1\tu-12"),
        (b"a\tc d/e\tb", b""),
        (b"a,c d/e", b"a,c d/e"),  # an id with other characters is found as a whole field only
        (b"\\u-1", b""),
        (b"x" * 990 + b"\tu-1-and-m", b"x" * 990 + b"\t"),
        (b"x" * 989 + b"\tu-1-and-m", b"x" * 989 + b"\tu-1-and-m"),
        (b"\xfcx" * 500, b""),
    ],
)
def test_a_rejected_line_that_holds_a_forgotten_id_is_emptied(raw: bytes, kept: bytes) -> None:
    assert without((), raw) == raw
    assert without({"c d/e", "u-1"}, raw) == kept
