"""A file is replaced in one step, or not at all."""

import os
from pathlib import Path

import pytest

from processor.report.atomic_file import write_file


def test_a_file_is_replaced_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, replaced = tmp_path / "a" / "b" / "page.html", Path.replace
    write_file(path, b"first")
    write_file(path, b"second")
    assert path.read_bytes() == b"second"
    written: list[tuple[Path, bytes, bytes]] = []

    def replace(self: Path, target: Path) -> Path:
        written.append((self, self.read_bytes(), target.read_bytes()))
        return replaced(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    write_file(path, b"third")
    ((temporary, new, old),) = written
    assert (new, old, temporary.parent) == (b"third", b"second", path.parent)  # a reader has the earlier one till then
    assert (temporary.name[0], str(os.getpid()) in temporary.name) == (".", True)  # hidden, and no other process's
    assert list(path.parent.iterdir()) == [path]

    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device", str(self), None, str(target))

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        write_file(path, b"fourth")
    assert list(path.parent.iterdir()) == [path]
    assert path.read_bytes() == b"third"
