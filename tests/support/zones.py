"""Times at which days begin and clocks are set in zones, by the standard library and by no code of the program."""

from datetime import UTC, datetime, timedelta
from functools import cache
from random import Random
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from tests.support.oracle import Definition

# Half hours and quarters, an offset with seconds until 1972, a clock that was set back at 00:01, a day that never was,
# days that were twice, and the ends of the world.
ZONES = (
    "America/New_York",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "UTC",
    "Africa/Monrovia",
    "America/St_Johns",
    "America/Juneau",
    "Asia/Manila",
    "Pacific/Apia",
    "Pacific/Kwajalein",
    "Pacific/Kiritimati",
    "Etc/GMT+12",
)
YEARS = (2, 1582, 1867, 1883, 1899, 1920, 1969, 1971, 1986, 1992, 2011, 2019, 2026, 2037, 2038, 2400, 9998)
FIRST, LAST = datetime(1, 1, 1, tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
AROUND = (-86_400_000_000, -3_600_000_000, -60_000_000, -30_000_000, -1_000, -1, 0, 1, 1_000, 30_000_000, 3_600_000_000)


@cache
def changes_of_offset(zone: str) -> list[datetime]:
    """Return the times from 1840 to 2040 at which a zone's distance from UTC changes, to the second."""
    found, info = [], ZoneInfo(zone)
    day, end = datetime(1840, 1, 1, tzinfo=UTC), datetime(2040, 1, 1, tzinfo=UTC)
    while day < end:
        early, late = day, day + timedelta(days=7)
        if (offset := early.astimezone(info).utcoffset()) != late.astimezone(info).utcoffset():
            while late - early > timedelta(seconds=1):
                middle = early + (late - early) // timedelta(seconds=2) * timedelta(seconds=1)
                if middle.astimezone(info).utcoffset() == offset:
                    early = middle
                else:
                    late = middle
            found.append(late)
        day += timedelta(days=7)
    return found


@st.composite
def moments(draw: st.DrawFn, zone: str) -> datetime:
    """A time in UTC: near the beginning of a local day, near a change of the clocks, or any."""
    kind = draw(st.integers(0, 5))
    changes = changes_of_offset(zone)
    if kind == 0:
        return draw(st.datetimes(timezones=st.just(UTC)))
    if kind == 1:
        return draw(st.sampled_from([FIRST, LAST]))
    if kind < 4 and changes:
        moment = draw(st.sampled_from(changes))
    else:
        day = datetime(draw(st.sampled_from(YEARS)), draw(st.integers(1, 12)), draw(st.integers(1, 28)), tzinfo=UTC)
        moment = day - (day.astimezone(ZoneInfo(zone)).utcoffset() or timedelta())
    return shifted(moment, draw(st.sampled_from(AROUND)))


def shifted(moment: datetime, microseconds: int) -> datetime:
    """Return a later or an earlier time, but none outside the years 1 to 9999."""
    shift = microseconds * timedelta(microseconds=1)
    return moment + max(FIRST - moment, min(LAST - moment, shift))


def stamp(moment: datetime) -> str:
    """Return a time as lake files have it, in the form that is folded fast if it has whole milliseconds."""
    text = moment.replace(tzinfo=None).isoformat(" ", "microseconds")
    return f"{text.removesuffix('000')} +0000"


@st.composite
def zone_lakes(draw: st.DrawFn, zone: str) -> dict[str, bytes]:
    """A lake of two files, whose few users, sessions and articles have events at times that matter in a zone."""
    names = ("article_viewed", "my_news_card_viewed", "app_opened")
    pool = draw(st.lists(moments(zone), min_size=1, max_size=4))
    lake = {}
    for key in ("a.tsv", "b.tsv"):
        lines = ["\t".join(Definition()[:5])]
        for _ in range(draw(st.integers(0, 12))):
            moment = shifted(draw(st.sampled_from(pool)), draw(st.sampled_from(AROUND)))
            user, session, name, article = (draw(st.sampled_from(of)) for of in ("uv", "st", names, "ab"))
            text = f'{{"id":"{article}","title":"{draw(st.sampled_from("xy"))}","category":"c"}}'
            lines.append(f"{stamp(moment)}\t{session}\t{name}\t{user}\t{text}")
        lake[key] = "\n".join(lines).encode()
    return lake


def zone_lake(zone: str) -> dict[str, bytes]:
    """Return a lake of some hundred sessions that begin where days begin or clocks are set, in several files."""
    random = Random(zone)
    files = {f"{n}.tsv": ["\t".join(Definition()[:5])] for n in range(6)}
    for number in range(1500):
        moment = shifted(random.choice(changes_of_offset(zone)[-40:]), random.choice(AROUND))
        name = random.choice(("article_viewed", "top_news_card_viewed", "app_opened"))
        text = f'{{"id":"a{number % 9}","title":"t{number}","category":"c{number % 4}"}}'
        files[f"{number % 6}.tsv"].append(f"{stamp(moment)}\ts{number % 70}\t{name}\tu{number % 11}\t{text}")
    return {key: "\n".join(lines).encode() for key, lines in files.items()}
