"""Odd answers of S3 and of compatible stores: incomplete listings, missing fields, lasting refusals."""

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from urllib.parse import quote_plus

import pytest

from processor.lake.base import ChangedError, FileError, LakeError, LakeFile, LakeSettingError
from processor.lake.location import open_lake
from processor.lake.text import read_text
from tests.support.database_queries import ask
from tests.support.event_files import FILES, LAKE, events
from tests.support.odd_s3 import OLD, Asked, OddS3, Refusal
from tests.support.program_runs import Run, outcome, run
from tests.support.tables import Model
from tests.support.waiting import wait_until


def read(key: str = "a.tsv") -> bytes:
    """Return the text of a lake file as it is listed now."""
    lake = open_lake(LAKE)
    (file,) = (file for file in lake.list_files() if file.key == key)
    return b"".join(read_text(lake, file))


def fingerprints(database: str) -> dict[object, object]:
    """Return the fingerprints of the files that the database has ingested."""
    return dict(ask(database, "select key, fingerprint from state.lake_files where fingerprint is not null"))  # type: ignore[arg-type]


def failed(database: str) -> list[tuple[object, ...]]:
    """Return the failed files of the database."""
    return ask(database, "select key, error from state.lake_files where error is not null order by 1")


def line_of(done: Any) -> str:
    """Return the only line of a run that failed."""
    (line,) = [
        line for line in done.stderr.splitlines() if not line.startswith(("nothing was counted", "Done", "Nothing"))
    ]
    return str(line)


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
        token = odd.asked[-1].token
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
    odd.refuse = lambda asked: Refusal(404, "NoSuchKey") if "session" in asked.key else None
    lake = open_lake(place)
    listing = lake._listing  # type: ignore[attr-defined]
    listing._client, listing._bucket = open_lake(LAKE)._listing._client, "lake"  # type: ignore[attr-defined]
    assert {file.key for file in lake.list_files()} == {"d.tsv", "x/b.tsv", "a.tsv", "x/a.tsv"}
    assert lake.find("x/b.tsv") == next(file for file in lake.list_files() if file.key == "x/b.tsv")
    assert lake.find("x/c.tsv") is None
    assert {asked.key for asked in odd.asked} == {"p/", "p/x/"}
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
    assert (done.returncode, outcome(done)["files_counted"], outcome(done)["files_failed"]) == (1, 1, 1)
    assert "not valid UTF-8" in done.stderr


# Fields that are optional in S3's reference.


def no_fields(*names: str) -> Callable[[dict[str, Any]], None]:
    def edit(page: dict[str, Any]) -> None:
        for item in page["Contents"]:
            item.update(dict.fromkeys(names))

    return edit


@pytest.mark.parametrize("value", [None, "", '""', 'W/""', "a b", "é"])
def test_without_an_etag_the_time_distinguishes_versions(odd: OddS3, database: str, value: str | None) -> None:
    def edit(page: dict[str, Any]) -> None:
        for item in page["Contents"]:
            item["ETag"] = value

    odd.edit, odd.answer = edit, lambda headers, body: headers.update(ETag=None) or body
    first, second = events(1, 9, "first"), events(1, 9, "other")
    assert len(first) == len(second)
    odd.put({"a.tsv": first})
    assert run(lake=LAKE, database=database).returncode == 0
    Model().check(database, {"a.tsv": first})
    assert odd.asked[-1].headers.keys() & {"if-match", "if-unmodified-since"} == {"if-unmodified-since"}
    again = run("--json", lake=LAKE, database=database)
    assert (outcome(again)["files_unchanged"], len(odd.gets())) == (1, 1)
    assert "only LastModified and the size distinguish their versions" in again.stderr.splitlines()[-1]
    odd.put({"a.tsv": second}, OLD + timedelta(seconds=1))
    assert run(lake=LAKE, database=database).returncode == 0
    Model().check(database, {"a.tsv": second})


