"""Docstrings of public functions name the parameters, so that a caller need not read the code."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.support.paths import ROOT

MAX_UNNAMED = 2
ELSEWHERE = re.compile(r"[Tt]he (?:other )?parameters(?: and errors)? are\s+those\s+of `[\w.]+`")


def functions(body: list[ast.stmt], name: str, class_doc: str = "") -> Iterator[tuple[str, ast.arguments, str]]:
    """Yield name, parameters and docstring of each public function; `__init__` may be documented by its class."""
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from functions(node.body, f"{name}.{node.name}", ast.get_docstring(node) or "")
        elif isinstance(node, ast.FunctionDef) and (node.name == "__init__" or not node.name.startswith("_")):
            doc = ast.get_docstring(node) or ""
            yield f"{name}.{node.name}", node.args, f"{class_doc}\n{doc}" if node.name == "__init__" else doc


def parameters(of: ast.arguments) -> list[str]:
    found = [*of.posonlyargs, *of.args, *of.kwonlyargs, *filter(None, (of.vararg, of.kwarg))]
    return [parameter.arg for parameter in found if parameter.arg not in ("self", "cls")]


def unnamed(path: Path) -> Iterator[str]:
    """Yield each public function with more than two parameters, and those that its docstring does not name."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for name, arguments, doc in functions(tree.body, str(path.relative_to(ROOT))):
        names = parameters(arguments)
        left = [one for one in names if not re.search(rf"(?<![\w`]){one}(?:, \w+)*: ", doc)]
        if len(names) > MAX_UNNAMED and left and not ELSEWHERE.search(doc):
            yield f"{name}: {', '.join(left)}"


def test_docstrings_name_more_than_two_parameters() -> None:
    """One style, as in `state/files.py`: "name: meaning.", with units and errors."""
    paths = [path for package in ("processor", "state") for path in (ROOT / package).rglob("*.py")]
    assert len(paths) > 80
    assert [line for path in sorted(paths) for line in unnamed(path)] == []
