"""Listings of S3 and of compatible stores: incomplete ones fail, and keys are decoded."""

import json
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from processor.lake import s3
from processor.lake.base import Lake, LakeError
from processor.lake.open_lake import open_lake
from tests.support.event_files import FILES, LAKE, events
from tests.support.ingest import PLAN, ingest_folder
from tests.support.lake_files import fingerprints
from tests.support.odd_s3 import OddS3, Request, S3Error
from tests.support.program_runs import Run, read_result, run
from tests.support.tables import Model
from tests.support.waiting import wait_until

# Changes to a page that break the promises of ListObjectsV2.


def without(*names: str) -> Callable[[dict[str, Any]], None]:
    return lambda page: page.update(dict.fromkeys(names))


def same_token(page: dict[str, Any]) -> None:
    page.update(IsTruncated="true", NextContinuationToken="p/b.tsv")


def swapped(page: dict[str, Any]) -> None:
    page["Contents"].reverse()


def doubled(page: dict[str, Any]) -> None:
    page["Contents"].append(page["Contents"][-1])
    page["KeyCount"] = str(len(page["Contents"]))


def shorter(page: dict[str, Any]) -> None:
    page["Contents"].pop()


def emptied(page: dict[str, Any]) -> None:
    if page["IsTruncated"] == "true":
        page.update(Contents=[], KeyCount="0")


def from_elsewhere(page: dict[str, Any]) -> None:
    page["Contents"][-1]["Key"] = "q/a.tsv"


def nameless(page: dict[str, Any]) -> None:
    page["Contents"][-1]["Key"] = None


def unnamed(page: dict[str, Any]) -> None:
    page["Contents"][-1]["Key"] = ""


