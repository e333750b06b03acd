"""Faults of S3 over HTTP: temporary ones are retried, lasting ones are reported."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from processor.lake.base import FileError, LakeError, LakeFile, LakeSettingError
from processor.lake.open_lake import open_lake
from processor.lake.text import read_text
from tests.support.event_files import HEADER, LATER, events
from tests.support.lake_files import read_lake_file
from tests.support.program_runs import read_result, run
from tests.support.proxies import Request, S3Fault, S3Proxy, put
from tests.support.tables import Model

DATA = bytes(range(256)) * 4096


@pytest.fixture
def proxy(bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Proxy]:
    """A proxy in front of the S3 server; the settings name the proxy."""
    with closing(S3Proxy(bucket)) as made:
        monkeypatch.setenv("AWS_ENDPOINT_URL", made.url)
        yield made


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """The S3 server lists ten objects at a time."""
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "10")


@pytest.mark.usefixtures("small_pages")
def test_a_listing_has_as_many_pages_as_it_needs_and_ends_at_the_folder(proxy: S3Proxy) -> None:
    bucket = proxy.server
    for number in range(35):
        put(bucket, f"lake/{number % 7}/ä +%{number}.tsv", b"")
    for other in ("lake2/a.tsv", "lake/_a.tsv", "lake/x/.a.tsv", "lake/a.csv", "a.tsv"):
        put(bucket, other, b"")
    files = list(open_lake("s3://events/lake").list_files())
    assert {file.key for file in files} == {f"{number % 7}/ä +%{number}.tsv" for number in range(35)}
    assert (len(files), len(proxy.requests)) == (35, 4)


def test_without_credentials_it_reads_anonymously(bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    put(bucket, "lake/a.tsv", DATA)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    assert read_lake_file("s3://events/lake/", "a.tsv") == DATA


@pytest.mark.parametrize("fault", ["500", "503", "reset", "truncated", "reset in the body", "too short", "slow"])
def test_temporary_faults_are_retried(proxy: S3Proxy, fault: S3Fault) -> None:
    put(proxy.server, "lake/a.tsv", DATA)
    proxy.fault = lambda request: fault if request.number == 1 else None
    assert read_lake_file("s3://events/lake/", "a.tsv") == DATA
    resumed = [request.range for request in proxy.requests if "list-type" not in request.path]
    if fault in ("truncated", "too short"):
        begins = [int(str(header).removeprefix("bytes=").partition("-")[0]) for header in resumed]
        assert begins == sorted(begins)
        assert begins[-1] > 0


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("500", "InternalError"),
        pytest.param("503", "SlowDown", marks=pytest.mark.slow),  # botocore waits long before it asks again
        ("403", "s3:GetObject"),
        ("no body", "cannot be read"),
        ("whole", "other bytes"),
    ],
)
def test_lasting_faults_are_reported_and_the_other_files_are_ingested(
    proxy: S3Proxy, database: str, fault: S3Fault, words: str
) -> None:
    lake = {"a.tsv": events(1, 9, "a"), "b.tsv": events(2, 9, "b")}
    for key, data in lake.items():
        put(proxy.server, f"lake/{key}", data)
    proxy.fault = lambda request: fault if "/a.tsv" in request.path else None
    done = run(lake="s3://events/lake/", database=database)
    (line,) = (line for line in done.stderr.splitlines() if "a.tsv" in line)
    assert done.returncode == 1
    assert words in line
    Model().check(database, {"b.tsv": lake["b.tsv"], "a.tsv": b""})
    proxy.fault = lambda _: None
    assert run(lake="s3://events/lake/", database=database).returncode == 0
    Model().check(database, lake)


def test_a_replaced_object_is_ingested_by_the_next_run(proxy: S3Proxy, database: str) -> None:
    server = proxy.server
    put(server, "lake/a.tsv", events(1, 9, "old"))

    def replace(request: Request) -> None:
        if "a.tsv" in request.path and request.number == 1:
            put(server, "lake/a.tsv", events(2, 12, "new"))

    proxy.fault = replace
    done = run(lake="s3://events/lake/", database=database)
    assert (done.returncode, "replaced after it was listed" in done.stderr) == (1, True)
    assert run(lake="s3://events/lake/", database=database).returncode == 0
    Model().check(database, {"a.tsv": events(2, 12, "new")})


def test_an_object_replaced_while_it_is_read_is_noticed(proxy: S3Proxy) -> None:
    server = proxy.server
    put(server, "lake/a.tsv", DATA)

    def replace(request: Request) -> S3Fault | None:
        if "list-type" in request.path or request.number > 1:
            return None
        return "truncated"

    proxy.fault = replace
    lake = open_lake("s3://events/lake/")
    (file,) = lake.list_files()
    blocks = read_text(lake, file)
    next(blocks)
    put(server, "lake/a.tsv", DATA[::-1])
    with pytest.raises(FileError, match="replaced"):
        list(blocks)


@pytest.mark.usefixtures("small_pages")
def test_nothing_is_ingested_if_the_second_page_of_a_listing_fails(proxy: S3Proxy, database: str) -> None:
    for number in range(11):
        put(proxy.server, f"lake/{number:04}.tsv", HEADER)
    proxy.fault = lambda request: "500" if "continuation-token" in request.path else None
    done = run("--prune-all", lake="s3://events/lake/", database=database)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "cannot be listed" in done.stderr
    assert proxy.gets() == []


def test_a_refused_listing_and_a_missing_bucket_are_wrong_settings(proxy: S3Proxy) -> None:
    with pytest.raises(LakeSettingError, match="no bucket"):
        list(open_lake("s3://missing/lake/").list_files())
    proxy.fault = lambda _: "403"
    with pytest.raises(LakeSettingError, match="s3:ListBucket"):
        list(open_lake("s3://events/lake/").list_files())


def test_a_run_ends_if_s3_is_unavailable(proxy: S3Proxy) -> None:
    put(proxy.server, "lake/a.tsv", DATA)
    lake = open_lake("s3://events/lake/")
    (file,) = lake.list_files()
    proxy.close()
    with pytest.raises(LakeError, match="cannot be reached"):
        list(read_text(lake, LakeFile(*file)))


def test_a_second_run_reads_nothing(proxy: S3Proxy, database: str) -> None:
    for key, data in LATER.items():
        put(proxy.server, f"lake/{key}", data)
    assert run(lake="s3://events/lake/", database=database).returncode == 1
    Model().check(database, LATER)
    assert sorted(proxy.gets()) == sorted(f"/events/lake/{key}" for key in LATER)
    proxy.requests.clear()
    assert read_result(run("--json", lake="s3://events/lake/", database=database))["files_unchanged"] == len(LATER) - 1
    assert proxy.gets() == ["/events/lake/broken.tsv"]
