"""Faults of a folder and of S3 over HTTP, and compressed files."""

import errno
import gzip
import os
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import pytest
from backports import zstd

from processor import pipeline
from processor.lake.base import ChangedError, FileError, LakeError, LakeFile, LakeSettingError, escape_unstorable
from processor.lake.location import open_lake
from processor.lake.text import BLOCK_BYTES, read_text
from processor.plan import Plan
from processor.reducing.byte_ranges import Stretch, partials
from state.database import Database
from state.store import Store
from tests.support.event_files import HEADER, LATER, events
from tests.support.ingest import SilentTally
from tests.support.lake_folders import write_lake
from tests.support.program_runs import outcome, run
from tests.support.proxies import Request, S3Fault, S3Proxy, put
from tests.support.tables import Model

T = TypeVar("T")
DATA = bytes(range(256)) * 4096


@pytest.fixture
def proxy(bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Proxy]:
    """A proxy in front of the S3 server; the settings name the proxy."""
    with closing(S3Proxy(bucket)) as made:
        monkeypatch.setenv("AWS_ENDPOINT_URL", made.url)
        yield made


def read(url: str, key: str, start: int = 0, stop: int | None = None) -> bytes:
    lake = open_lake(url)
    (file,) = (file for file in lake.list_files() if file.key == key)
    return b"".join(read_text(lake, file, start, stop))


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
    assert read("s3://events/lake/", "a.tsv") == DATA


@pytest.mark.parametrize("place", ["s3", "folder"])
def test_byte_ranges_and_compressed_files_are_read(place: str, bucket: str, tmp_path: Path) -> None:
    lake = {"a.tsv": DATA, "b.tsv.gz": gzip.compress(DATA), "c.tsv.zst": zstd.compress(DATA), "empty.tsv": b""}
    for key, data in lake.items():
        put(bucket, f"lake/{key}", data)
        (tmp_path / key).write_bytes(data)
    url = "s3://events/lake/" if place == "s3" else str(tmp_path)
    assert read(url, "a.tsv", 300_001, 700_003) == DATA[300_001:700_003]
    assert read(url, "a.tsv", 1_000_000, 9_000_000) == DATA[1_000_000:]
    assert (read(url, "b.tsv.gz"), read(url, "c.tsv.zst"), read(url, "empty.tsv")) == (DATA, DATA, b"")


def test_escaped_names_are_distinct_from_names_that_look_escaped(tmp_path: Path, database: str) -> None:
    escaped = [os.fsdecode(name) for name in (b"a\x80.tsv", b"a\\udc80\x80.tsv", b"a\x80\x80.tsv")]
    readable = {name: events(1, 9, "a") for name in (r"a\udc80.tsv", r"a\\udc80\udc80.tsv", r"a\udc80\udc80.tsv")}
    write_lake(tmp_path, readable | dict.fromkeys(escaped, HEADER))
    for counted in (len(readable), 0):
        done = run("--json", lake=tmp_path, database=database)
        assert (done.returncode, outcome(done)["files_counted"], outcome(done)["files_failed"]) == (1, counted, 3)
        assert all(f"not counted {escape_unstorable(name)}: its name contains" in done.stderr for name in escaped)
    for command in (["verify"], ["--rebuild", "--json"]):
        done = run(*command, lake=tmp_path, database=database)
        assert (done.returncode, done.stderr.count("its name contains")) == (1, 3)
    for name in escaped:
        (tmp_path / name).unlink()
    assert run("--json", lake=tmp_path, database=database).returncode == 0
    Model().check(database, readable)


@pytest.mark.parametrize(("name", "pack"), [("a.tsv.gz", gzip.compress), ("a.tsv.zst", zstd.compress)])
def test_broken_compression_fails_the_file(tmp_path: Path, name: str, pack: type) -> None:
    for broken in (pack(DATA)[:-5], pack(DATA) + b"x", b"no such thing"):
        (tmp_path / name).write_bytes(broken)
        with pytest.raises(FileError, match="compression is broken"):
            read(str(tmp_path), name)