@pytest.mark.parametrize("heeds", [True, False])
@pytest.mark.parametrize("later", [1, 0.5, 3600])
def test_an_object_without_an_etag_that_is_replaced_after_the_listing_is_noticed(
    odd: OddS3, database: str, heeds: bool, later: float
) -> None:
    odd.edit, odd.heeds_conditions = no_fields("ETag"), heeds
    odd.answer = lambda headers, body: headers.update(ETag=None) or body
    first, second = events(1, 9, "first"), events(1, 9, "other")
    written = OLD + timedelta(seconds=0.7)
    odd.put({"a.tsv": first}, written)

    def refuse(asked: Asked) -> None:
        if asked.what == "get" and len(odd.gets()) == 1:
            odd.put({"a.tsv": second}, written + timedelta(seconds=later))

    odd.refuse = refuse
    done = run(lake=LAKE, database=database)
    assert (done.returncode, "it was replaced after it was listed; the next run" in done.stderr) == (1, True)
    assert run(lake=LAKE, database=database).returncode == 0
    Model().check(database, {"a.tsv": second})


def test_a_lake_with_etags_needs_no_warning(odd: OddS3, database: str) -> None:
    odd.put(FILES)
    assert run(lake=LAKE, database=database).stderr == ""
    odd.edit = no_fields("ETag")
    found = json.loads(run("doctor", "--json", lake=LAKE, database=database).stdout)
    assert "only LastModified" in next(check["says"] for check in found["checks"] if check["check"] == "lake")


def test_a_time_with_fractions_of_a_second_is_read(odd: OddS3, database: str) -> None:
    odd.edit = no_fields("ETag")
    odd.put({"a.tsv": FILES["a.tsv"]}, OLD + timedelta(seconds=0.7))
    assert run(lake=LAKE, database=database).returncode == 0
    Model().check(database, {"a.tsv": FILES["a.tsv"]})


@pytest.mark.parametrize("time", ["2024-01-01T00:00:00", "2024-01-01T05:00:00.5+05:00", "1704067200"])
def test_a_time_in_another_form_is_read(odd: OddS3, time: str) -> None:
    odd.put({"a.tsv": FILES["a.tsv"]}, OLD + timedelta(seconds=0.5 if "." in time else 0))
    odd.edit = lambda page: page["Contents"][0].update(ETag=None, LastModified=time)
    assert read() == FILES["a.tsv"]


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+05:00", "0300-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z"])
def test_an_impossible_time_is_ignored(odd: OddS3, database: str, time: str) -> None:
    odd.put(FILES)
    odd.edit = lambda page: page["Contents"][0].update(ETag=None, LastModified=time)
    done = run("--json", lake=LAKE, database=database)
    assert (outcome(done)["files_counted"], [key for key, _ in failed(database)]) == (len(FILES) - 1, ["a.tsv"])
    assert "neither ETag nor LastModified" in done.stderr


def test_a_recent_object_without_an_etag_is_read_again(odd: OddS3, database: str) -> None:
    odd.edit = no_fields("ETag")
    now = datetime.now(UTC).replace(microsecond=0)
    first, second = events(1, 9, "first"), events(1, 9, "other")
    odd.put({"a.tsv": first, "old.tsv": FILES["b.tsv"]})
    odd.put({"a.tsv": first}, now + timedelta(seconds=5))  # the server's present, even on a slow machine
    assert run(lake=LAKE, database=database).returncode == 0
    odd.put({"a.tsv": second}, now + timedelta(seconds=5))  # in the same second, of the same size
    wait_until(lambda: datetime.now(UTC) > now + timedelta(seconds=7.5))
    assert run(lake=LAKE, database=database).returncode == 0
    Model().check(database, {"a.tsv": second, "old.tsv": FILES["b.tsv"]})
    assert sorted(odd.gets()) == ["p/a.tsv", "p/a.tsv", "p/old.tsv"]


def test_a_file_whose_versions_cannot_be_distinguished_fails_alone(odd: OddS3, database: str) -> None:
    odd.put(FILES)
    assert run(lake=LAKE, database=database).returncode == 0
    reads = len(odd.gets())
    for names, says in ((("ETag", "LastModified"), "neither ETag nor LastModified"), (("Size",), "without its size")):
        odd.edit = lambda page, names=names: page["Contents"][0].update(dict.fromkeys(names))  # type: ignore[misc]
        for command in ([], ["--prune"], ["verify"]):
            done = run(*command, lake=LAKE, database=database)
            assert (done.returncode, says in done.stderr) == (1, True)
        assert [key for key, _ in failed(database)] == ["a.tsv"]
    odd.edit = no_fields("Size")
    assert run(lake=LAKE, database=database).returncode == 1
    found = json.loads(run("doctor", "--json", lake=LAKE, database=database).stdout)
    assert [check["check"] for check in found["checks"] if check["ok"] is False] == ["lake"]
    assert len(odd.gets()) - reads == 2 * (len(FILES) - 1)  # verify reads the others
    odd.edit = lambda _: None
    assert run(lake=LAKE, database=database).returncode == 0
    assert failed(database) == []
    Model().check(database, FILES)


