"""Every promise of SECURITY.md names a test; some of these tests are here."""

import ast
import re
from pathlib import Path

import psycopg2
import pytest

from processor.reducers.definition import Definition
from processor.reducers.events import REASONS, Rejection, parse, parse_header
from tests.support import oracle
from tests.support.event_files import CLICK, COLUMNS, HEADER
from tests.support.fuzzed import line
from tests.support.paths import ROOT, module_named
from tests.support.program_runs import run

REJECTED = {
    "line_too_long": b"x" * (1024 * 1024 + 1),
    "nul_byte": b"\0",
    "invalid_utf8": b"\xff",
    "wrong_field_count": b"x",
    "bad_timestamp": b"x\ts\tn\tu\t",
    "no_event_name": b"2019-02-15 03:07:03\ts\t\\N\tu\t",
    "id_too_long": b"2019-02-15 03:07:03\ts\tn\t" + b"u" * 1001 + b"\t",
    "bad_attributes": line(oracle.CLICK, "x"),
    "nul_in_text": line(oracle.CLICK, r'{"title": "\u0000"}'),
}


def test_every_promise_names_a_test_that_exists() -> None:
    rows = re.findall(r"^\| ([A-Z].*?) \| (.+) \|$", (ROOT / "SECURITY.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(rows) > 20
    for promise, tests in rows:
        (name,) = re.findall(r"`(test_\w+\.py)::(test_\w+)`", tests)
        module = ast.parse(module_named(name[0]).read_text(encoding="utf-8"))
        assert name[1] in {node.name for node in module.body if isinstance(node, ast.FunctionDef)}, promise


def test_every_reason_has_a_line_that_is_rejected_for_it() -> None:
    found = {code: parse(bad, parse_header(COLUMNS, Definition())) for code, bad in REJECTED.items()}
    assert found.keys() == REASONS.keys()
    assert found == {code: Rejection(code, bad[:1000]) for code, bad in REJECTED.items()}


def test_the_database_refuses_a_count_that_does_not_add_up(tmp_path: Path, database: str) -> None:
    (tmp_path / "a.tsv").write_bytes(HEADER + b"\n".join([b"", *REJECTED.values(), b"\r", CLICK * 10]))
    assert run(lake=tmp_path, database=database).returncode == 0
    connection = psycopg2.connect(database)
    with connection, connection.cursor() as cur:
        cur.execute("select lines, events, rejected, empty from state.lake_files")
        assert cur.fetchone() == (21, 10, 9, 2)
    with pytest.raises(psycopg2.errors.CheckViolation), connection, connection.cursor() as cur:
        cur.execute("update state.lake_files set empty = 1")
    connection.close()
