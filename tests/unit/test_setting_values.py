"""Numbers, days and times follow our own patterns, whatever Python's parsers accept."""

import math
from datetime import date

import pytest

from processor import cli
from processor.lake import selection as changes
from processor.lake.base import LakeSettings
from processor.lake.selection import Selection, find_date
from processor.reducers import events
from processor.reducers.definition import Definition
from processor.setting_values import has_day_form, parse_day, parse_decimal, parse_integer
from tests.support import oracle

# Settings that are numbers, with the message for those that are not.
SETTINGS = {
    "MAX_TEXT_GIB": "MAX_TEXT_GIB must be a whole number of GiB above 0",
    "LAKE_AHEAD": "LAKE_AHEAD must be a whole number above 0",
    "WATCH_INTERVAL": "WATCH_INTERVAL must be a whole number of seconds above 0, such as 60",
    "DATABASE_WAIT": "DATABASE_WAIT must be a number of seconds",
}
# int() or float() accept these, or may do so one day, but settings must not.
ODD_NUMBERS = [
    "", " ", " 7", "7 ", "\t7", "7\n", "+7", "-7", "1_0", "0x10", "0b1", "0o7", "1e2", "1E2", "1.", ".5", "1,5",
    "1.5.2", "inf", "nan", "NaN", "Infinity", "\u0667", "\uff17", "\u00b2", "\U0001d7d5", "7\u00a0", "\ufeff7", "7\0",
    "9" * 10, "9" * 5000,
]  # fmt: skip
ODD_DAYS = [
    "", "20190215", "2019-W07-5", "2019W075", "2019-W07", "2019-046", "2019-2-15", "19-02-15", "2019-02-15 ",
    " 2019-02-15", "2019-02-15\n", "2019/02/15", "2019-02-15T00", "+2019-02-15",
    "\u0662\u0660\u0661\u0669-02-15", "2019-02-1\uff15",
    "02019-02-15", "today",
]  # fmt: skip
NO_DAYS = ["2019-02-29", "2019-13-01", "2019-00-10", "2019-01-00", "0000-01-01", "1900-02-29"]
# Times by ISO 8601 or by some library, but not by the contract.
ODD_TIMES = [
    "2019-02-15 24:00:00", "2019-02-15T24:00:00Z", "2019-02-15 24:00:00.000 +0000", "2019-12-31 24:00:00",
    "2019-02-15 24:00:01", "2019-02-15 25:00:00", "2019-02-15 23:60:00", "2019-02-15 23:59:60", "2016-12-31 23:59:60.5",
    "2019-02-15 99:99:99", "2019-W07-5 03:07:03", "2019-046 03:07:03", "20190215T030703", "2019-02-15 03:07:03,662",
    "2019-02-15 0\u0663:07:03", "2019-02-15 03:07:03.\u0666", "2019-02-15 03:07:03 +24:00",
    "2019-02-15 03:07:03 +01:60",
]  # fmt: skip


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("7", 7), ("007", 7), ("999999999", 999_999_999)])
def test_an_integer_is_digits(text: str, number: int) -> None:
    assert (parse_integer(text), parse_decimal(text)) == (number, float(number))


def test_a_decimal_number_is_digits_with_or_without_a_point() -> None:
    assert (parse_decimal("2.5"), parse_decimal("0.25"), parse_decimal("0.0")) == (2.5, 0.25, 0.0)
    assert parse_integer("2.5") is None


@pytest.mark.parametrize("text", ODD_NUMBERS)
def test_other_spellings_of_a_number_are_refused(text: str) -> None:
    assert (parse_integer(text), parse_decimal(text)) == (None, None)


def test_a_day_exists_in_the_calendar() -> None:
    assert parse_day("2019-02-15") == date(2019, 2, 15)
    assert parse_day("2020-02-29") == date(2020, 2, 29)
    assert [parse_day(text) for text in NO_DAYS + ODD_DAYS] == [None] * len(NO_DAYS + ODD_DAYS)
    assert all(map(has_day_form, ["2019-02-15", *NO_DAYS]))
    assert not any(map(has_day_form, ODD_DAYS))


class Grown:
    """A library that accepts every text as a time."""

    def __getattr__(self, name: str) -> object:
        raise AssertionError(f"{name} was asked")

    def __call__(self, *_: object, **__: object) -> object:
        raise AssertionError("it was asked")