def test_an_old_fingerprint_of_the_size_alone_is_not_trusted(odd: OddS3, database: str) -> None:
    odd.put({"a.tsv": FILES["a.tsv"]})
    assert run(lake=LAKE, database=database).returncode == 0
    size = len(FILES["a.tsv"])
    ask(database, f"update state.lake_files set fingerprint = '-{size}' returning 1")
    odd.edit = no_fields("ETag", "LastModified")
    assert run(lake=LAKE, database=database).returncode == 1


@pytest.mark.parametrize("names", [("StorageClass",), ("LastModified",), ("StorageClass", "LastModified")])
def test_other_fields_of_a_listing_may_be_missing(odd: OddS3, names: tuple[str, ...]) -> None:
    def edit(page: dict[str, Any]) -> None:
        no_fields(*names)(page)
        page.update(KeyCount=None, Name=None, Prefix=None)

    odd.put(FILES)
    odd.page, odd.edit = 2, edit
    assert {key: read(key) for key in FILES} == FILES


@pytest.mark.parametrize("name", ["Size", "LastModified", "KeyCount", "IsTruncated"])
@pytest.mark.parametrize("value", ["\x9brubbish", "", "-1"])
def test_a_field_that_cannot_be_read_is_reported(odd: OddS3, name: str, value: str) -> None:
    def edit(page: dict[str, Any]) -> None:
        (page["Contents"][0] if name in page["Contents"][0] else page)[name] = value

    odd.put(FILES)
    odd.edit = edit
    if (name, value) == ("LastModified", "-1"):  # botocore accepts seconds since 1970
        assert read() == FILES["a.tsv"]
        return
    with pytest.raises((LakeError, FileError)):
        read()


def test_is_truncated_may_be_in_capitals(odd: OddS3) -> None:
    odd.put(FILES)
    odd.page, odd.edit = 2, lambda page: page.update(IsTruncated=str(page["IsTruncated"]).title())
    assert [file.key for file in open_lake(LAKE).list_files()] == list(FILES)


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ({"ETag": None}, "S3 answered without ETag"),
        ({"ETag": ""}, "S3 answered without ETag"),
        ({"Content-Range": None}, "other bytes than requested"),
        ({"Content-Range": "rubbish"}, "other bytes than requested"),
        ({"Content-Range": "bytes 1-5/9"}, "other bytes than requested"),
        ({"Last-Modified": None, "ETag": None}, "S3 answered without ETag"),
    ],
)
def test_fields_of_an_answer_may_be_missing(odd: OddS3, headers: dict[str, str | None], says: str) -> None:
    odd.put(FILES)
    odd.answer = lambda sent, body: sent.update(headers) or body
    with pytest.raises(FileError, match=f"{says}[^;]*; [^;]*AWS_ENDPOINT_URL"):
        read()


@pytest.mark.parametrize("headers", [{"Last-Modified": None}, {"Last-Modified": "Mon, 01 Jan 2018 00:00:00 GMT"}])
def test_the_time_of_an_answer_does_not_matter_if_there_is_an_etag(odd: OddS3, headers: dict[str, str | None]) -> None:
    odd.put(FILES)
    odd.answer = lambda sent, body: sent.update(headers) or body
    assert read() == FILES["a.tsv"]


@pytest.mark.parametrize("value", ["rubbish", ""])
def test_an_unreadable_time_of_an_answer_is_reported(odd: OddS3, database: str, value: str) -> None:
    odd.put({"a.tsv": FILES["a.tsv"]})
    odd.edit = no_fields("ETag")
    odd.answer = lambda sent, body: sent.update({"Last-Modified": value}) or body
    done = run(lake=LAKE, database=database)
    assert (done.returncode, fingerprints(database)) == (1, {})


