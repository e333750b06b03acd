"""Statements are read from files, each under its name."""

from pathlib import Path

import pytest

from state.read_statements import read_statements


def test_statements_are_read_from_every_file(tmp_path: Path) -> None:
    (tmp_path / "a.sql").write_bytes(
        b"-- Numbers\n\n-- one: it is 1\n-- or 2\nselect 1;\n\n-- two: it is 2\nselect 2;\n"
    )
    (tmp_path / "b.sql").write_bytes(b"-- three: it is 3\nselect 3;\n")
    assert read_statements(tmp_path) == {"one": "-- or 2\nselect 1;", "two": "select 2;", "three": "select 3;"}


@pytest.mark.parametrize("second", ["a.sql", "b.sql"])
def test_a_name_that_stands_twice_is_refused(tmp_path: Path, second: str) -> None:
    for name in ("a.sql", second):
        with (tmp_path / name).open("a", encoding="utf-8") as file:
            file.write("-- one: it is 1\nselect 1;\n")
    with pytest.raises(AssertionError, match=f"{second} has another statement one"):
        read_statements(tmp_path)
