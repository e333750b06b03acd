"""Which modules of the tests may import which."""

import ast
from pathlib import Path

from tests.support.paths import ROOT


def imported(path: Path) -> set[str]:
    """Return the dotted names of all that a module imports, each name of a `from` with its module."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path} imports by a relative name"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_no_module_imports_a_test_module() -> None:
    """Code that several test modules need is in tests/support, or a fixture in tests/conftest.py."""
    paths = [path for part in ("tests", "processor", "state", "benchmarks") for path in (ROOT / part).rglob("*.py")]
    tests = ("tests.unit", "tests.integration", "tests.acceptance", "tests.conftest")
    found = {f"{path.relative_to(ROOT)}: {name}" for path in paths for name in imported(path) if name.startswith(tests)}
    assert len(paths) > 100
    assert found == set()
