"""Rejected lines: shown, exported for repair, and removed once their file is fixed or forgotten."""

import subprocess
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from processor.formats import escape_bytes
from tests.support.event_files import CLICK, HEADER
from tests.support.program_runs import run

BAD = b"\x1b]0;owned\x07\ta\\tb\\\\\xff \xe2\x80\xae\xc2\x9b\t\xc3\xbc"


def shown(lake: Path, database: str, *arguments: str) -> list[str]:
    """Return the lines that the command prints."""
    done = run("rejected", *arguments, lake=lake, database=database)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.replace("\n", "").replace("\t", "").isprintable()
    return done.stdout.splitlines()


def test_rejected_lines_are_shown_until_their_file_is_fixed_or_forgotten(tmp_path: Path, database: str) -> None:
    (tmp_path / "a.tsv").write_bytes(HEADER + CLICK + BAD + b"\n" + CLICK)
    (tmp_path / "b.tsv").write_bytes(HEADER + b"\nno fields\n" + CLICK)
    run(lake=tmp_path, database=database)
    first = [r"a.tsv, line 3: the line is not valid UTF-8", r"    \x1b]0;owned\x07\ta\tb\\\xff \u202e\x9b\tü"]
    second = ["b.tsv, line 3: the line does not have as many fields as the header", "    no fields"]
    assert shown(tmp_path, database) == first + second
    assert shown(tmp_path, database, "b.tsv") == second
    assert shown(tmp_path, database, "--tsv", "b.tsv") == [
        "FILE\tLINE_NUMBER\tREASON\tLINE",
        "b.tsv\t3\twrong_field_count\tno fields",
    ]
    (tmp_path / "a.tsv").write_bytes(HEADER + CLICK)
    run(lake=tmp_path, database=database)
    assert shown(tmp_path, database) == second
    run("forget", "b.tsv", lake=tmp_path, database=database)
    assert shown(tmp_path, database) == []
    unknown = run("rejected", "b.tsv", lake=tmp_path, database=database)
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert unknown.stderr == "no file b.tsv is known; a key is a path below the lake's URL\n"


@given(st.binary(max_size=60) | st.text("a\\tx0\t \x1b\x85é\u202e", max_size=20).map(str.encode))
def test_a_line_for_repair_is_one_safe_field(line: bytes) -> None:
    field = escape_bytes(line)
    assert field.isprintable()
    assert field.encode().decode("unicode_escape").encode("latin-1") == line


def test_printf_restores_the_line() -> None:
    done = subprocess.run(["printf", "%b", escape_bytes(BAD)], check=True, capture_output=True)
    assert done.stdout == BAD