@pytest.mark.parametrize("text", ODD_TIMES)
def test_no_library_parses_times_that_our_patterns_refuse(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(oracle.LineError):
        oracle.utc(text)
    monkeypatch.setattr(events, "datetime", Grown())
    assert events.parse_timestamp(text) is None
    line = f"{text}\ts\tapp_opened\tu\t".encode()
    assert events.parse(line, events.Columns(0, 1, 2, 3, 4, 5, Definition())) == events.Rejection("bad_timestamp", line)


@pytest.mark.parametrize("text", ["2019-02-15 00:00:00", "2019-02-15 23:59:59 +23:59", "2019-02-15 09:19:29-00:00"])
def test_the_first_and_the_last_of_hours_minutes_and_seconds_are_times(text: str) -> None:
    assert events.parse_timestamp(text) is not None


@pytest.mark.parametrize("text", ODD_NUMBERS)
@pytest.mark.parametrize("name", [*SETTINGS, "--workers", "--interval"])
def test_a_setting_that_is_not_a_number_is_refused(
    name: str, text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if "\0" in text or (not text and name.isupper()):
        return  # a variable cannot contain a NUL, and an empty one means the default
    if name.isupper():
        monkeypatch.setenv(name, text)
    words = ["watch", f"{name}={text}"] if name.startswith("--") else ["watch"]
    with pytest.raises(SystemExit) as ended:
        cli.parse_settings(words)
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith(SETTINGS.get(name, f"argument {name}: "))
    assert error.count("\n") == 1


@pytest.mark.parametrize("name", ["MAX_TEXT_GIB", "LAKE_AHEAD", "WATCH_INTERVAL", "--workers", "--interval"])
def test_zero_is_refused(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    if name.isupper():
        monkeypatch.setenv(name, "0")
    with pytest.raises(SystemExit):
        cli.parse_settings(["watch"] if name.isupper() else ["watch", name, "0"])
    assert "above 0" in capsys.readouterr().err


def test_settings_that_are_numbers_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"DATABASE_WAIT": "0", "WATCH_INTERVAL": "09", "MAX_TEXT_GIB": "2", "LAKE_AHEAD": "03"}.items():
        monkeypatch.setenv(name, value)
    options = cli.parse_settings(["watch", "--workers", "3"])
    assert (options.wait_seconds, options.interval_seconds, options.workers) == (0, 9, 3)
    assert options.lake_settings == LakeSettings(max_text_gib=2, objects_ahead=3)
    monkeypatch.setenv("DATABASE_WAIT", "2.5")
    assert cli.parse_settings([]).wait_seconds == 2.5
    for name in SETTINGS:
        monkeypatch.setenv(name, "")
    options = cli.parse_settings(["watch"])
    assert (options.wait_seconds, options.interval_seconds) == (60, 60)
    assert options.lake_settings == LakeSettings(max_text_gib=64, objects_ahead=16)
    assert not math.isnan(options.wait_seconds)


@pytest.mark.parametrize("text", [*ODD_DAYS[1:], *NO_DAYS])
def test_explain_refuses_a_day_that_does_not_exist(text: str) -> None:
    with pytest.raises(SystemExit):
        cli.parse_settings(["explain", "a1", text])
    assert cli.parse_settings(["explain", "a1", "2019-02-15"]).day == date(2019, 2, 15)
    assert cli.parse_settings(["explain", "a1"]).day is None


@pytest.mark.parametrize("text", ODD_DAYS)
def test_a_limit_without_the_form_of_a_day_is_a_key(text: str) -> None:
    assert cli.parse_settings(["--since", text]).selection.since == text
    if text:
        assert not Selection(since=text).includes("")
        assert Selection(since=text).includes(text)
        assert Selection(until=text).includes(f"{text}/2030-01-01")


@pytest.mark.parametrize("text", NO_DAYS)
def test_a_limit_that_is_not_a_day_of_the_calendar_is_refused(text: str) -> None:
    for end in ("--since", "--until"):
        with pytest.raises(SystemExit):
            cli.parse_settings([end, text])


def test_a_date_in_a_key_is_in_ascii_digits() -> None:
    assert find_date("2019-02-15.tsv") == "2019-02-15"
    assert find_date("20\u0661\u0669-02-15.tsv") is None
    assert find_date("2019-02-1\uff15.tsv") is None
    assert find_date("\u06622019-02-15\u0662.tsv") == "2019-02-15"
    for key in ("12019-02-15", "2019-02-151", "1019-02-15", "2119-02-15", "2019-00-15", "2019-13-15", "2019-02-00"):
        assert find_date(key) is None
    assert find_date("2019-02-32.tsv") is None
    for key in ("2019_02_15", "2019/02/15", "2019.02.15", "20190215", "year=2019/month=02/day=15"):
        assert find_date(key) == "2019-02-15"
    assert [changes.find_date(f"20{month}31") for month in ("1901", "1912", "9910")] == [
        "2019-01-31", "2019-12-31", "2099-10-31",
    ]  # fmt: skip