def test_without_an_etag_an_answer_needs_a_time(odd: OddS3) -> None:
    odd.put(FILES)
    odd.edit = no_fields("ETag")
    odd.answer = lambda sent, body: sent.update({"Last-Modified": None}) or body
    with pytest.raises(FileError, match="S3 answered without Last-Modified"):
        read()


def test_an_answer_need_not_contain_the_size_of_the_object(odd: OddS3) -> None:
    odd.put(FILES)
    odd.answer = lambda sent, body: sent.update({"Content-Range": f"bytes 0-{len(body) - 1}/*"}) or body
    assert read() == FILES["a.tsv"]


def test_an_endpoint_without_byte_ranges_is_reported(odd: OddS3) -> None:
    odd.put(FILES)
    odd.heeds_ranges = False
    with pytest.raises(FileError, match="use an endpoint that supports byte ranges"):
        read()


def test_a_byte_range_is_not_compared_with_the_checksum_of_the_object(odd: OddS3) -> None:
    data = bytes(range(256)) * 4096
    odd.put({"a.tsv": data})
    lake = open_lake(LAKE)
    (file,) = lake.list_files()
    assert b"".join(read_text(lake, file, 300_001, 700_003)) == data[300_001:700_003]
    assert "x-amz-checksum-mode" not in odd.asked[-1].headers


# ETags that are weak, without quotes, or of another object.


def etags(listed: str, answered: str) -> Callable[[OddS3], None]:
    def prepare(odd: OddS3) -> None:
        def edit(page: dict[str, Any]) -> None:
            for item in page["Contents"]:
                item["ETag"] = listed % item["ETag"].strip('"')

        odd.edit = edit
        odd.answer = lambda sent, body: sent.update(ETag=answered % str(sent["ETag"]).strip('"')) or body

    return prepare


@pytest.mark.parametrize("listed", ['"%s"', "%s", 'W/"%s"'])
@pytest.mark.parametrize("answered", ['"%s"', "%s", 'W/"%s"'])
def test_weak_and_bare_etags_are_read(odd: OddS3, listed: str, answered: str) -> None:
    odd.put(FILES)
    etags(listed, answered)(odd)
    assert read() == FILES["a.tsv"]
    odd.put({"a.tsv": FILES["a.tsv"].upper()})
    odd.heeds_conditions = False
    lake = open_lake(LAKE)
    file = next(lake.list_files())
    odd.put({"a.tsv": FILES["a.tsv"]})
    with pytest.raises(ChangedError):
        list(read_text(lake, file))


def test_fingerprints_do_not_change_between_versions_of_the_program(odd: OddS3) -> None:
    odd.put({"a.tsv": b"one"})
    tag = hashlib.md5(b"one").hexdigest()
    for listed, fingerprint in (
        ('"%s"', f"{tag}-3"),
        ("%s", f"{tag}-3"),
        ('W/"%s"', f'W/"{tag}-3'),
        ('"%s-7"', f"{tag}-7-3"),
    ):
        etags(listed, "%s")(odd)
        assert [file.fingerprint for file in open_lake(LAKE).list_files()] == [fingerprint]


@pytest.mark.parametrize("heeds", [True, False])
@pytest.mark.parametrize("listed", ['"%s-1"', 'W/"%s-1"'])
def test_an_etag_that_never_matches_the_object_is_reported(odd: OddS3, heeds: bool, listed: str) -> None:
    odd.put(FILES)
    odd.heeds_conditions = heeds
    etags(listed, '"%s"')(odd)
    with pytest.raises(FileError, match="S3 lists it with another ETag, time or size than the object has") as raised:
        read()
    assert not isinstance(raised.value, ChangedError)


def test_an_object_whose_etag_never_matches_does_not_look_replaced(odd: OddS3, database: str) -> None:
    odd.put(FILES)
    etags('"%s-1"', '"%s"')(odd)
    for _ in range(2):
        done = run("--json", lake=LAKE, database=database)
        assert (done.returncode, outcome(done)["files_failed"]) == (1, len(FILES))
        assert done.stderr.count("S3 lists it with another ETag, time or size than the object has") == len(FILES)
        assert "replaced" not in done.stderr


