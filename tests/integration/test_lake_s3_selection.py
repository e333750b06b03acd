"""Listings of a part of a lake in S3: no page that holds no selected file, and never a file less."""

from datetime import date, timedelta

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from processor.lake import s3
from processor.lake.base import Lake
from processor.lake.open_lake import open_lake
from processor.lake.selection import Selection
from processor.plan import Plan
from tests.support.event_files import CLICK, HEADER, LAKE
from tests.support.ingest import ingest_folder
from tests.support.lake_files import fingerprints
from tests.support.odd_s3 import OddS3
from tests.support.program_runs import read_result, run
from tests.support.proxies import S3Proxy, put
from tests.support.tables import Model

DAYS = [f"2019-02-{day:02}" for day in range(9, 22)] + ["1999-12-31", "2099-12-31"]
BEGINNINGS = ["", "events/", "year=", "x"]
# Keys that hold a date elsewhere, or none, and begin with no year.
ODD_KEYS = ["0/2019-02-15.tsv", "1/2019/02/10/b.tsv", "a.tsv", "events.tsv", "eventt/20190220.tsv", "z/é2019-02-12.tsv"]
LIMITS = st.one_of(
    st.none(),
    st.sampled_from([*DAYS, "1850-01-01", "2150-01-01"]),
    st.sampled_from(["", "2019-02-1", "2019-02-15.tsv", "events/2019-02-15", "x2", "year=2019", "é", "\n", "~"]),
)


def keys_of(lake: Lake, known: list[str], selection: Selection) -> list[str]:
    return sorted(file.key for file in lake.list_files(known, selection))


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    begin=st.sampled_from(BEGINNINGS),
    days=st.lists(st.sampled_from(DAYS), unique=True),
    odd_keys=st.lists(st.sampled_from(ODD_KEYS), unique=True),
    known=st.lists(st.sampled_from([*DAYS, *ODD_KEYS])),
    since=LIMITS,
    until=LIMITS,
    page=st.integers(1, 4),
    obeys=st.booleans(),
)
@example("", ["2019-02-15"], ODD_KEYS, ["2019-02-10"], "2019-02-11", "2019-02-16", 1, True)
def test_what_is_listed_is_what_is_selected(
    odd: OddS3,
    monkeypatch: pytest.MonkeyPatch,
    begin: str,
    days: list[str],
    odd_keys: list[str],
    known: list[str],
    since: str | None,
    until: str | None,
    page: int,
    obeys: bool,
) -> None:
    monkeypatch.setattr(s3, "PAGE_KEYS", 2)
    odd.objects.clear()
    keys = [*(f"{begin}{day}.tsv" for day in days), *odd_keys]
    odd.put(dict.fromkeys(keys, b"x"))
    odd.page, odd.obeys_start_after = page, obeys
    selection = Selection(since, until)
    listed = keys_of(open_lake(LAKE), [f"{begin}{one}.tsv" if one in DAYS else one for one in known], selection)
    assert listed == sorted(filter(selection.includes, keys))


def days_of_files(odd: OddS3, form: str) -> list[str]:
    """Put four files a day for 100 days, ten in a page; return their keys."""
    days = [date(2019, 1, 1) + timedelta(days=number) for number in range(100)]
    keys = [f"{day:{form}}/{number}.tsv" for day in days for number in range(4)]
    odd.put(dict.fromkeys(keys, HEADER + CLICK))
    odd.page = 10
    return keys


@pytest.mark.parametrize("form", ["%Y-%m-%d", "%Y/%m/%d", "%Y%m%d", "events/year=%Y/month=%m/day=%d"])
@pytest.mark.parametrize(
    ("since", "until", "pages"),
    [
        ("2019-03-30", None, 6),  # 48 files, and what sorts before all years
        ("2019-03-30", "2019-03-31", 3),  # and what sorts after them
        (None, "2019-01-02", 2),
        ("2019-04-11", None, 2),
    ],
)
def test_a_date_that_keys_begin_with_limits_the_listing(
    odd: OddS3, form: str, since: str | None, until: str | None, pages: int
) -> None:
    keys = days_of_files(odd, form)
    selection = Selection(since, until)
    assert keys_of(open_lake(LAKE), keys[:40], selection) == sorted(filter(selection.includes, keys))
    assert len(odd.requests) == pages


