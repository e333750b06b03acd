"""The ids of users to forget are read from an option or a file, and checked."""

import io
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from processor.command_line.read_user_ids import read_user_ids

ID = "0a1b2c3d"


class Refused(Exception):  # noqa: N818
    """The program would end with this line."""


def refuse(line: str) -> NoReturn:
    raise Refused(line)


def test_an_option_names_one_user() -> None:
    assert read_user_ids(None, None, refuse) == ()
    for user_id in (ID, "é", " a b ", "\\", "a\rb", "x" * 1000):
        assert read_user_ids(user_id, None, refuse) == (user_id,)


def test_a_file_names_a_user_on_each_line(tmp_path: Path) -> None:
    path = tmp_path / "ids"
    path.write_bytes(b"\xef\xbb\xbfa\r\n\n b\x0c\xc2\x85\r\na\nc")
    assert read_user_ids(None, str(path), refuse) == ("a", " b\x0c\x85", "c")


def test_standard_input_names_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a\nb\n"), encoding="utf-8"))
    assert read_user_ids(None, "-", refuse) == ("a", "b")


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (b"", "empty"),
        (rb"\N", "empty or"),
        (ID.encode() + b"\0", "NUL"),
        (ID.encode() + b"\t", "a tab"),
        (ID.encode() + b"\xff", "UTF-8"),
        (b"\xc3\xa9" * 500 + b"x", "1,000 bytes"),
    ],
)
def test_what_no_line_can_carry_is_refused_without_the_id(wrong: bytes, why: str, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=rf"^--user cannot be a user's id: .*{why}") as refused:
        read_user_ids(wrong.decode(errors="surrogateescape"), None, refuse)
    assert ID not in str(refused.value)
    path = tmp_path / "ids"
    path.write_bytes(b"a\n" + wrong)
    if wrong:
        with pytest.raises(Refused, match=f"^line 2 of --users .*{why}") as refused:
            read_user_ids(None, str(path), refuse)
        assert ID not in str(refused.value)


def test_a_line_feed_within_an_id_is_refused() -> None:
    with pytest.raises(Refused, match="a line feed"):
        read_user_ids("a\nb", None, refuse)


def test_a_file_that_names_nobody_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ids").write_bytes(b"\r\n\n")
    for name, why in (("ids", "names no user"), ("none", "No such file"), (".", "Is a directory"), ("\0", "NUL")):
        with pytest.raises(Refused, match=why):
            read_user_ids(None, f"{tmp_path}/{name}", refuse)
