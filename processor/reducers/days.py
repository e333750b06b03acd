"""Turns times into days of a time zone, and dates into the numbers that stand for them; no other module does.

A time is a number of microseconds since 1970-01-01 UTC, and a day a number of days since 1970-01-01. Every day that
the tables have comes from here, so no other table of time zones can disagree: neither the machine's nor that of
Postgres. The zones are those of the package tzdata.
"""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from importlib.resources import files
from zoneinfo import ZoneInfo

MINUTE_MICROSECONDS = 60_000_000
DAY_MICROSECONDS = 86_400_000_000
# Minutes whose day is remembered: those of 45 days.
MAX_MINUTES = 65_536
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
_EPOCH_DAY = EPOCH.toordinal()


def to_microseconds(moment: datetime) -> int:
    """Return a moment, given with its zone, in microseconds since 1970-01-01 UTC."""
    return (moment - EPOCH) // MICROSECOND


def first_microsecond(day: date) -> int:
    """Return the beginning of a day of UTC, in microseconds since 1970-01-01 UTC."""
    return (day.toordinal() - _EPOCH_DAY) * DAY_MICROSECONDS


def to_date(day: int) -> date:
    """Return the date of a day, given in days since 1970-01-01.

    >>> to_date(17942)
    datetime.date(2019, 2, 15)
    """
    return date.fromordinal(_EPOCH_DAY + day)


def find_day(timezone: str, at: int) -> int | None:
    """Return the day of a time in a zone: days since 1970-01-01; None if it is outside the years 1 to 9999.

    timezone: the name of a zone. at: microseconds since 1970-01-01 UTC, in the years 1 to 9999 of UTC.

    >>> find_day("Asia/Kathmandu", 18 * 3_600_000_000), find_day("Asia/Kathmandu", 19 * 3_600_000_000)
    (0, 1)
    """
    if timezone == "UTC":
        return at // DAY_MICROSECONDS
    day = find_day_of_minute(timezone, at // MINUTE_MICROSECONDS)
    if day is None:
        local = _to_local(timezone, at)
        return None if local is None else local.toordinal() - _EPOCH_DAY
    return day


@lru_cache(MAX_MINUTES)
def find_day_of_minute(timezone: str, minute: int) -> int | None:
    """Return the day of all times of a minute; None if they are of two days, or one of them has none.

    Where the clock is some seconds off, as it was in many zones before 1900, a day begins within a minute.

    timezone: the name of a zone. minute: minutes since 1970-01-01 UTC.
    """
    if timezone == "UTC":
        return minute // 1440
    at = minute * MINUTE_MICROSECONDS
    first, last = _to_local(timezone, at), _to_local(timezone, at + MINUTE_MICROSECONDS - 1)
    if first is None or last is None or last - first != (MINUTE_MICROSECONDS - 1) * MICROSECOND:
        return None  # or the clock was set within this minute
    return first.toordinal() - _EPOCH_DAY if first.date() == last.date() else None


def is_timezone(name: str) -> bool:
    """Whether tzdata has a zone of that name."""
    return name in (files("tzdata") / "zones").read_text(encoding="ascii").split()


def _to_local(timezone: str, at: int) -> datetime | None:
    """Return the date and time that the clocks of a zone show, without the zone; None outside the years 1 to 9999."""
    try:
        return (EPOCH + at * MICROSECOND).astimezone(_load_zone(timezone)).replace(tzinfo=None)
    except OverflowError:
        return None


@lru_cache(16)
def _load_zone(timezone: str) -> ZoneInfo:
    """Return a zone of tzdata; raises FileNotFoundError or another OSError if it has none of that name."""
    with (files("tzdata") / "zoneinfo").joinpath(*timezone.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=timezone)
