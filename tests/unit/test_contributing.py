"""Everything that CONTRIBUTING.md names exists, and the glossary stays short."""

import re

import pytest

from processor.command_line.command_registry import COMMANDS
from processor.reducers.definition import Definition
from tests.support.paths import ROOT

CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_every_file_that_contributing_names_exists() -> None:
    named = re.findall(r"`([\w./-]+(?:/|\.\w+))`", CONTRIBUTING) + re.findall(r"\]\(([^):]+)\)", CONTRIBUTING)
    assert len(named) > 30
    assert [name for name in named if not (ROOT / name).exists() and "NNNN" not in name] == []


def test_every_package_is_on_the_map() -> None:
    packages = {f"{path.parent.relative_to(ROOT)}/" for path in (ROOT / "processor").glob("*/__init__.py")}
    assert packages | {"state/", "tests/", "benchmarks/"} <= set(re.findall(r"`([\w/]+/)`", CONTRIBUTING))
    modules = {f"processor/{path.name}" for path in (ROOT / "processor").glob("*.py")} - {"processor/__init__.py"}
    assert modules <= set(re.findall(r"`(processor/\w+\.py)`", CONTRIBUTING.partition("## The loop")[0]))


def test_every_setting_is_in_the_files_that_contributing_names() -> None:
    modules = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "processor").rglob("*.py")))
    names = re.findall(r'read_(?:setting|whole|decimal)\(\s*"(\w+)"', modules)
    assert len(names) >= 15
    guide, compose, tests = (
        (ROOT / path).read_text(encoding="utf-8")
        for path in ("docs/commands.md", "docker-compose.yml", "tests/unit/test_options.py")
    )
    assert [name for name in names if f"\n| `{name}` |" not in guide] == []
    lacking = {name for name in names if not re.search(rf"^ +- {name}\b", compose, re.MULTILINE)}
    assert lacking == {"ENGINE", "LAKE_DEFINITION"}  # there is no Spark, and the file is mounted
    assert [name for name in names if f'"{name}"' not in tests] == []


def test_every_command_is_in_the_files_that_contributing_names() -> None:
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests" / "acceptance").glob("test_*.py"))
    for name, command in COMMANDS.items():
        assert (ROOT / "processor" / "commands" / f"{command.module}.py").is_file(), name
        unnamed = {
            "count": "run.py",
            "rebuild": "--rebuild",
            "recount": "--recount",
            "dry-run": "--dry-run",
            "forget-dry-run": "--dry-run",
        }
        word = name if command.summary else unnamed[name]
        for path in ("README.md", "docs/commands.md"):
            assert word in (ROOT / path).read_text(encoding="utf-8"), (name, path)
        assert f'"{word}"' in tests, name


def test_every_counted_event_is_in_the_files_that_contributing_names() -> None:
    for name in Definition().click | Definition().display:
        for path in (
            "lake.toml",
            "tests/support/oracle.py",
            "tests/unit/test_oracle.py",
            "benchmarks/peers.py",
            "docs/tables.md",
        ):
            assert name in (ROOT / path).read_text(encoding="utf-8"), (name, path)


def test_migrations_are_numbered_without_a_gap() -> None:
    names = sorted(path.name for path in (ROOT / "state" / "migrations").glob("*.sql"))
    assert [name[:5] for name in names] == [f"{number:04}_" for number in range(1, len(names) + 1)]


def test_every_target_that_contributing_names_is_in_the_makefile() -> None:
    targets = re.findall(r"^([a-z][\w.-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(re.findall(r"make ([a-z][a-z-]+)", CONTRIBUTING)) <= set(targets)


@pytest.mark.parametrize("document", ["CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "README.md"])
def test_every_link_of_a_document_leads_somewhere(document: str) -> None:
    for target in re.findall(r"\]\(([^):#]+)\)", (ROOT / document).read_text(encoding="utf-8")):
        assert (ROOT / target).exists(), target


def test_the_glossary_stays_short_and_has_each_word_once() -> None:
    lines = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8").splitlines()
    words = [word for line in lines if line.startswith("| ") for word in line[2:].split(" | ")[0].split(", ")]
    assert len(lines) <= 60
    assert len(words) == len(set(words)) > 60


def test_no_module_and_no_file_of_statements_has_more_than_300_lines() -> None:
    modules = [
        ROOT / "run.py",
        *(path for package in ("processor", "state", "benchmarks") for path in (ROOT / package).rglob("*.py")),
        *(ROOT / "state" / "statements").glob("*.sql"),
    ]
    lines = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8").count("\n") for path in modules}
    assert {name: count for name, count in lines.items() if count > 300} == {}
