"""What a folder tells of its files as they come."""

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from processor.arrivals import Writes
from tests.tables import write_lake
from tests.test_run import HEADER

PATIENCE = 30.0


def told(lake: Path, write: Callable[[], object], wanted: set[str]) -> set[str]:
    """What is told once something is written: at least what is wanted, and what comes within a moment after it."""
    warned: list[str] = []
    found: set[str] = set()
    with closing(Writes(str(lake), warned.append)) as writes:
        writes.renew()
        write()
        end = time.monotonic() + PATIENCE
        while not found >= wanted and time.monotonic() < end:
            found |= set(writes.wait(1))
        found |= set(writes.wait(1.5))
    assert warned == []
    return found


@pytest.mark.parametrize("above", ["lake", ".läke/_x/lost+found"])
def test_files_are_told_by_their_keys_and_hidden_ones_not(above: str, tmp_path: Path) -> None:
    lake = tmp_path / above
    lake.mkdir(parents=True)
    shown = {"a.tsv", "é/b.tsv.gz", "x_/c.tsv"}
    hidden = ["_a.tsv", ".b/a.tsv", "x/_temporary/0/a.tsv", "lost+found/a.tsv", "x/d.csv"]
    assert told(lake, lambda: write_lake(lake, dict.fromkeys([*hidden, *shown], HEADER)), shown) == shown


def test_of_a_folder_that_is_moved_in_all_that_is_not_hidden_is_told(tmp_path: Path) -> None:
    lake, moved = tmp_path / "lake", tmp_path / "moved"
    lake.mkdir()
    names = ["ö.tsv", "in/b.tsv", "in/_temporary/c.tsv", ".in/d.tsv", "in/lost+found/e.tsv", "f.csv"]
    write_lake(moved, dict.fromkeys(names, HEADER))
    shown = {"moved/ö.tsv", "moved/in/b.tsv"}
    assert told(lake, lambda: moved.rename(lake / "moved"), shown) == shown
