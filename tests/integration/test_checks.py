"""What `run.py check` finds: each check on a lake in which it finds something, and on one that is as usual."""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from processor.checks import CHECKS, DEFAULT_CHECK_LIMITS, CheckLimits, Finding, check_all
from processor.plan import Plan
from state.check_reads import CheckReads
from state.read_only_database import ReadOnlyDatabase
from tests.support.database_queries import execute
from tests.support.event_files import HEADER
from tests.support.ingest import ingest_folder

FIRST = date(2019, 1, 7)  # a Monday
LAST = date(2019, 3, 3)  # eight weeks later
DAYS = [FIRST + timedelta(days=number) for number in range(56)]
NOW = datetime(2019, 3, 4, 12, tzinfo=UTC)


def line(day: date, name: str, article: str, at: str = "10:00:00", user: str = "u", category: str = "c") -> bytes:
    return (
        f"{day} {at} +0000\t{user}-{day}\t{name}\t{user}\t" + f'{{"id":"{article}","category":"{category}"}}\n'
    ).encode()


def usual_day(day: date, times: int = 1, sports: bool = True) -> bytes:
    """Return a day of 12 displays by two names and 6 clicks on two articles of two categories, or a multiple."""
    categories = ("news", "sports") if sports else ("news",)
    return times * b"".join(
        2 * line(day, "top_news_card_viewed", category, category=category)
        + 4 * line(day, "my_news_card_viewed", category, category=category)
        + 3 * line(day, "article_viewed", category, category=category)
        for category in categories
    )


def usual_lake() -> dict[str, bytes]:
    """Return eight weeks, of which weekends have ten times as many events, and no sports."""
    return {
        f"{day}.tsv": HEADER + (usual_day(day, 20, sports=False) if day.weekday() > 4 else usual_day(day))
        for day in DAYS
    }


Check = Callable[..., dict[str, list[Finding]]]


@pytest.fixture
def check(database: str, tmp_path: Path) -> Check:
    """Return a function that ingests a lake and returns what each check finds."""

    def found(
        lake: Mapping[str, bytes],
        limits: CheckLimits = DEFAULT_CHECK_LIMITS,
        now: datetime = NOW,
        damage: str = "select",
    ) -> dict[str, list[Finding]]:
        for key, data in lake.items():
            (tmp_path / key).write_bytes(data)
        _, errors = ingest_folder(tmp_path, database, Plan())
        assert errors == {}
        execute(database, damage)
        with ReadOnlyDatabase(database) as db:
            results = list(check_all(CheckReads(db), limits, "UTC", now))
        assert [result.name for result in results] == list(CHECKS)
        assert all(result.all_right for result in results)
        return {result.name: result.findings for result in results if result.findings}

    return found


def test_a_usual_lake_is_all_right(check: Check) -> None:
    assert check(usual_lake()) == {}


def test_an_empty_database_is_all_right(check: Check) -> None:
    assert check({}) == {}


@pytest.mark.parametrize(
    ("times", "is_found"), [(0.3, {"clicks", "displays"}), (1, set()), (2, set()), (3, {"clicks", "displays"})]
)
def test_a_day_that_has_far_less_or_more_than_the_same_weekday(check: Check, times: float, is_found: set[str]) -> None:
    day = date(2019, 2, 26)
    events = usual_day(day, int(times * 10)) if times >= 1 else usual_day(day, 3)
    lake = {key: HEADER + usual_day(date.fromisoformat(key[:10]), 10) for key in usual_lake()}
    found = check(lake | {f"{day}.tsv": HEADER + events})
    assert found.keys() == ({"days"} if is_found else set())
    findings = found.get("days", [])
    assert {one.says.split()[3].rstrip(";") for one in findings} == is_found
    assert all(one.day == day and one.says.startswith("2019-02-26 has ") for one in findings)
    assert check({}, CheckLimits(factor=100)) == {}
    assert "days" not in check({}, CheckLimits(days=5))  # it is the sixth from the end


def test_a_day_with_displays_but_no_clicks(check: Check) -> None:
    lake = usual_lake()
    lake["2019-02-27.tsv"] = HEADER + b"".join(
        part + b"\n" for part in lake["2019-02-27.tsv"].split(b"\n")[1:] if b"article_viewed" not in part and part
    )
    (finding,) = check(lake)["days"]
    assert "2019-02-27 has 0 clicks; the median of the same weekday in the 4 weeks before is 6" in finding.says


@pytest.mark.parametrize(
    ("missing", "says"),
    [
        (["2019-02-26"], ["2019-02-26 is without"]),
        (["2019-02-18", "2019-02-26", "2019-02-25"], ["2019-02-25 to 2019-02-26 are without", "2019-02-18 is without"]),
        (["2019-03-03"], []),  # after all others
        ([str(day) for day in DAYS[:40]], []),  # before all others
        (["2019-01-20"], []),  # too long ago
    ],
)
def test_a_day_without_events_between_days_with_some(check: Check, missing: list[str], says: list[str]) -> None:
    found = check({key: data for key, data in usual_lake().items() if key[:10] not in missing})
    assert [one.says.partition(" any")[0] for one in found.get("gaps", [])] == says
    assert found.keys() - {"gaps"} == set()


def test_today_is_not_over(check: Check) -> None:
    lake = usual_lake()
    now = datetime(2019, 3, 3, 1, tzinfo=UTC)
    lake["2019-03-03.tsv"] = HEADER + line(
        date(2019, 3, 3), "top_news_card_viewed", "news", "00:30:00", category="news"
    )
    assert check(lake, now=now) == {}
    assert check({}).keys() == {"days", "events"}


