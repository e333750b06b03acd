"""What the report says in words, against numbers that can be checked by hand."""

from datetime import timedelta
from decimal import Decimal

import pytest

from processor.report.headlines import describe_change, describe_restatements, write_headlines
from processor.report.page_data import ChangedArticle, RestatedDay
from processor.report.summary import CategoryDay, summarize
from tests.support.category_days import day


def found(*some: CategoryDay, article: ChangedArticle | None = None) -> list[str]:
    """The headlines in some rows."""
    summary = summarize(some)
    assert summary is not None
    return write_headlines(summary, article)


def test_the_leader_and_the_last_are_named_with_their_uncertainty() -> None:
    (said,) = found(day("news", 0, 5000, 300), day("people_shows", 0, 5000, 100), day("music", 0, 5000, 150))
    assert said == (
        "News leads: 6.00 % (95 %: 5.37–6.69 %) of its displays were clicked. People & shows trails with 2.00 % "
        "(95 %: 1.65–2.43 %). Chance alone hardly explains the difference."
    )


def test_a_difference_within_chance_is_called_so() -> None:
    (said,) = found(day("a", 0, 1000, 30), day("b", 0, 1000, 20))
    assert said.endswith("Chance alone could explain the difference.")


def test_the_first_and_the_last_of_many_differ_by_chance_more_easily() -> None:
    two = [day("a", 0, 1000, 60), day("b", 0, 1000, 38)]
    assert found(*two)[0].endswith("hardly explains the difference.")
    assert found(*two, *(day(f"c{i}", 0, 1000, 50) for i in range(8)))[0].endswith("could explain the difference.")


@pytest.mark.parametrize(
    "some",
    [
        [day("a")],
        [day("a"), day("b", 0, 99, 50)],
        [day("a"), day("b", 0, 100, 101)],
        [day("a"), CategoryDay(None, day().date, 5000, 1, categories=2)],
    ],
    ids=["one category", "few displays", "a rate above 1", "others"],
)
def test_what_cannot_be_compared_is_not_ranked(some: list[CategoryDay]) -> None:
    assert found(*some) == []


@pytest.mark.parametrize(
    ("clicks", "rate", "change", "judgement"),
    [
        (60, "6.00 % (95 %: 4.69–7.65 %)", "2.00 points above", "Chance alone hardly explains the difference."),
        (45, "4.50 % (95 %: 3.38–5.97 %)", "0.50 points above", "Chance alone could explain the difference."),
        (20, "2.00 % (95 %: 1.30–3.07 %)", "2.00 points below", "Chance alone hardly explains the difference."),
        (40, "4.00 % (95 %: 2.95–5.40 %)", "the same as", "Chance alone could explain the difference."),
        (2000, "200 %", "196.0 points above", ""),
    ],
)
def test_the_last_day_is_compared_with_the_one_before(clicks: int, rate: str, change: str, judgement: str) -> None:
    said = f"On 16 Feb 2019, {rate} of all displays were clicked, {change} 15 Feb 2019. {judgement}"
    assert found(day(), day(after=1, clicks=clicks)) == [said.rstrip()]


def test_the_article_that_changed_most_is_named() -> None:
    some = day(), day(after=2)
    assert found(*some, article=ChangedArticle("a1", "A title", 1200, 5000))[-1] == (
        "“A title” changed most: 5,000 clicks on 17 Feb 2019, 3,800 more than on 15 Feb 2019."
    )
    assert found(*some, article=ChangedArticle("a1\n", None, 3, 1))[-1] == (
        "“a1\\n” changed most: 1 click on 17 Feb 2019, 2 fewer than on 15 Feb 2019."
    )


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([100, 112], "+12 % on the day before"),
        ([100, 99.5], "−0.5 % on the day before"),
        ([7, 7], "±0.0 % on the day before"),
        ([100, float("nan"), 50], "−50 % on the day before"),
        ([5], ""),
        ([], ""),
        ([0, 5], ""),
    ],
)
def test_a_change_is_relative(values: list[float], said: str) -> None:
    assert describe_change(values, "day") == said


def test_a_change_of_rates_is_in_points() -> None:
    assert describe_change([0, 0.05], "week", are_rates=True) == "+5.00 points in the last whole week"
    assert describe_change([0.05, 0.04], "day", are_rates=True) == "−1.00 points on the day before"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ((0, 0, 0), "."),
        ((3, 0, -1), ": 3 displays more, 1 session fewer."),
        ((0, -1200, 1), ": 1,200 clicks fewer, 1 session more."),
    ],
)
def test_restated_days_are_summed(more: tuple[int, int, int], said: str) -> None:
    numbers = (1, 2, 3, 4, 5, 6, Decimal(7), Decimal(8))
    last = day().date
    rows = [RestatedDay(last, ["a"], 1, *numbers, 2, last - timedelta(4), last, *more)] * 2
    assert describe_restatements(rows) == [
        f"The last run changed 2 days that had been published before, 11 Feb 2019 to 15 Feb 2019{said}"
    ]
    assert describe_restatements([]) == []
