"""`make mutants` makes mutants of every file of the program, and the tests that it then runs exist."""

import ast
from functools import cache

from tests.support.paths import ROOT, module_named
from tests.tools.mutants import STATEMENTS, SUFFIXES, TESTS, is_mutated, named


def test_every_file_of_the_mutants_exists() -> None:
    paths = [path.relative_to(ROOT).as_posix() for part in ("processor", "state") for path in (ROOT / part).rglob("*")]
    assert [it for it in TESTS if not any(path.startswith(it.rstrip("/")) for path in paths)] == []


def test_every_file_of_the_program_is_mutated() -> None:
    paths = [path for part in ("processor", "state") for path in (ROOT / part).rglob("*") if path.suffix in SUFFIXES]
    assert len(paths) > 80
    names = [path.relative_to(ROOT).as_posix() for path in paths if path.name != "__init__.py"]
    assert [name for name in names if not is_mutated(name)] == []


@cache
def functions_of(name: str) -> set[str]:
    """Return the functions of a test module."""
    module = ast.parse(module_named(f"test_{name}.py").read_text(encoding="utf-8"))
    return {node.name for node in module.body if isinstance(node, ast.FunctionDef)}


def test_every_test_that_should_notice_a_mutant_exists() -> None:
    for tests in (*TESTS.values(), *STATEMENTS.values()):
        for name, _, test in named(tests):
            functions = functions_of(name)  # also without a test, the module must exist
            assert not test or test in functions, f"{name}::{test}"
