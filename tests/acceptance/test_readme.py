"""The README is short and true: its commands, as a new user runs them after `make run`, its rows, figures and links."""

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from processor.reducers.events import REASONS
from tests.support import made_lake
from tests.support.checkouts import clone_work_tree, make_bare_python
from tests.support.database_queries import ask
from tests.support.oracle import expected
from tests.support.paths import ROOT
from tests.support.program_runs import run

README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) for line in block.splitlines()]
MAX_WORDS = 700


class Done(NamedTuple):
    """The end of a command."""

    code: int
    printed: str


@pytest.fixture(scope="module")
def clone() -> Iterator[Path]:
    """A fresh clone of the work tree, beside a Python that has no packages."""
    # Not in pytest's folder: when another pytest starts, it removes the access of the account that runs Postgres.
    with tempfile.TemporaryDirectory() as folder:
        clone_work_tree(Path(folder, "clone"))
        make_bare_python(Path(folder, "python"))
        yield Path(folder, "clone")


def run_in_one_shell(commands: list[str], clone: Path) -> list[Done]:
    """Run commands one after the other in a new shell in the clone, whose Python has no packages."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, str(number)) for number in range(len(commands))]
        script = "".join(
            f"{{ {command}\n}} >{file} 2>&1; echo $? >{file}.code\n"
            for command, file in zip(commands, files, strict=True)
        )
        subprocess.run(
            ["/bin/sh", "-c", script],
            check=True,
            cwd=clone,
            env={"HOME": os.environ["HOME"], "PATH": f"{clone.parent}/python/bin:{os.environ['PATH']}"},
            stdin=subprocess.DEVNULL,
        )
        codes = [int(Path(f"{file}.code").read_text(encoding="ascii")) for file in files]
        return [Done(code, file.read_text(encoding="utf-8")) for code, file in zip(codes, files, strict=True)]


def without_seconds(text: str) -> list[str]:
    return [re.sub(r"in [0-9.]+ s", "in * s", line) for line in text.splitlines()]


@pytest.mark.slow
def test_every_command_runs_as_written_after_make_run(clone: Path) -> None:
    question = "select count(*), sum(clicks) from article_performance"
    asked = rf"printf '%s\n' '\t \a' '{question};' | make psql"
    # Containers need an engine.
    commands = ["make run", *(command for command in COMMANDS if not command.startswith("docker")), asked]
    assert commands[1] == "make run"
    done = run_in_one_shell(commands, clone)
    for command, (code, printed) in zip(commands, done, strict=True):
        assert code == 0, f"{command}: {printed}"
        assert "Traceback" not in printed
    made, again, *_, answer = done
    assert made.printed.startswith("making .venv\n")
    (shown,) = re.findall(r"^```\n(.+\n)```$", README, re.MULTILINE)
    assert without_seconds(shown)[0] in without_seconds(made.printed)
    assert "Nothing new" in again.printed
    assert (clone / "report" / "click_through_rate.png").stat().st_size > 10_000
    assert (clone / "report" / "index.html").is_file()
    wanted = expected({path.name: path.read_bytes() for path in (clone / "sample_lake").iterdir()})
    rows = wanted.article_performance.values()
    assert f"{len(rows)}|{sum(row.clicks for row in rows)}" in answer.printed.splitlines()
    (cleaned,) = run_in_one_shell(["make clean"], clone)
    assert cleaned.code == 0
    assert not [name for name in (".venv", ".postgres", "sample_lake", "report") if (clone / name).exists()]


def test_make_alone_lists_the_targets(clone: Path) -> None:
    (done,) = run_in_one_shell(["make"], clone)
    assert {"run", "test", "check", "psql", "requirements", "clean"} <= set(
        re.findall(r"^make (\w+)", done.printed, re.MULTILINE)
    )


def tables() -> dict[str, list[dict[str, str]]]:
    """Return the rows of the tables that the README shows, by the table's name."""
    found = {}
    for name, lines in re.findall(r"^`(\w+_performance)`.*:\n\n((?:\|.*\n)+)", README, re.MULTILINE):
        header, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines.splitlines())
        found[name] = [dict(zip(header, row, strict=True)) for row in rows]
    return found


def test_the_rows_are_those_of_the_sample_lake(tmp_path: Path, database: str) -> None:
    made_lake.write(tmp_path)
    assert run(lake=tmp_path, database=database).returncode == 0
    assert [len(rows) for rows in tables().values()] == [2, 2]
    for name, rows in tables().items():
        for row in rows:
            key, *columns = row
            values = ", ".join(f"({column})::text" for column in columns)
            ((*found,),) = ask(
                database, f"select {values} from {name} where {key} = '{row[key]}' and date = '{row['date']}'"
            )
            for column, value in zip(columns, found, strict=True):
                decimals = row[column].partition(".")[2]
                assert row[column] == (f"{float(str(value)):.{len(decimals)}f}" if decimals else value), column


def test_the_figures_are_those_that_were_measured() -> None:
    performance = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (.+) \| ([\d.]+) (s|MB) \|$", README.partition("## What it costs")[2], re.MULTILINE)
    assert len(rows) == 4
    (many,) = re.findall(
        r"^\| many keys \|.*\n\|[-|]+\n\| this program \| ([\d.]+) \|.*\| (\d+) \| \d+ \|$", performance, re.MULTILINE
    )
    assert tuple(value for _, value, _ in rows[2:]) == many
    for what, value, unit in rows[:2]:
        assert f"| {what} | {value} {unit} |" in performance


def test_it_is_short() -> None:
    assert len(README.split()) <= MAX_WORDS


def test_the_reasons_to_reject_a_line_are_documented() -> None:
    documented = (ROOT / "docs" / "tables.md").read_text(encoding="utf-8")
    for code, sentence in REASONS.items():
        assert f"| `{code}` | {sentence} |" in documented


def test_whatever_the_readme_names_exists() -> None:
    for target in re.findall(r"\]\(([^):#]+)", README):
        assert (ROOT / target).exists(), target
    for target, heading in re.findall(r"\]\(([^):#]+)#([\w-]+)\)", README):
        headings = re.findall(r"^#+ (.+)$", (ROOT / target).read_text(encoding="utf-8"), re.MULTILINE)
        assert heading in {name.lower().replace(" ", "-") for name in headings}