BROKEN = {
    "no token": (without("NextContinuationToken"), "more keys follow, but sent no continuation token"),
    "empty token": (
        lambda page: page.update(NextContinuationToken=""),
        "more keys follow, but sent no continuation token",
    ),
    "marker": (
        lambda page: page.update(NextContinuationToken=None, NextMarker="p/b.tsv"),
        "but sent no continuation token",
    ),
    "not truncated": (
        lambda page: page.update(IsTruncated="false"),
        "no more keys follow, but sent a continuation token",
    ),
    "says nothing": (without("IsTruncated"), "does not say whether more keys follow"),
    "says nothing at all": (without("IsTruncated", "NextContinuationToken"), "does not say whether more keys follow"),
    "same token": (same_token, "the same continuation token twice|twice or out of order"),
    "out of order": (swapped, "twice or out of order"),
    "doubled": (doubled, "twice or out of order"),
    "key count": (shorter, "counts 2 keys and sent 1"),
    "empty": (emptied, "more keys follow, but sent none"),
    "elsewhere": (from_elsewhere, "outside of the prefix, or an empty key"),
    "no key": (nameless, "outside of the prefix, or an empty key"),
    "empty key": (unnamed, "outside of the prefix, or an empty key"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_an_incomplete_listing_fails(odd: OddS3, fault: str) -> None:
    edit, says = BROKEN[fault]
    odd.put(FILES)
    odd.page, odd.edit = 2, edit
    with pytest.raises(LakeError, match=f"incomplete: .*({says}); run again.*AWS_ENDPOINT_URL"):
        list(open_lake(LAKE).list_files())


KEYS = st.lists(st.sampled_from(["a", "b", "B", "ä", "x/a", "x/b", "x_", "日", "z"]).map("{}.tsv".format), unique=True)


@pytest.fixture
def lake(odd: OddS3, monkeypatch: pytest.MonkeyPatch) -> Lake:  # noqa: ARG001
    """The lake in the odd S3, of whose known keys two make a page."""
    monkeypatch.setattr(s3, "PAGE_KEYS", 2)
    return open_lake(LAKE)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(present=KEYS, known=KEYS, page=st.integers(1, 4), obeys=st.booleans())
def test_known_keys_change_nothing_but_the_order_of_the_requests(
    odd: OddS3, lake: Lake, present: list[str], known: list[str], page: int, obeys: bool
) -> None:
    odd.objects.clear()
    odd.put(dict.fromkeys([*present, "b", "_c.tsv"], b"x"))
    odd.page, odd.obeys_start_after = page, obeys
    assert list(lake.list_files(known)) == list(lake.list_files())


def test_pages_of_known_keys_are_listed_at_the_same_time(odd: OddS3, lake: Lake) -> None:
    names = [f"{number}.tsv" for number in range(6)]
    odd.put(dict.fromkeys(names, b"x"))
    all_three = threading.Barrier(3)

    def wait(request: Request) -> None:
        if request.kind == "list":
            all_three.wait(30)

    odd.refuse = wait
    assert [file.key for file in lake.list_files(names[:4])] == names
    assert sorted(str(request.after) for request in odd.requests) == ["None", "p/1.tsv", "p/3.tsv"]


@pytest.mark.parametrize("fault", BROKEN)
def test_an_incomplete_part_of_a_listing_fails_it(odd: OddS3, lake: Lake, fault: str) -> None:
    edit, says = BROKEN[fault]
    odd.put(FILES | {f"a{name}": data for name, data in FILES.items()})
    odd.page = 2

    def edit_all_but_the_first(page: dict[str, Any]) -> None:
        if page["Contents"] and page["Contents"][0]["Key"] != "p/a.tsv":
            edit(page)

    odd.edit = edit_all_but_the_first
    with pytest.raises(LakeError, match=f"incomplete: .*({says}); run again.*AWS_ENDPOINT_URL"):
        list(lake.list_files(sorted(FILES)[:2]))


@pytest.mark.usefixtures("lake")
def test_a_run_lists_what_it_knows_at_the_same_time(odd: OddS3, database: str) -> None:
    odd.put(FILES)
    for _ in range(2):
        ingest_folder(LAKE, database, PLAN)
    listed = [str(request.after) for request in odd.requests if request.kind == "list"]
    names = sorted(FILES)
    assert sorted(listed) == sorted(["None", "None", *(f"p/{name}" for name in names[1::2])])
    Model().check(database, FILES)


def test_nothing_is_ingested_from_an_incomplete_listing(odd: OddS3, database: str) -> None:
    odd.put(FILES)
    odd.page, odd.edit = 2, without("NextContinuationToken")
    done = run("--prune-all", lake=LAKE, database=database)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done.stderr
    assert (odd.gets(), fingerprints(database)) == ([], {})


def test_an_incomplete_listing_fails_every_command(odd: OddS3, database: str) -> None:
    odd.put(FILES)
    assert run(lake=LAKE, database=database).returncode == 0
    before = fingerprints(database)
    odd.page, odd.edit = 3, without("NextContinuationToken")
    reads = len(odd.gets())
    for command in (["--prune"], ["--prune-all"], ["--rebuild", "--prune-all"], ["--dry-run", "--prune"], ["status"],
                    ["verify"], ["watch"]):  # fmt: skip
        done = run(*command, lake=LAKE, database=database)
        assert (done.returncode, "is incomplete" in done.stderr) == (1, True), command
    found = json.loads(run("doctor", "--json", lake=LAKE, database=database).stdout)
    assert [check["check"] for check in found["checks"] if check["ok"] is False] == ["lake"]
    assert len(odd.gets()) == reads
    assert fingerprints(database) == before
    Model().check(database, FILES)


def test_a_watch_continues_after_an_incomplete_listing(odd: OddS3, database: str) -> None:
    odd.put(FILES)
    odd.page = 3
    with Run("watch", "--interval", "1", lake=LAKE, database=database) as going:
        wait_until(lambda: len(odd.gets()) == len(FILES))
        odd.edit = without("NextContinuationToken")
        wait_until(lambda: "is incomplete" in going.errors)
        odd.edit = lambda _: None
        odd.put({"z.tsv": FILES["a.tsv"]})
        wait_until(lambda: "z.tsv" in fingerprints(database))
        going.process.terminate()
        assert going.end() == 0
    Model().check(database, FILES | {"z.tsv": FILES["a.tsv"]})


@pytest.mark.parametrize("fault", ["key count", "elsewhere", "no key", "says nothing at all", "no token"])
def test_no_file_is_found_by_an_incomplete_listing(odd: OddS3, fault: str) -> None:
    odd.put(FILES | {"a.tsv.gz": b""})
    edit, _ = BROKEN[fault]
    odd.edit = edit
    with pytest.raises(LakeError, match="is incomplete"):
        open_lake(LAKE).find("a.tsv")


def test_a_missing_file_is_not_found(odd: OddS3) -> None:
    lake = open_lake(LAKE)
    assert lake.find("a.tsv") is None
    odd.put({"a.tsv.gz": b"", "b/c.tsv": b"12"})
    assert lake.find("a.tsv") is None
    assert lake.find("b/c.tsv") is not None


def test_pages_out_of_order_are_noticed(odd: OddS3) -> None:
    odd.put(FILES)
    odd.page, tokens = 2, iter([None, "p/d.tsv", "p/b.tsv"])

    def edit(page: dict[str, Any]) -> None:
        if page["IsTruncated"] == "true":
            page["NextContinuationToken"] = "p/d.tsv" if next(tokens) is None else "p/b.tsv"
        else:
            page.update(IsTruncated="true", NextContinuationToken="p/b.tsv")

    odd.edit = edit
    with pytest.raises(LakeError, match="out of order"):
        list(open_lake(LAKE).list_files())


def test_a_repeated_token_is_noticed_even_if_the_keys_continue(odd: OddS3) -> None:
    odd.put(FILES)
    names = iter(FILES)

    def edit(page: dict[str, Any]) -> None:
        name = next(names)
        page["Contents"] = [item for item in page["Contents"] if item["Key"] == f"p/{name}"]
        page.update(KeyCount="1", IsTruncated="true", NextContinuationToken="T")
        if name == "e.tsv":
            page.update(IsTruncated="false", NextContinuationToken=None)

    odd.edit = edit
    with pytest.raises(LakeError, match="the same continuation token twice"):
        list(open_lake(LAKE).list_files())


def test_keys_are_ordered_by_their_bytes_in_utf8(odd: OddS3) -> None:
    names = ["a-b.tsv", "a.tsv", "a/b.tsv", "\ufffd.tsv", "\U0001f600.tsv", "é.tsv", "Z.tsv", " +%41.tsv"]
    odd.put(dict.fromkeys(names, b"x"))
    odd.page = 1
    assert {file.key for file in open_lake(LAKE).list_files()} == set(names)


def test_a_directory_bucket_may_list_in_any_order_but_no_key_twice(odd: OddS3) -> None:
    odd.put(FILES | {"x/a.tsv": b"1", "x/b.tsv": b"1", "x-a.tsv": b"1"})
    pages = {None: ["d.tsv", "x/b.tsv"], "1": ["a.tsv", "x/a.tsv"]}

    def edit(page: dict[str, Any]) -> None:
        held = {item["Key"]: item for item in page["Contents"]}
        token = odd.requests[-1].token
        if page["Prefix"] == "p/":
            page["Contents"] = [held[f"p/{name}"] for name in pages[token]]
            page.update(
                KeyCount="2", IsTruncated="false" if token else "true", NextContinuationToken=None if token else "1"
            )
        else:
            page["Contents"].reverse()

    odd.edit = edit
    # The endpoint accepts any bucket; only the name makes it a directory bucket.
    place = "s3://lake--use1-az4--x-s3/p/"
    odd.refuse = lambda request: S3Error(404, "NoSuchKey") if "session" in request.key else None
    lake = open_lake(place)
    listing = lake._listing  # type: ignore[attr-defined]
    listing._client, listing._bucket = open_lake(LAKE)._listing._client, "lake"  # type: ignore[attr-defined]
    assert {file.key for file in lake.list_files()} == {"d.tsv", "x/b.tsv", "a.tsv", "x/a.tsv"}
    assert lake.find("x/b.tsv") == next(file for file in lake.list_files() if file.key == "x/b.tsv")
    assert lake.find("x/c.tsv") is None
    assert {request.key for request in odd.requests} == {"p/", "p/x/"}
    pages["1"][1] = "x/b.tsv"
    with pytest.raises(LakeError, match="twice"):
        list(lake.list_files())


NAMES = ["a+b.tsv", "100%.tsv", "%41.tsv", "é ö.tsv", 'x/ü&<>".tsv', "~'(b)*!.tsv"]


@pytest.mark.parametrize("way", ["encoded", "neither", "plus", "only said"])
def test_keys_are_decoded_as_they_were_encoded(odd: OddS3, database: str, way: str) -> None:
    lake = {name: events(number, 5, "t") for number, name in enumerate(NAMES)}
    odd.put(lake)

    def edit(page: dict[str, Any]) -> None:
        for item, key in zip(page["Contents"], sorted(odd.objects, key=str.encode), strict=False):
            if way != "encoded":
                item["Key"] = key
            if way == "plus":
                item["Key"] = quote_plus(key, safe="/")
        if way == "neither":
            page["EncodingType"] = None

    odd.edit = edit
    done = run(lake=LAKE, database=database)
    assert (done.returncode, done.stderr) == (0, "")
    Model().check(database, lake)


def test_a_key_is_not_decoded_unless_s3_says_that_it_is_encoded(odd: OddS3) -> None:
    odd.put({"%41+.tsv": b"x"})
    odd.edit = lambda page: page["Contents"][0].update(Key="p/%41+.tsv") or page.update(EncodingType=None)
    assert [file.key for file in open_lake(LAKE).list_files()] == ["%41+.tsv"]


def test_a_key_that_is_not_utf8_fails_only_its_file(odd: OddS3, database: str) -> None:
    odd.put({"a.tsv": FILES["a.tsv"], "b.tsv": FILES["b.tsv"]})
    odd.edit = lambda page: page["Contents"][-1].update(Key="p/%FF.tsv")
    done = run("--json", lake=LAKE, database=database)
    assert (done.returncode, read_result(done)["files_counted"], read_result(done)["files_failed"]) == (1, 1, 1)
    assert "not valid UTF-8" in done.stderr
