"""docs/dependencies.md names the packages that are pinned, and the image gets those of a run only."""

import re

from tests.support.paths import ROOT

PINS = ("requirements.in", "requirements/embedded.in", "requirements/spark.in", "requirements/lineage.in")


def pinned(name: str) -> list[str]:
    """Return the packages that a file of requirements pins directly."""
    return re.findall(r"^([\w.-]+)(?:\[.*\])?==", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE)


def test_the_page_names_exactly_the_packages_that_the_program_asks_for() -> None:
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w.-]+)` \|(.+)\|(.+)\|(.+)\|$", page, re.MULTILINE)
    assert [name for name, *_ in rows] == [name for file in PINS for name in pinned(file)]
    assert all(cell.strip() for _, *cells in rows for cell in cells)


def test_the_image_holds_what_a_run_needs_and_no_more() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert set(re.findall(r"requirements[\w/-]*\.txt", dockerfile)) == {"requirements.txt"}
    installed = "".join(re.findall(r"^\S.*", (ROOT / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE))
    assert not any(name in installed for name in (*pinned("requirements/embedded.in"), "pyspark", "pytest"))
