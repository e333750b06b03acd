"""Notifications of a folder: which files they name, and when."""

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import watchfiles

from processor.lake.base import LakeSettingError
from processor.lake.folder_notifications import MAX_NAMES, QUIET_SECONDS, FolderNotifications
from processor.lake.notifications import NoNotifications
from processor.lake.open_lake import open_lake
from tests.support.event_files import HEADER
from tests.support.lake_folders import write_lake

PATIENCE = 30.0


def collect_names(lake: Path, write: Callable[[], object], wanted: set[str]) -> set[str]:
    """Return the files that are named after a change: the wanted ones, and others that are named soon after them."""
    warned: list[str] = []
    found: set[str] = set()
    with closing(FolderNotifications(str(lake), warned.append)) as writes:
        writes.restart()
        write()
        end = time.monotonic() + PATIENCE
        while not found >= wanted and time.monotonic() < end:
            found |= set(writes.wait(1))
        found |= set(writes.wait(1.5))
    assert warned == []
    return found


@pytest.mark.parametrize("above", ["lake", ".läke/_x/lost+found"])
def test_files_are_named_by_their_keys_but_hidden_files_are_not(above: str, tmp_path: Path) -> None:
    lake = tmp_path / above
    lake.mkdir(parents=True)
    shown = {"a.tsv", "é/b.tsv.gz", "x_/c.tsv"}
    hidden = ["_a.tsv", ".b/a.tsv", "x/_temporary/0/a.tsv", "lost+found/a.tsv", "x/d.csv"]
    assert collect_names(lake, lambda: write_lake(lake, dict.fromkeys([*hidden, *shown], HEADER)), shown) == shown


def test_the_files_of_a_folder_that_is_moved_in_are_named(tmp_path: Path) -> None:
    lake, moved = tmp_path / "lake", tmp_path / "moved"
    lake.mkdir()
    names = ["ö.tsv", "in/b.tsv", "in/_temporary/c.tsv", ".in/d.tsv", "in/lost+found/e.tsv", "f.csv"]
    write_lake(moved, dict.fromkeys(names, HEADER))
    shown = {"moved/ö.tsv", "moved/in/b.tsv"}
    assert collect_names(lake, lambda: moved.rename(lake / "moved"), shown) == shown


def test_a_deleted_file_is_not_named(tmp_path: Path) -> None:
    write_lake(tmp_path, {"a.tsv": HEADER, "b.tsv": HEADER})
    assert collect_names(tmp_path, (tmp_path / "a.tsv").unlink, set()) == set()


def test_a_file_is_named_once_nothing_was_written_to_it_for_a_while(tmp_path: Path) -> None:
    warned: list[str] = []
    with (
        closing(FolderNotifications(str(tmp_path), warned.append)) as writes,
        (tmp_path / "a.tsv").open("wb", buffering=0) as file,
    ):
        writes.restart()
        begun, early = time.monotonic(), list[str]()
        while time.monotonic() < begun + 3 * QUIET_SECONDS:
            file.write(HEADER)
            early += writes.wait(QUIET_SECONDS / 8)
        last = time.monotonic()
        assert (early, writes.wait(PATIENCE), warned) == ([], ["a.tsv"], [])
        assert QUIET_SECONDS / 2 < time.monotonic() - last < PATIENCE / 2


def test_the_number_of_names_at_a_time_is_limited(tmp_path: Path) -> None:
    with closing(FolderNotifications(str(tmp_path), pytest.fail)) as writes:
        writes._written.update({f"{number}.tsv": 0.0 for number in range(MAX_NAMES + 5)})
        assert [len(writes.wait(0)) for _ in range(3)] == [MAX_NAMES, 5, 0]


def test_another_folder_at_the_same_path_is_watched_after_a_restart(tmp_path: Path) -> None:
    lake, found = tmp_path / "lake", list[str]()
    lake.mkdir()
    with closing(FolderNotifications(str(lake), pytest.fail)) as writes:
        writes.restart()
        thread = writes._thread
        writes.restart()
        assert writes._thread is thread
        lake.rename(tmp_path / "elsewhere")
        writes.restart()
        lake.mkdir()
        writes.restart()
        assert writes._thread is not thread
        assert thread is not None
        assert not thread.is_alive()
        write_lake(lake, {"a.tsv": HEADER})
        end = time.monotonic() + PATIENCE
        while "a.tsv" not in found and time.monotonic() < end:
            found += writes.wait(1)
    assert "a.tsv" in found


def test_a_folder_that_cannot_be_watched_is_reported_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> object:
        raise OSError("no more watches")

    warned: list[str] = []
    monkeypatch.setattr(watchfiles, "watch", fail)
    with closing(FolderNotifications(str(tmp_path), warned.append)) as writes:
        for _ in range(3):
            writes.restart()
            assert writes.wait(0) == []
    assert warned == ["the lake folder cannot be watched (no more watches); new files are found by listing it"]


def test_notifications_come_from_the_queue_or_the_folder(tmp_path: Path) -> None:
    assert isinstance(open_lake(str(tmp_path)).open_notifications("", pytest.fail), FolderNotifications)
    assert isinstance(open_lake("s3://events/lake/").open_notifications("", pytest.fail), NoNotifications)
    with pytest.raises(LakeSettingError, match="LAKE_URL is a folder: leave QUEUE_URL out"):
        open_lake(str(tmp_path)).open_notifications("https://sqs.eu-west-1.amazonaws.com/1/x", pytest.fail)
    with pytest.raises(LakeSettingError, match="QUEUE_URL is not the URL of a queue"):
        open_lake("s3://events/lake/").open_notifications("x", pytest.fail)
