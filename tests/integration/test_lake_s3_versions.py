"""Versions of objects: odd ETags, times and sizes, and answers with missing fields."""

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from processor.lake.base import ChangedError, FileError, LakeError, LakeFile
from processor.lake.open_lake import open_lake
from processor.lake.text import read_text
from tests.support.database_queries import ask
from tests.support.event_files import FILES, LAKE, events
from tests.support.lake_files import failed, fingerprints, read_lake_file
from tests.support.odd_s3 import OLD, OddS3, Request, S3Error
from tests.support.program_runs import read_result, run
from tests.support.tables import Model
from tests.support.waiting import wait_until

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
    assert odd.requests[-1].headers.keys() & {"if-match", "if-unmodified-since"} == {"if-unmodified-since"}
    again = run("--json", lake=LAKE, database=database)
    assert (read_result(again)["files_unchanged"], len(odd.gets())) == (1, 1)
    assert "only LastModified and the size distinguish their versions" in again.stderr.splitlines()[-1]
    odd.put({"a.tsv": second}, OLD + timedelta(seconds=1))
    assert run(lake=LAKE, database=database).returncode == 0
    Model().check(database, {"a.tsv": second})


@pytest.mark.parametrize("obeys", [True, False])
@pytest.mark.parametrize("later", [1, 0.5, 3600])
def test_an_object_without_an_etag_that_is_replaced_after_the_listing_is_noticed(
    odd: OddS3, database: str, obeys: bool, later: float
) -> None:
    odd.edit, odd.obeys_conditions = no_fields("ETag"), obeys
    odd.answer = lambda headers, body: headers.update(ETag=None) or body
    first, second = events(1, 9, "first"), events(1, 9, "other")
    written = OLD + timedelta(seconds=0.7)
    odd.put({"a.tsv": first}, written)

    def refuse(request: Request) -> None:
        if request.kind == "get" and len(odd.gets()) == 1:
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
    assert read_lake_file() == FILES["a.tsv"]


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+05:00", "0300-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z"])
def test_an_impossible_time_is_ignored(odd: OddS3, database: str, time: str) -> None:
    odd.put(FILES)
    odd.edit = lambda page: page["Contents"][0].update(ETag=None, LastModified=time)
    done = run("--json", lake=LAKE, database=database)
    assert (read_result(done)["files_counted"], [key for key, _ in failed(database)]) == (len(FILES) - 1, ["a.tsv"])
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
    assert {key: read_lake_file(key=key) for key in FILES} == FILES


@pytest.mark.parametrize("name", ["Size", "LastModified", "KeyCount", "IsTruncated"])
@pytest.mark.parametrize("value", ["\x9brubbish", "", "-1"])
def test_a_field_that_cannot_be_read_is_reported(odd: OddS3, name: str, value: str) -> None:
    def edit(page: dict[str, Any]) -> None:
        (page["Contents"][0] if name in page["Contents"][0] else page)[name] = value

    odd.put(FILES)
    odd.edit = edit
    if (name, value) == ("LastModified", "-1"):  # botocore accepts seconds since 1970
        assert read_lake_file() == FILES["a.tsv"]
        return
    with pytest.raises((LakeError, FileError)):
        read_lake_file()


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
        read_lake_file()


@pytest.mark.parametrize("headers", [{"Last-Modified": None}, {"Last-Modified": "Mon, 01 Jan 2018 00:00:00 GMT"}])
def test_the_time_of_an_answer_does_not_matter_if_there_is_an_etag(odd: OddS3, headers: dict[str, str | None]) -> None:
    odd.put(FILES)
    odd.answer = lambda sent, body: sent.update(headers) or body
    assert read_lake_file() == FILES["a.tsv"]


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
        read_lake_file()


def test_an_answer_need_not_contain_the_size_of_the_object(odd: OddS3) -> None:
    odd.put(FILES)
    odd.answer = lambda sent, body: sent.update({"Content-Range": f"bytes 0-{len(body) - 1}/*"}) or body
    assert read_lake_file() == FILES["a.tsv"]


def test_an_endpoint_without_byte_ranges_is_reported(odd: OddS3) -> None:
    odd.put(FILES)
    odd.obeys_ranges = False
    with pytest.raises(FileError, match="use an endpoint that supports byte ranges"):
        read_lake_file()


