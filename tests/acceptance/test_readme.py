"""The README's commands, as a new user runs them: in a fresh clone, with a new virtual environment."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from processor.reducers.events import REASONS
from tests.support.oracle import expected
from tests.support.paths import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) for line in block.splitlines()]
# These cannot be run here: the tests themselves, and containers, which need an engine.
ELSEWHERE = ("make test", "docker", "LAKE_")


def sh(command: str, clone: Path) -> subprocess.CompletedProcess[str]:
    environment = {"HOME": os.environ["HOME"], "PATH": f"{clone}/.venv/bin:{os.environ['PATH']}"}
    if command.startswith("python run.py"):
        environment["LAKE_URL"] = "sample_lake"
    return subprocess.run(
        ["/bin/sh", "-c", command],
        check=False,
        capture_output=True,
        encoding="utf-8",
        cwd=clone,
        env=environment,
        stdin=subprocess.DEVNULL,
    )


@pytest.fixture(scope="module")
def clone() -> Iterator[Path]:
    """A fresh clone of the work tree."""
    # Not in pytest's folder: when another pytest starts, it removes the access of the account that runs Postgres.
    outside = tempfile.TemporaryDirectory()
    folder = Path(outside.name, "clone")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        check=True,
        capture_output=True,
        encoding="utf-8",
        cwd=ROOT,
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    yield folder
    outside.cleanup()


@pytest.mark.slow
def test_the_commands_do_what_the_readme_says(clone: Path) -> None:
    shown = [re.sub(r"in [0-9.]+ s", "in * s", line) for line in README.splitlines()]
    for command in COMMANDS:
        if command.startswith(ELSEWHERE):
            continue
        done = sh(command, clone)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        if command == "make run":
            printed = [re.sub(r"in [0-9.]+ s", "in * s", line) for line in done.stdout.splitlines()]
            assert printed[0] == "making .venv"
            counted = [line for line in printed if line.startswith(("counted", "Done"))]
            assert len(counted) == 4
            assert [line for line in shown if line in counted] == counted
            assert (clone / "report" / "click_through_rate.png").stat().st_size > 10_000
            again = sh(command, clone)
            assert (again.returncode, "Nothing new" in again.stdout) == (0, True)
    wanted = expected({path.name: path.read_bytes() for path in (clone / "sample_lake").iterdir()})
    question = "select count(*), sum(clicks) from article_performance"
    asked = subprocess.run(
        ["make", "psql"], check=True, capture_output=True, encoding="utf-8", cwd=clone, input=f"\\t \\a\n{question};\n"
    )
    rows = wanted.article_performance.values()
    assert f"{len(rows)}|{sum(row.clicks for row in rows)}" in asked.stdout.splitlines()
    assert sh("make clean", clone).returncode == 0
    assert not [name for name in (".venv", ".postgres", "sample_lake", "report") if (clone / name).exists()]


def test_make_alone_lists_the_targets(clone: Path) -> None:
    printed = sh("make", clone).stdout
    assert {"run", "test", "check", "psql", "requirements", "clean"} <= set(
        re.findall(r"^make (\w+)", printed, re.MULTILINE)
    )


def test_the_reasons_are_reported() -> None:
    for code, sentence in REASONS.items():
        assert f"| `{code}` | {sentence} |" in README


def test_whatever_the_readme_names_exists() -> None:
    for target in re.findall(r"\]\(([^):]+)\)", README):
        assert (ROOT / target).exists(), target
