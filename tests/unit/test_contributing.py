"""Everything that CONTRIBUTING.md names exists, and the glossary stays short."""

import re

import pytest

from tests.support.paths import ROOT

CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_every_file_that_contributing_names_exists() -> None:
    named = re.findall(r"`([\w./-]+(?:/|\.\w+))`", CONTRIBUTING) + re.findall(r"\]\(([^):]+)\)", CONTRIBUTING)
    assert len(named) > 30
    assert [name for name in named if not (ROOT / name).exists() and "NNNN" not in name] == []


def test_every_room_is_on_the_map() -> None:
    rooms = {f"{path.parent.relative_to(ROOT)}/" for path in (ROOT / "processor").glob("*/__init__.py")}
    assert rooms | {"state/", "tests/", "benchmarks/"} <= set(re.findall(r"`([\w/]+/)`", CONTRIBUTING))


def test_every_target_that_contributing_names_is_in_the_makefile() -> None:
    targets = re.findall(r"^([a-z][\w.-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(re.findall(r"make ([a-z][a-z-]+)", CONTRIBUTING)) <= set(targets)


@pytest.mark.parametrize("document", ["CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "README.md"])
def test_every_link_of_a_document_leads_somewhere(document: str) -> None:
    for target in re.findall(r"\]\(([^):#]+)\)", (ROOT / document).read_text(encoding="utf-8")):
        assert (ROOT / target).exists(), target


def test_the_glossary_stays_short_and_has_each_word_once() -> None:
    lines = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8").splitlines()
    words = [line.split(" | ")[0] for line in lines if line.startswith("| ")]
    assert len(lines) <= 60
    assert len(words) == len(set(words)) > 40


def test_no_module_has_more_than_300_lines() -> None:
    modules = [
        ROOT / "run.py",
        *(path for room in ("processor", "state", "benchmarks") for path in (ROOT / room).rglob("*.py")),
    ]
    lines = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8").count("\n") for path in modules}
    assert {name: count for name, count in lines.items() if count > 300} == {}