def test_a_byte_range_is_not_compared_with_the_checksum_of_the_object(odd: OddS3) -> None:
    data = bytes(range(256)) * 4096
    odd.put({"a.tsv": data})
    lake = open_lake(LAKE)
    (file,) = lake.list_files()
    assert b"".join(read_text(lake, file, 300_001, 700_003)) == data[300_001:700_003]
    assert "x-amz-checksum-mode" not in odd.requests[-1].headers


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
    assert read_lake_file() == FILES["a.tsv"]
    odd.put({"a.tsv": FILES["a.tsv"].upper()})
    odd.obeys_conditions = False
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


@pytest.mark.parametrize("obeys", [True, False])
@pytest.mark.parametrize("listed", ['"%s-1"', 'W/"%s-1"'])
def test_an_etag_that_never_matches_the_object_is_reported(odd: OddS3, obeys: bool, listed: str) -> None:
    odd.put(FILES)
    odd.obeys_conditions = obeys
    etags(listed, '"%s"')(odd)
    with pytest.raises(FileError, match="S3 lists it with another ETag, time or size than the object has") as raised:
        read_lake_file()
    assert not isinstance(raised.value, ChangedError)


def test_an_object_whose_etag_never_matches_does_not_look_replaced(odd: OddS3, database: str) -> None:
    odd.put(FILES)
    etags('"%s-1"', '"%s"')(odd)
    for _ in range(2):
        done = run("--json", lake=LAKE, database=database)
        assert (done.returncode, read_result(done)["files_failed"]) == (1, len(FILES))
        assert done.stderr.count("S3 lists it with another ETag, time or size than the object has") == len(FILES)
        assert "replaced" not in done.stderr


@pytest.mark.parametrize("size", ["5", "99999"])
def test_a_size_that_never_matches_the_object_is_reported(odd: OddS3, size: str) -> None:
    odd.put(FILES)
    odd.edit = lambda page: page["Contents"][0].update(Size=size)
    with pytest.raises(FileError) as raised:
        read_lake_file()
    assert not isinstance(raised.value, ChangedError)


def test_an_answer_of_another_size_is_reported(odd: OddS3) -> None:
    odd.put(FILES)
    odd.answer = lambda sent, body: sent.update({"Content-Range": f"bytes 0-{len(body) - 1}/999999"}) or body
    with pytest.raises(FileError, match="another ETag, time or size than the object has"):
        read_lake_file()


def test_an_object_that_is_listed_but_never_found_is_reported(odd: OddS3) -> None:
    odd.put(FILES)
    odd.refuse = lambda request: S3Error(404, "NoSuchKey") if request.kind == "get" else None
    with pytest.raises(FileError, match="S3 lists it but does not find it; write it again") as raised:
        read_lake_file()
    assert not isinstance(raised.value, ChangedError)


def test_the_next_run_notices_an_object_deleted_after_the_listing(odd: OddS3, database: str) -> None:
    odd.put(FILES)

    def refuse(request: Request) -> None:
        if request.kind == "get":
            odd.objects.pop("p/e.tsv", None)

    odd.refuse = refuse
    done = run(lake=LAKE, database=database)
    assert (done.returncode, "it was deleted after it was listed; the next run notices" in done.stderr) == (
        1,
        True,
    )
    assert run(lake=LAKE, database=database).returncode == 0


def test_a_file_with_an_error_is_not_read(odd: OddS3) -> None:
    odd.put(FILES)
    lake = open_lake(LAKE)
    odd.edit = no_fields("Size")
    assert {(file.fingerprint, file.size) for file in lake.list_files()} == {("", 0)}
    assert all(isinstance(file, LakeFile) and file.error for file in lake.list_files())


@pytest.mark.parametrize(("status", "code"), [(412, "PreconditionFailed"), (412, ""), (416, "InvalidRange"), (416, "")])
def test_a_refused_condition_or_range_means_that_the_object_was_replaced(odd: OddS3, status: int, code: str) -> None:
    odd.put({"a.tsv": FILES["a.tsv"]})
    lake = open_lake(LAKE)
    (file,) = lake.list_files()
    odd.put({"a.tsv": b"shorter"})
    odd.refuse = lambda request: S3Error(status, code) if request.kind == "get" else None
    with pytest.raises(ChangedError, match="it was replaced after it was listed"):
        lake.open(file).read()
