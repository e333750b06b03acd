"""The folders of the project, and the files of its tests."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


SHARED = ROOT.parent / "shared"


def module_named(name: str) -> Path:
    """Return the file of a test module, by its name without a folder; raises ValueError unless there is exactly one."""
    (path,) = (ROOT / "tests").rglob(name)
    return path