def test_links_out_of_the_folder_are_ignored(tmp_path: Path) -> None:
    (tmp_path / "lake").mkdir()
    (tmp_path / "outside.tsv").write_bytes(b"x")
    (tmp_path / "lake" / "inside.tsv").write_bytes(b"y")
    (tmp_path / "lake" / "out.tsv").symlink_to(tmp_path / "outside.tsv")
    (tmp_path / "lake" / "in.tsv").symlink_to(tmp_path / "lake" / "inside.tsv")
    (tmp_path / "lake" / "dangling.tsv").symlink_to(tmp_path / "lake" / "none")
    os.mkfifo(tmp_path / "lake" / "pipe.tsv")
    assert {file.key for file in open_lake(str(tmp_path / "lake")).list_files()} == {"inside.tsv", "in.tsv"}


@pytest.mark.parametrize("change", ["grown", "cut", "gone"])
def test_a_file_that_changes_after_it_was_listed_is_noticed(tmp_path: Path, change: str) -> None:
    path = tmp_path / "a.tsv"
    path.write_bytes(DATA)
    lake = open_lake(str(tmp_path))
    (file,) = lake.list_files()
    blocks = read_text(lake, file)
    if change != "gone":
        next(blocks)
    path.unlink() if change == "gone" else path.write_bytes(DATA * 2 if change == "grown" else DATA[:300_000])
    with pytest.raises(FileError, match="the next run"):
        list(blocks)


def test_a_byte_range_that_ends_with_a_line_is_of_one_version(tmp_path: Path) -> None:
    path, data = tmp_path / "a.tsv", events(0, 6000, "old")
    path.write_bytes(data)
    (file,) = open_lake(str(tmp_path)).list_files()
    stop = data.rindex(b"\n", 0, -1) + 1
    assert BLOCK_BYTES < stop <= 2 * BLOCK_BYTES

    def overwrite(_: int) -> None:
        with path.open("r+b") as other:
            other.write(data.replace(b"old", b"new"))
        os.utime(path, ns=(1, 1))

    with pytest.raises(FileError, match="it was changed while it was being read; the next run"):
        list(partials(open_lake(str(tmp_path)), Stretch(file, 0, stop), stop, overwrite))


@pytest.mark.parametrize("is_left", [True, False])
def test_a_listing_fails_if_the_lake_folder_disappears_meanwhile(tmp_path: Path, is_left: bool) -> None:
    lake = tmp_path / "lake"
    write_lake(lake, {"a.tsv": HEADER, "2019/b.tsv": HEADER})
    files = open_lake(str(lake)).list_files()
    assert next(files).key == "a.tsv"
    lake.rename(tmp_path / "away")
    if is_left:  # like the empty folder below an unmounted file system
        lake.mkdir()
    with pytest.raises(LakeError, match="disappeared or was replaced while it was being listed; run again"):
        list(files)


def failing(call: Callable[..., T], end: bytes, code: int) -> Callable[..., T]:
    """Return a system call that fails for each path with this end."""

    def call_or_fail(path: object, *arguments: object, **options: object) -> T:
        if isinstance(path, bytes) and path.endswith(end):
            raise OSError(code, os.strerror(code), path)
        return call(path, *arguments, **options)

    return call_or_fail


# Errors of a disk, a network mount or the system, although the file may exist.
MAY_BE_THERE = [errno.EIO, errno.ESTALE, errno.EACCES, errno.ETIMEDOUT, errno.ENOMEM, errno.EHOSTDOWN]


