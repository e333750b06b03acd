"""The program in a shell whose Python has none of its packages."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.checkouts import make_bare_python
from tests.support.event_files import CLICK, HEADER
from tests.support.lake_folders import write_lake
from tests.support.paths import ROOT


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a Python without packages."""
    return make_bare_python(tmp_path_factory.mktemp("bare") / "python")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The program in a folder that has no environment yet."""
    for name in ("run.py", "processor", "state"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "run.py").unlink()
    (tmp_path / "run.py").write_bytes((ROOT / "run.py").read_bytes())
    return tmp_path


def run_bare(bare: Path, checkout: Path, *words: bytes | str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["python", "run.py", *words],
        check=False,
        capture_output=True,
        encoding="utf-8",
        cwd=checkout,
        env={"PATH": f"{bare}:{os.environ['PATH']}", "LAKE_URL": "lake", **settings},
    )


def test_one_line_names_the_missing_package_and_what_to_do(bare: Path, checkout: Path) -> None:
    done = run_bare(bare, checkout, "status")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.endswith(" is missing: make run installs all packages, or pip install -r requirements.txt")


def test_help_needs_no_package(bare: Path, checkout: Path) -> None:
    assert "example:" in run_bare(bare, checkout, "--help").stdout


def test_an_environment_that_lacks_packages_too_is_not_tried_again_and_again(bare: Path, checkout: Path) -> None:
    (checkout / ".venv").symlink_to(bare.parent)
    assert run_bare(bare, checkout, "status").returncode == 2


@pytest.mark.parametrize("package", [None, "orjson"])
def test_the_environment_of_make_run_takes_over(bare: Path, checkout: Path, database: str, package: str | None) -> None:
    """It does so as well where the shell's Python has one of the packages."""
    (checkout / ".venv").symlink_to(ROOT / ".venv")
    if package is not None:
        (site,) = bare.parent.glob("lib/python*/site-packages")
        (site / f"{package}.py").touch()
    write_lake(checkout / "lake", {"été.tsv": HEADER + CLICK, "other.tsv": HEADER})
    settings = {"DATABASE_URL": database, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    assert run_bare(bare, checkout, **settings).returncode == 0
    done = run_bare(bare, checkout, "forget", "été.tsv".encode(), **settings)
    assert (done.returncode, done.stdout) == (0, "forgotten été.tsv\n")
    assert run_bare(bare, checkout, "forget", "none.tsv", **settings).returncode == 1
