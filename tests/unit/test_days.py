"""Days in time zones: by the standard library's arithmetic, and some that were worked out by hand."""

from datetime import UTC, date, datetime, time, timedelta
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.reducers.days import (
    MINUTE_MICROSECONDS,
    find_day,
    find_day_of_minute,
    first_microsecond,
    is_timezone,
    to_date,
    to_microseconds,
)
from tests.support import oracle
from tests.support.zones import ZONES, moments

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ALL_ZONES = (files("tzdata") / "zones").read_text(encoding="ascii").split()

# A day by the clocks of a zone, the time in UTC at which it ended, and how many days later the next one was.
BEGINNINGS = [
    ("UTC", "2019-02-15", "2019-02-16 00:00:00", 1),
    ("America/New_York", "2019-02-15", "2019-02-16 05:00:00", 1),
    ("America/New_York", "2019-03-10", "2019-03-11 04:00:00", 1),  # 23 hours
    ("America/New_York", "2019-11-03", "2019-11-04 05:00:00", 1),  # 25 hours
    ("America/New_York", "1883-01-01", "1883-01-02 04:56:02", 1),  # the sun's time
    ("America/New_York", "9998-07-01", "9998-07-02 04:00:00", 1),
    ("Asia/Kathmandu", "2019-02-15", "2019-02-15 18:15:00", 1),
    ("Asia/Kathmandu", "1985-12-31", "1985-12-31 18:30:00", 1),  # from +5:30 to +5:45
    ("Asia/Kathmandu", "1900-01-01", "1900-01-01 18:18:44", 1),
    ("Australia/Lord_Howe", "2019-02-15", "2019-02-15 13:00:00", 1),
    ("Australia/Lord_Howe", "2019-06-15", "2019-06-15 13:30:00", 1),  # half an hour
    ("Africa/Monrovia", "1971-01-01", "1971-01-02 00:44:30", 1),
    ("Pacific/Apia", "2011-12-29", "2011-12-30 10:00:00", 2),  # no 30 December
    ("Pacific/Kwajalein", "1993-08-20", "1993-08-21 12:00:00", 2),
    ("America/Juneau", "1867-10-18", "1867-10-19 08:57:41", 1),  # the date was set back on this day
    ("America/St_Johns", "1992-10-24", "1992-10-25 02:30:00", 1),
    ("America/St_Johns", "1992-10-25", "1992-10-25 02:31:00", -1),  # and the clock was set back at 00:01
]


def at_of(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def day_by_the_oracle(zone: str, moment: datetime) -> int | None:
    try:
        day = oracle.local_day(moment.replace(tzinfo=None), oracle.Definition(timezone=zone))
    except OverflowError:
        return None
    return (day - EPOCH.date()).days


@pytest.mark.parametrize(("zone", "day", "beginning", "days"), BEGINNINGS)
def test_days_begin_when_the_clocks_of_the_zone_say_so(zone: str, day: str, beginning: str, days: int) -> None:
    at, last = at_of(datetime.fromisoformat(f"{beginning}+00:00")), (date.fromisoformat(day) - EPOCH.date()).days
    assert (find_day(zone, at - 1), find_day(zone, at)) == (last, last + days)


@given(st.dates(), st.timedeltas(timedelta(0), timedelta(days=1) - timedelta.resolution))
def test_a_date_is_the_day_that_begins_at_its_first_microsecond(day: date, within: timedelta) -> None:
    moment = datetime.combine(day, time(), UTC) + within
    at = first_microsecond(day) + within // timedelta.resolution
    assert to_microseconds(moment) == at == at_of(moment)
    assert find_day("UTC", at) == (day - EPOCH.date()).days
    assert to_date((day - EPOCH.date()).days) == day


@given(st.sampled_from(ZONES).flatmap(lambda zone: st.tuples(st.just(zone), moments(zone))))
def test_a_day_is_that_of_the_standard_library(drawn: tuple[str, datetime]) -> None:
    zone, moment = drawn
    assert find_day(zone, at_of(moment)) == day_by_the_oracle(zone, moment)


@given(st.sampled_from(ALL_ZONES), st.datetimes(timezones=st.just(UTC)))
def test_every_zone_of_tzdata_has_days(zone: str, moment: datetime) -> None:
    assert is_timezone(zone)
    assert find_day(zone, at_of(moment)) == day_by_the_oracle(zone, moment)


@given(st.sampled_from(ZONES).flatmap(lambda zone: st.tuples(st.just(zone), moments(zone))), st.integers(0, 59_999_999))
def test_a_minute_has_a_day_only_if_all_its_times_have_it(drawn: tuple[str, datetime], within: int) -> None:
    zone, moment = drawn
    minute = at_of(moment) // MINUTE_MICROSECONDS
    day = find_day_of_minute(zone, minute)
    assert day is None or day == day_by_the_oracle(
        zone, EPOCH + (minute * MINUTE_MICROSECONDS + within) * timedelta.resolution
    )


@pytest.mark.parametrize(
    "name", ["", "Mars/Base", "../zones", "utc", "America", "Europe/Berlin ", "zone.tab", "__init__.py"]
)
def test_names_of_no_zone(name: str) -> None:
    assert not is_timezone(name)
