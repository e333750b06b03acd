"""`docs/correctness.md` names only tests that exist."""

import ast
import re

from tests.support.paths import ROOT, module_named


def test_each_law_names_its_test() -> None:
    text = (ROOT / "docs" / "correctness.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("|") and "::" in line]
    named = re.findall(r"`(test_\w+\.py)::(test_\w+)` \|$", "\n".join(rows), re.MULTILINE)
    assert len(named) == len(rows) >= 20
    for module, test in named:
        tree = ast.parse(module_named(module).read_text(encoding="utf-8"))
        assert test in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, f"{module}::{test}"