def test_a_category_that_fell_silent(check: Check) -> None:
    """Sports has no event at weekends, which is usual, and none from Wednesday on, which is not."""
    lake = usual_lake()
    for day in DAYS[-5:-2]:
        lake[f"{day}.tsv"] = HEADER + usual_day(day, 2, sports=False)
    (finding,) = check(lake)["categories"]
    assert finding.day == date(2019, 2, 27)
    assert finding.says.startswith("category sports has had no click or display since 2019-02-27; 27 would be usual")
    assert check({}, CheckLimits(silent_events=28)).get("categories") is None


def test_an_event_name_that_fell_silent(check: Check) -> None:
    lake = {
        key: data.replace(b"\ttop_news", b"\tnew_news") if key >= "2019-03-02" else data
        for key, data in usual_lake().items()
    }
    found = check(lake, CheckLimits(factor=9))
    assert found.keys() == {"events"}
    (finding,) = found["events"]
    assert finding.says.startswith(
        "event top_news_card_viewed has had no click or display since 2019-03-02; 80 would be"
    )
    # Files that an older program counted say nothing about names.
    assert check({}, CheckLimits(factor=9), damage="update state.lake_files set event_days = null") == {}


def test_a_share_of_rejected_lines(check: Check) -> None:
    lake = usual_lake()
    lake["2019-03-01.tsv"] += b"bad\n" * 4
    lake["2019-03-01-b.tsv"] = HEADER + usual_day(date(2019, 3, 1)) + b"bad\n"
    (finding,) = check(lake, CheckLimits(factor=9))["rejected"]
    assert finding.day == date(2019, 3, 1)
    assert "12.2% of the 41 lines in files of 2019-03-01 were rejected, most in 2019-03-01.tsv" in finding.says
    assert check({}, CheckLimits(factor=9, rejected_percent=13)) == {}


def test_a_rejected_line_in_a_hundred_is_usual(check: Check) -> None:
    day = date(2019, 3, 3)
    lake = {f"{day}.tsv": HEADER + line(day, "my_news_card_viewed", "a") * 99 + b"bad\n"}
    assert check(lake) == {}
    lake[f"{day}.tsv"] += b"bad\n"
    assert check(lake).keys() == {"rejected"}


def test_events_of_the_future(check: Check) -> None:
    lake = usual_lake()
    lake["2019-03-03.tsv"] += line(date(2019, 3, 4), "app_opened", "a", "12:04:00")
    assert check(lake) == {}
    lake["2019-03-03.tsv"] += line(date(2019, 3, 5), "app_opened", "a", "12:00:00")
    found = check(lake)
    assert found.keys() == {"future"}
    assert (
        "2019-03-03.tsv has an event of 2019-03-05 12:00:00.000000 UTC, which is in the future"
        in found["future"][0].says
    )
    assert check({}, CheckLimits(future_seconds=1e6)) == {}


def test_a_session_over_24_hours(check: Check) -> None:
    lake = usual_lake()
    session = b"2019-02-26 10:00:00\ts\tapp_opened\tlong\t\n2019-02-26 10:00:00\ts\tapp_opened\tmany\t\n"
    lake["2019-02-26.tsv"] += session
    many = b"2019-02-26 0%d:00:00\ts%d\tapp_opened\tmany\t\n2019-02-26 2%d:00:00\ts%d\tapp_opened\tmany\t\n"
    lake["2019-02-26.tsv"] += b"".join(many % (n, n, n, n) for n in range(4))  # three days together, but none over one
    lake["2019-02-27.tsv"] += b"2019-02-27 10:00:00\ts\tapp_opened\tlong\t\n"
    assert check(lake) == {}
    lake["2019-02-27.tsv"] += b"2019-02-27 10:00:01\ts\tapp_opened\tlong\t\n"
    (finding,) = check(lake)["sessions"]
    assert finding.day == date(2019, 2, 26)
    assert "user long has a session of 24.0 hours from 2019-02-26 10:00:00.000000 UTC" in finding.says
    assert check({}, CheckLimits(session_hours=25)) == {}


def test_a_user_with_many_events_on_a_day(check: Check, database: str) -> None:
    lake, day = usual_lake(), date(2019, 2, 26)
    bot = line(day, "my_news_card_viewed", "news", user="bot", category="news")
    lake[f"{day}.tsv"] += bot * 10_000
    limits = CheckLimits(factor=10_000)
    assert check(lake, limits) == {}
    assert list(busy_users(database)) == []
    lake[f"{day}.tsv"] += bot
    found = check(lake, limits)
    assert found.keys() == {"users"}
    assert found["users"][0].says.startswith("user bot has 10,001 clicks and displays on 2019-02-26: ")
    assert list(busy_users(database)) == [("bot", day, 10_001, 0, 1)]


def busy_users(database: str) -> list[tuple[object, ...]]:
    return execute(database, "select user_id, date, displays, clicks, sessions from busy_users")


def test_clicks_without_a_display(check: Check) -> None:
    lake = usual_lake()
    lake["2019-02-26.tsv"] += line(date(2019, 2, 26), "article_viewed", "hidden", category="news")
    found = check(lake)
    assert found.keys() == {"displays"}
    (finding,) = found["displays"]
    assert finding.says.startswith(
        "2019-02-26 has 1 click of 7 on articles without a display on that day, most on hidden"
    )
    assert check({}, CheckLimits(undisplayed_percent=20)) == {}