@pytest.mark.parametrize("code", MAY_BE_THERE)
@pytest.mark.parametrize("name", ["a.tsv", "2019/b.tsv", "link.tsv"])
def test_an_inaccessible_file_does_not_look_deleted(
    tmp_path: Path, name: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_lake(tmp_path, {"2019/b.tsv": HEADER, "a.tsv": HEADER})
    (tmp_path / "link.tsv").symlink_to("a.tsv")
    lake, end = open_lake(str(tmp_path)), f"/{name}".encode()
    assert len(list(lake.list_files())) == 3
    call = "stat" if name == "link.tsv" else "lstat"
    monkeypatch.setattr(os, call, failing(getattr(os, call), end, code))
    words = f"tsv in the lake cannot be accessed: {os.strerror(code)}; "
    with pytest.raises(LakeError, match=re.escape(words)):
        list(lake.list_files())
    with pytest.raises(LakeError, match=re.escape(words)):
        lake.find(name)


@pytest.mark.parametrize("code", [errno.ENOENT, errno.ENOTDIR, errno.ELOOP])
def test_a_file_that_is_deleted_while_the_folder_is_listed_is_ignored(
    tmp_path: Path, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_lake(tmp_path, {"a.tsv": HEADER, "b.tsv": HEADER})
    monkeypatch.setattr(os, "lstat", failing(os.lstat, b"/a.tsv", code))
    lake = open_lake(str(tmp_path))
    assert [file.key for file in lake.list_files()] == ["b.tsv"]
    assert lake.find("a.tsv") is None


@pytest.mark.parametrize("code", MAY_BE_THERE)
def test_a_folder_that_cannot_be_listed_does_not_look_deleted(
    tmp_path: Path, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_lake(tmp_path, {"2019/b.tsv": HEADER, "a.tsv": HEADER})
    lake = open_lake(str(tmp_path))
    for end, kind in ((b"/2019/", LakeError), (b"/", LakeSettingError)):
        with monkeypatch.context() as patch:
            patch.setattr(os, "scandir", failing(os.scandir, end, code))
            with pytest.raises(kind, match=re.escape(f"listed ({os.strerror(code)}); ")):
                list(lake.list_files())


def test_an_entry_that_may_be_a_folder_ends_the_listing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Entry:
        """An entry of a file system that does not store the kinds of its entries."""

        name, path = b"2019", os.fsencode(tmp_path / "2019")

        def is_dir(self, *, follow_symlinks: bool) -> bool:
            assert not follow_symlinks
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "scandir", lambda _: [Entry()])
    with pytest.raises(LakeError, match="2019 in the lake cannot be accessed: Input/output error; "):
        list(open_lake(str(tmp_path)).list_files())


@pytest.mark.parametrize("code", MAY_BE_THERE)
def test_nothing_is_pruned_if_a_file_is_inaccessible(
    tmp_path: Path, database: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {f"{name}.tsv": events(n, 9, name) for n, name in enumerate("abcde")}
    write_lake(tmp_path, files)
    lake = open_lake(str(tmp_path))
    with Database(database, wait=5) as db:
        db.claim(lake.url)
        tally = SilentTally()
        pipeline.run(lake, Store(db), Plan(), tally)
        assert tally.files_counted == 5
        monkeypatch.setattr(os, "lstat", failing(os.lstat, b"/c.tsv", code))
        with pytest.raises(LakeError, match=r"c\.tsv in the lake cannot be accessed"):
            pipeline.run(lake, Store(db), Plan(prune=True, prune_all=True), SilentTally())
    Model().check(database, files)


@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_file_that_the_server_loses_while_it_is_read_fails(
    tmp_path: Path, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.tsv").write_bytes(DATA)
    lake = open_lake(str(tmp_path))
    (file,) = lake.list_files()
    looks = iter(range(1000))

    def stale(descriptor: int) -> os.stat_result:
        if next(looks) == at:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return os.stat(descriptor)

    monkeypatch.setattr(os, "fstat", stale)
    with pytest.raises(FileError, match=r"it cannot be read to its end \(Stale file handle\); check its disk"):
        list(read_text(lake, file))


def test_a_file_that_becomes_a_folder_is_deleted(tmp_path: Path) -> None:
    write_lake(tmp_path, {"2019/a.tsv": HEADER})
    lake = open_lake(str(tmp_path))
    (file,) = lake.list_files()
    (tmp_path / "2019" / "a.tsv").unlink()
    (tmp_path / "2019").rmdir()
    (tmp_path / "2019").write_bytes(b"")
    with pytest.raises(ChangedError, match="deleted after it was listed"):
        list(read_text(lake, file))


@pytest.mark.parametrize("fault", ["500", "503", "reset", "truncated", "reset in the body", "too short", "slow"])
def test_temporary_faults_are_retried(proxy: S3Proxy, fault: S3Fault) -> None:
    put(proxy.server, "lake/a.tsv", DATA)
    proxy.fault = lambda request: fault if request.number == 1 else None
    assert read("s3://events/lake/", "a.tsv") == DATA
    resumed = [request.range for request in proxy.requests if "list-type" not in request.path]
    if fault in ("truncated", "too short"):
        begins = [int(str(header).removeprefix("bytes=").partition("-")[0]) for header in resumed]
        assert begins == sorted(begins)
        assert begins[-1] > 0


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("500", "InternalError"),
        ("503", "SlowDown"),
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
    assert outcome(run("--json", lake="s3://events/lake/", database=database))["files_unchanged"] == len(LATER) - 1
    assert proxy.gets() == ["/events/lake/broken.tsv"]
