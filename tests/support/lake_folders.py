"""Folders that hold a lake."""

from collections.abc import Mapping
from pathlib import Path


def write_lake(folder: Path, lake: Mapping[str, bytes]) -> None:
    """Write files into a folder, by their keys."""
    for key, data in lake.items():
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def contents(lake: Path) -> dict[str, bytes]:
    """Return the bytes of each lake file in a folder by its key."""
    return {path.relative_to(lake).as_posix(): path.read_bytes() for path in lake.rglob("*.tsv*")}