@pytest.mark.parametrize("size", ["5", "99999"])
def test_a_size_that_never_matches_the_object_is_reported(odd: OddS3, size: str) -> None:
    odd.put(FILES)
    odd.edit = lambda page: page["Contents"][0].update(Size=size)
    with pytest.raises(FileError) as raised:
        read()
    assert not isinstance(raised.value, ChangedError)


def test_an_answer_of_another_size_is_reported(odd: OddS3) -> None:
    odd.put(FILES)
    odd.answer = lambda sent, body: sent.update({"Content-Range": f"bytes 0-{len(body) - 1}/999999"}) or body
    with pytest.raises(FileError, match="another ETag, time or size than the object has"):
        read()


def test_an_object_that_is_listed_but_never_found_is_reported(odd: OddS3) -> None:
    odd.put(FILES)
    odd.refuse = lambda asked: Refusal(404, "NoSuchKey") if asked.what == "get" else None
    with pytest.raises(FileError, match="S3 lists it but does not find it; write it again") as raised:
        read()
    assert not isinstance(raised.value, ChangedError)


def test_the_next_run_notices_an_object_deleted_after_the_listing(odd: OddS3, database: str) -> None:
    odd.put(FILES)

    def refuse(asked: Asked) -> None:
        if asked.what == "get":
            odd.objects.pop("p/e.tsv", None)

    odd.refuse = refuse
    done = run(lake=LAKE, database=database)
    assert (done.returncode, "it was deleted after it was listed; the next run notices" in done.stderr) == (
        1,
        True,
    )
    assert run(lake=LAKE, database=database).returncode == 0


# Refusals by S3, each with the exit code of the run and some words of its message.

AGAIN = "run again later|next run tries again"
KMS = "User: arn:aws:iam::1:user/x is not authorized to perform: kms:Decrypt on resource: arn:aws:kms:eu-west-1:1:key/k"
LIST = "User: x is not authorized to perform: s3:ListBucket on resource: y with an explicit deny"
MALFORMED = "The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-west-1'"
LOCATION = (
    "The me-south-1 location constraint is incompatible for the region specific endpoint this request was sent to."
)
LISTINGS = [
    (Refusal(400, "AuthorizationHeaderMalformed", MALFORMED), 2, "in region eu-west-1; set AWS_DEFAULT_REGION"),
    (Refusal(400, "AuthorizationHeaderMalformed", "other"), 2, "another region; set AWS_DEFAULT_REGION"),
    (Refusal(400, "AuthorizationHeaderMalformed", "expecting '\x9b; drop'"), 2, "another region; set AWS"),
    (Refusal(301, "PermanentRedirect", "", "<Endpoint>lake.s3.eu-west-2.amazonaws.com</Endpoint>"), 2, "eu-west-2"),
    (Refusal(301, ""), 2, "another region; set AWS_DEFAULT_REGION"),
    (Refusal(301, "", headers=(("x-amz-bucket-region", "eu-north-1"),)), 2, "eu-north-1"),
    (Refusal(400, "IllegalLocationConstraintException", LOCATION), 2, "me-south-1"),
    (Refusal(403, "RequestTimeTooSkewed"), 1, "the clock of this machine is wrong; set it"),
    (Refusal(403, "AccessDenied", "Access Denied"), 2, "allow s3:ListBucket.*AWS_REQUEST_PAYER"),
    (Refusal(403, "AccessDenied", LIST), 2, "allow s3:ListBucket, or fix the AWS"),
    (Refusal(403, "AccessDenied", KMS), 2, "allow kms:Decrypt"),
    (Refusal(403, "AccessDenied", "not authorized to perform: s3:\x9bX; do"), 2, "allow s3:ListBucket"),
    (Refusal(403, ""), 2, "allow s3:ListBucket"),
    (Refusal(403, "AccessDenied", "Bucket is a Requester Pays bucket"), 2, "set AWS_REQUEST_PAYER to requester"),
    (Refusal(400, "ExpiredToken"), 2, "the AWS credentials have expired; renew them"),
    (Refusal(400, "TokenRefreshRequired"), 2, "expired; renew them"),
    (Refusal(403, "InvalidAccessKeyId"), 2, "AWS does not know these credentials"),
    (Refusal(403, "SignatureDoesNotMatch"), 2, "the secret key does not belong to the access key"),
    (Refusal(403, "SignatureDoesNotMatch", "Signature expired: 2024 is now earlier than 2025"), 1, "the clock"),
    (Refusal(403, "AllAccessDisabled"), 2, "disabled; ask its owner"),
    (Refusal(404, "NoSuchBucket"), 2, "there is no bucket lake"),
    (Refusal(404, ""), 2, "look at AWS_ENDPOINT_URL"),
    (Refusal(405, "MethodNotAllowed"), 2, "look at AWS_ENDPOINT_URL"),
    (Refusal(501, "NotImplemented"), 2, "look at AWS_ENDPOINT_URL"),
    (Refusal(400, "InvalidRequest"), 1, "look up the error InvalidRequest"),
    (Refusal(400, "\x9b31m"), 1, "look up the error 400"),
    (Refusal(503, "SlowDown"), 1, AGAIN),
    (Refusal(500, "InternalError"), 1, AGAIN),
    (Refusal(502, ""), 1, AGAIN),
    (Refusal(429, "TooManyRequests"), 1, AGAIN),
]  # fmt: skip