@pytest.mark.parametrize(
    ("since", "until", "pages", "prefix"),
    [
        ("2019-03-30/0.tsv", None, 5, ""),
        ("2019-03-30/0.tsv", "2019-03-30/3.tsv", 1, "2019-03-30/"),
        (None, "2019-01-0", 4, ""),
        ("b", "a", 1, "a"),
    ],
)
def test_a_key_limits_the_listing_whatever_is_known(
    odd: OddS3, since: str | None, until: str | None, pages: int, prefix: str
) -> None:
    keys = days_of_files(odd, "%Y-%m-%d")
    selection = Selection(since, until)
    assert keys_of(open_lake(LAKE), [], selection) == sorted(filter(selection.includes, keys))
    assert (len(odd.requests), odd.requests[0].key) == (pages, f"p/{prefix}")


@pytest.mark.parametrize("known", [[], ["a.tsv"], ["2019-01-01/0.tsv", "b/2019-01-01.tsv"]])
def test_the_whole_bucket_is_listed_unless_all_known_keys_begin_with_their_date(odd: OddS3, known: list[str]) -> None:
    keys = days_of_files(odd, "%Y-%m-%d")
    odd.put({"0/2019-04-01.tsv": b""})
    assert keys_of(open_lake(LAKE), known, Selection("2019-04-09")) == keys[-8:]
    assert len(odd.requests) == 41


def test_a_directory_bucket_lists_the_folder_that_holds_all_selected_keys(odd: OddS3) -> None:
    odd.put({"a/1.tsv": b"", "a/2.tsv": b"", "a-1.tsv": b"", "b/1.tsv": b""})
    lake = open_lake("s3://lake--use1-az4--x-s3/p/")
    listing = lake._listing  # type: ignore[attr-defined]
    # The endpoint accepts any bucket; only the name makes it a directory bucket.
    listing._client, listing._bucket = open_lake(LAKE)._listing._client, "lake"  # type: ignore[attr-defined]
    assert keys_of(lake, [], Selection("a/2", "a/3")) == ["a/2.tsv"]
    assert keys_of(lake, ["2019-02-15.tsv"], Selection("a/2")) == ["a/2.tsv", "b/1.tsv"]
    assert [(request.key, request.after) for request in odd.requests] == [("p/a/", None), ("p/", None)]


def test_files_that_were_not_listed_are_not_missing(odd: OddS3, database: str) -> None:
    """Neither a run that prunes nor verify may take files outside of the listed pages for deleted ones."""
    lake = {f"2019-02-{day}.tsv": HEADER + CLICK * day for day in range(10, 20)}
    odd.put(lake)
    ingest_folder(LAKE, database, Plan())
    odd.requests.clear()
    odd.page = 2
    for options in (["--prune-all", "--since", "2019-02-18"], ["--prune", "--until", "2019-02-11.tsv"]):
        done = read_result(run("--json", *options, lake=LAKE, database=database))
        assert (done["files_unchanged"], done["files_forgotten"]) == (2, 0)
        assert run("verify", *options[-2:], lake=LAKE, database=database).returncode == 0
    assert len([request for request in odd.requests if request.kind == "list"]) == 8  # 20 for the whole bucket
    del odd.objects["p/2019-02-18.tsv"], odd.objects["p/2019-02-10.tsv"]
    done = read_result(run("--json", "--prune", "--since", "2019-02-18", lake=LAKE, database=database))
    assert done["files_forgotten"] == 1
    del lake["2019-02-18.tsv"]
    assert fingerprints(database).keys() == lake.keys()
    Model().check(database, lake)


def test_a_server_of_s3_lists_from_a_date_on(bucket: str, monkeypatch: pytest.MonkeyPatch, database: str) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "5")
    for number in range(10, 30):
        put(bucket, f"lake/dt=2019-02-{number}/a.tsv", HEADER + CLICK)
    ingest_folder("s3://events/lake", database, Plan())
    proxy = S3Proxy(bucket)
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    counts = []
    for selection in (Selection(), Selection("2019-02-28"), Selection("dt=2019-02-28/"), Selection(None, "2019-02-10")):
        before = len(proxy.requests)
        tally, errors = ingest_folder("s3://events/lake", database, Plan(selection=selection))
        assert (tally.files_counted, errors) == (0, {})
        counts.append((tally.files_unchanged, len(proxy.requests) - before))
    proxy.close()
    assert counts == [(20, 4), (2, 2), (2, 1), (1, 2)]
