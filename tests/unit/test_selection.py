"""A selection of files by dates or keys."""

import pytest

from processor.lake.selection import Selection, find_date


@pytest.mark.parametrize(
    ("selection", "keys"),
    [
        (Selection(), "abcdefg"),
        (Selection("2019-02-15"), "bcdf"),
        (Selection(None, "2019-02-15"), "ac"),
        (Selection("2019-02-15", "2019-02-15"), "c"),
        (Selection("2019/02/15", "2019/02/16"), "c"),
        (Selection("e"), "efg"),
        (Selection(None, "2019"), "abc"),
    ],
)
def test_a_selection_is_by_date_or_by_key(selection: Selection, keys: str) -> None:
    lake = {
        "a": "2019-02-14.tsv",
        "b": "20190216.tsv",
        "c": "2019/02/15/x.tsv",
        "d": "dt=2019-02-16/20180101.tsv",
        "e": "e/no-date-12019-02-16.tsv",
        "f": "f/year=2019/month=02/day=16/a.tsv",
        "g": "g/2019-13-01.tsv",
    }
    assert "".join(name for name, key in lake.items() if selection.includes(key)) == keys


def test_dates_of_keys() -> None:
    assert find_date("a/2019-02-15T03.tsv") == "2019-02-15"
    assert find_date("a/1550200000123.tsv") is None
