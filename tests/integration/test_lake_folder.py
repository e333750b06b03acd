"""Faults of a folder: files and folders that are changed, deleted or inaccessible."""

import errno
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from processor import pipeline
from processor.lake.base import ChangedError, FileError, LakeError, LakeSettingError
from processor.lake.keys import escape_unstorable
from processor.lake.open_lake import open_lake
from processor.lake.text import BLOCK_BYTES, read_text
from processor.plan import Plan
from processor.reducing.byte_ranges import ByteRange
from processor.reducing.in_process import fold_byte_range
from state.database import Database
from state.run import begin_run
from state.store import Store
from tests.support.event_files import HEADER, events
from tests.support.ingest import SilentTally
from tests.support.lake_folders import write_lake
from tests.support.program_runs import read_result, run
from tests.support.tables import Model

T = TypeVar("T")
DATA = bytes(range(256)) * 4096


def test_escaped_names_are_distinct_from_names_that_look_escaped(tmp_path: Path, database: str) -> None:
    escaped = [os.fsdecode(name) for name in (b"a\x80.tsv", b"a\\udc80\x80.tsv", b"a\x80\x80.tsv")]
    readable = {name: events(1, 9, "a") for name in (r"a\udc80.tsv", r"a\\udc80\udc80.tsv", r"a\udc80\udc80.tsv")}
    write_lake(tmp_path, readable | dict.fromkeys(escaped, HEADER))
    for counted in (len(readable), 0):
        done = run("--json", lake=tmp_path, database=database)
        result = read_result(done)
        assert (done.returncode, result["files_counted"], result["files_failed"]) == (1, counted, 3)
        assert all(f"not counted {escape_unstorable(name)}: its name contains" in done.stderr for name in escaped)
    for command in (["verify"], ["--rebuild", "--json"]):
        done = run(*command, lake=tmp_path, database=database)
        assert (done.returncode, done.stderr.count("its name contains")) == (1, 3)
    for name in escaped:
        (tmp_path / name).unlink()
    assert run("--json", lake=tmp_path, database=database).returncode == 0
    Model().check(database, readable)


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
        list(fold_byte_range(open_lake(str(tmp_path)), ByteRange(file, 0, stop), stop, overwrite))


@pytest.mark.parametrize("is_left", [True, False])
def test_a_listing_fails_if_the_lake_folder_disappears_meanwhile(tmp_path: Path, is_left: bool) -> None:
    lake = tmp_path / "lake"
    write_lake(lake, {"a.tsv": HEADER, "2019/b.tsv": HEADER})
    files = open_lake(str(lake)).list_files()
    assert next(files).key == "a.tsv"
    lake.rename(tmp_path / "elsewhere")
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
    with Database(database, wait_seconds=5) as db, begin_run(db, lake.url) as this_run:
        tally = SilentTally()
        pipeline.run(lake, Store(this_run), Plan(), tally)
        assert tally.files_counted == 5
        monkeypatch.setattr(os, "lstat", failing(os.lstat, b"/c.tsv", code))
        with pytest.raises(LakeError, match=r"c\.tsv in the lake cannot be accessed"):
            pipeline.run(lake, Store(this_run), Plan(prunes=True, prunes_all=True), SilentTally())
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