@pytest.fixture
def once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not retry refused requests in this process."""
    monkeypatch.setattr("processor.lake.aws_settings.MAX_ATTEMPTS", 1)


@pytest.mark.usefixtures("once")
@pytest.mark.parametrize(("refusal", "code", "says"), LISTINGS, ids=count())
def test_a_refused_listing_says_what_to_do(odd: OddS3, refusal: Refusal, code: int, says: str) -> None:
    odd.refuse = lambda _: refusal
    with pytest.raises(LakeError, match=says) as raised:
        list(open_lake(LAKE).list_files())
    line = str(raised.value)
    assert isinstance(raised.value, LakeSettingError) == (code == 2)
    assert ("again" in line) == (says == AGAIN), line
    assert line.isprintable()


def test_a_refusal_is_one_line_and_an_exit_code(odd: OddS3, database: str) -> None:
    for refusal, code, says in (LISTINGS[0], LISTINGS[7]):
        odd.refuse = lambda _, refusal=refusal: refusal  # type: ignore[misc]
        for command in ([], ["watch"], ["verify"]):
            done = run(*command, lake=LAKE, database=database)
            (line,) = done.stderr.splitlines()
            assert (done.returncode, says in line) == (code, True)


OBJECTS = [
    (Refusal(403, "InvalidObjectState"), "it is in an archive; restore it"),
    (Refusal(403, "AccessDenied", KMS), "allow kms:Decrypt with its KMS key"),
    (Refusal(403, "AccessDenied", "Access Denied"), "allow s3:GetObject on it"),
    (
        Refusal(403, "AccessDenied", KMS.replace("kms:Decrypt", "s3:GetObjectVersion")),
        "allow s3:GetObjectVersion on it",
    ),
    (Refusal(400, "KMS.DisabledException"), "KMS key cannot be used; enable or restore"),
    (Refusal(400, "KMS.KMSInvalidStateException"), "KMS key cannot be used; enable or restore"),
    (Refusal(400, "InvalidRequest", "The object was stored using a form of Server Side Encryption."), "SSE-C"),
    (Refusal(501, "NotImplemented"), "look at AWS_ENDPOINT_URL"),
    (Refusal(405, "MethodNotAllowed"), "look at AWS_ENDPOINT_URL"),
    (Refusal(400, "InvalidRequest"), "look up the error InvalidRequest"),
    (Refusal(503, "SlowDown"), AGAIN),
    (Refusal(500, "InternalError"), AGAIN),
]


@pytest.mark.usefixtures("once")
@pytest.mark.parametrize(("refusal", "says"), OBJECTS, ids=count())
def test_a_refused_object_says_what_to_do(odd: OddS3, refusal: Refusal, says: str) -> None:
    odd.put(FILES)
    odd.refuse = lambda asked: refusal if asked.key == "p/c.tsv" and asked.what == "get" else None
    with pytest.raises(FileError, match=says) as raised:
        read("c.tsv")
    assert ("again" in str(raised.value)) == (says == AGAIN or "archive" in says)
    assert read("d.tsv") == FILES["d.tsv"]


LAKES = [
    (Refusal(400, "ExpiredToken"), "the AWS credentials have expired; renew them"),
    (Refusal(403, "InvalidAccessKeyId"), "AWS does not know these credentials"),
    (Refusal(403, "SignatureDoesNotMatch"), "the secret key does not belong"),
    (Refusal(403, "RequestTimeTooSkewed"), "the clock of this machine is wrong"),
    (Refusal(400, "InvalidToken"), "AWS does not know these credentials"),
    (Refusal(400, "TokenRefreshRequired"), "expired; renew them"),
    (Refusal(403, "AllAccessDisabled"), "disabled; ask its owner"),
    (Refusal(400, "AuthorizationHeaderMalformed", MALFORMED), "in region eu-west-1"),
    (Refusal(404, "NoSuchBucket"), "there is no such bucket"),
]


@pytest.mark.parametrize(("refusal", "says"), LAKES, ids=count())
def test_a_fault_of_the_whole_lake_is_not_a_files_fault(odd: OddS3, refusal: Refusal, says: str) -> None:
    odd.put(FILES)
    odd.refuse = lambda asked: refusal if asked.what == "get" else None
    with pytest.raises(LakeError, match=says) as raised:
        read()
    assert not isinstance(raised.value, LakeSettingError)  # the listing passed


@pytest.mark.parametrize("command", [[], ["--rebuild"], ["verify"]])
def test_a_token_that_expires_while_reading_is_reported_once(odd: OddS3, database: str, command: list[str]) -> None:
    lake = {f"{number:03}.tsv": events(number % 40, 30, f"t{number}") for number in range(120)}
    odd.put(lake)
    if command:
        assert run(lake=LAKE, database=database).returncode == 0
    before, known = len(odd.gets()), fingerprints(database) if command else {}
    odd.refuse = lambda asked: (
        Refusal(400, "ExpiredToken") if asked.what == "get" and len(odd.gets()) > before + 20 else None
    )
    done = run(*command, "--workers", "2", lake=LAKE, database=database, LAKE_AHEAD="2")
    (line,) = done.stderr.splitlines()
    assert (done.returncode, "have expired; renew them" in line) == (1, True)
    assert failed(database) == []
    assert not command or fingerprints(database) == known
    assert len(odd.gets()) < before + 80  # two processes had read ahead


def test_a_token_that_expires_during_the_listing_is_not_a_wrong_setting(odd: OddS3, database: str) -> None:
    odd.put(FILES)
    odd.page = 2
    odd.refuse = lambda asked: Refusal(400, "ExpiredToken") if asked.token else None
    done = run("--prune-all", lake=LAKE, database=database)
    assert (done.returncode, "have expired; renew them" in done.stderr) == (1, True)
    assert fingerprints(database) == {}


def test_requests_name_the_payer_of_the_setting(odd: OddS3, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    odd.put(FILES)
    odd.refuse = lambda asked: (
        None if asked.headers.get("x-amz-request-payer") == "requester" else Refusal(403, "AccessDenied")
    )
    assert "AWS_REQUEST_PAYER" in run(lake=LAKE, database=database).stderr
    monkeypatch.setenv("AWS_REQUEST_PAYER", "requester")
    assert run("--workers", "2", lake=LAKE, database=database).returncode == 0
    Model().check(database, FILES)
    monkeypatch.setenv("AWS_REQUEST_PAYER", "me")
    for command in ([], ["status"], ["forget", "a.tsv"]):
        done = run(*command, lake=LAKE, database=database)
        assert (done.returncode, "AWS_REQUEST_PAYER" in line_of(done)) == (2, True)
    monkeypatch.delenv("AWS_REQUEST_PAYER")
    odd.refuse = lambda asked: Refusal(403, "") if asked.headers.get("x-amz-request-payer") else None
    assert run("verify", lake=LAKE, database=database).returncode == 0


def test_a_refusal_without_credentials_says_so(odd: OddS3, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    odd.refuse = lambda _: Refusal(403, "AccessDenied")
    done = run(lake=LAKE, database=database)
    assert (done.returncode, "the request was sent without credentials: set the AWS_*" in done.stderr) == (
        2,
        True,
    )


def test_a_file_with_an_error_is_not_read(odd: OddS3) -> None:
    odd.put(FILES)
    lake = open_lake(LAKE)
    odd.edit = no_fields("Size")
    assert {(file.fingerprint, file.size) for file in lake.list_files()} == {("", 0)}
    assert all(isinstance(file, LakeFile) and file.error for file in lake.list_files())
