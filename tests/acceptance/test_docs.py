"""The commands print what docs/commands.md shows, and the documents, the code and --help agree."""

import argparse
import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from processor import cli
from processor.errors import EXIT_CODES
from tests.support import made_lake
from tests.support.paths import ROOT

GUIDE = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
# These differ between runs: times, rates, sizes of tables, and the folder of the examples.
MASKS = [
    (r"\b\d+(\.\d+)? s\b", "* s"),
    (r'"seconds": [\d.e-]+', '"seconds": *'),
    (r"[\d,]+ events/s", "* events/s"),
    (r"[\d.,]+ [kMG]?B/s", "* B/s"),
    (r"20[2-9]\d-\d\d-\d\d \d\d:\d\d:\d\d UTC", "* UTC"),
    (r'"time": "[^"]+"', '"time": "*"'),
    (r"(?m)^(Sizes .*)$", "Sizes *"),
    (r"PostgreSQL [\d.]+, [\d.]+ [kMG]?B", "PostgreSQL *"),
    (r"[\d.,]+ [kMG]?B free", "* free"),
]


def masked(text: str) -> str:
    for pattern, mask in MASKS:
        text = re.sub(pattern, mask, text)
    return text


def examples() -> list[tuple[str, str]]:
    """Return the commands of the guide's examples in their order, each with its output in the guide."""
    found = []
    for block in re.findall(r"```console\n(.*?)```", GUIDE, re.DOTALL):
        for example in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, printed = example.partition("\n")
            found.append((command, printed))
    return found


def printed_by(command: str, folder: Path, database: str) -> str:
    """Return what a command of the guide prints, in a folder with a sample lake."""
    (folder / "run.py").unlink(missing_ok=True)
    (folder / "run.py").symlink_to(ROOT / "run.py")
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": os.environ["HOME"],
        "LAKE_URL": "sample_lake",
        "DATABASE_URL": database,
    }
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        check=False,
        encoding="utf-8",
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    return done.stdout.replace(str(folder), "/home/you")


def test_the_examples_print_what_the_guide_says(tmp_path: Path, database: str) -> None:
    made_lake.write(tmp_path / "sample_lake")
    assert len(examples()) > 10
    for command, printed in examples():
        assert masked(printed_by(command, tmp_path, database)) == masked(printed), command


def test_the_picture_of_the_readme_is_what_is_drawn(tmp_path: Path, database: str) -> None:
    made_lake.write(tmp_path / "sample_lake")
    printed_by("python run.py", tmp_path, database)
    name = "click_through_rate.png"
    assert (ROOT / "docs" / name).read_bytes() == (tmp_path / "report" / name).read_bytes()


def parsers() -> dict[str, argparse.ArgumentParser]:
    """Return the parser of each command by its name; that of the main command has none."""
    parser = cli.make_parser()
    (commands,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return {"": parser, **commands.choices}


def options(parser: argparse.ArgumentParser) -> set[str]:
    return {option for action in parser._actions for option in action.option_strings} - {"-h", "--help"}


def mentioned(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text))


@pytest.mark.parametrize("name", parsers())
def test_the_guide_shows_every_command_and_option_and_no_other(name: str) -> None:
    sections = dict(re.findall(r"^## `run\.py ?([a-z-]*)`\n(.*?)(?=^## )", GUIDE, re.MULTILINE | re.DOTALL))
    assert list(sections) == list(parsers())
    table = mentioned("".join(re.findall(r"^\| `.*?\|", sections[name], re.MULTILINE)))
    everywhere = {"--lake", "--database"}
    assert table == options(parsers()[name]) - everywhere
    assert everywhere <= mentioned("".join(re.findall(r"^\| .*", GUIDE.partition("## Settings")[2], re.MULTILINE)))


@pytest.mark.parametrize("document", ["README.md", "SECURITY.md", *(f"docs/{p.name}" for p in ROOT.glob("docs/*.md"))])
def test_the_documents_name_only_options_that_exist(document: str) -> None:
    known = set().union(*map(options, parsers().values()))
    others = r"^.*(?:docker|pip install|psql|dbt|kubectl|useradd|systemctl|state\.embedded|PYSPARK_SUBMIT_ARGS=).*$"
    text = re.sub(others, "", (ROOT / document).read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert mentioned(text) <= known | {"--help"}


def test_the_readme_names_every_command() -> None:
    assert all(f"`run.py {name}" in README for name in parsers() if name)


@pytest.mark.parametrize("name", parsers())
def test_every_help_has_an_example_that_parses(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    parser = parsers()[name]
    epilog = parser.epilog or ""
    (example,) = re.findall(r"python run\.py ?([^)\n]*)", epilog)
    monkeypatch.setenv("DATABASE_URL", "x")
    assert cli.parse_settings(example.split()).command.name in (name, "count")
    for action in parser._actions:
        assert action.help or isinstance(action, argparse._SubParsersAction), action


def settings_of_the_code() -> set[str]:
    """Return the variables that the program itself reads from its environment."""
    read = set()
    for path in [ROOT / "run.py", *(ROOT / "processor").rglob("*.py"), *(ROOT / "state").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case (
                    ast.Call(func=ast.Attribute(value=ast.Attribute(attr="environ"), attr="get"), args=[name, *_])
                    | ast.Subscript(value=ast.Attribute(attr="environ"), slice=name)
                    | ast.Call(func=ast.Name(id="read_setting" | "read_whole" | "read_decimal"), args=[name, *_])
                ) if isinstance(name, ast.Constant):
                    read.add(str(name.value))
    return read - {"TERM"}  # the terminal sets it


def test_the_guide_shows_every_setting_and_no_other() -> None:
    documented = set(re.findall(r"^\| `([A-Z_*]+)` \|", GUIDE.partition("## Settings")[2], re.MULTILINE))
    assert documented == settings_of_the_code() | {"PG*", "AWS_*"}


def test_the_exit_codes_are_reported() -> None:
    table = dict(re.findall(r"^\| (\d+) \| (.*?) \|", GUIDE.partition("## Exit codes")[2], re.MULTILINE))
    assert {int(code): meaning for code, meaning in table.items()} == EXIT_CODES
    assert ", ".join(f"{code} {meaning}" for code, meaning in table.items()) == cli.describe_exit_codes()
