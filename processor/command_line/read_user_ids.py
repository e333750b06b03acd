"""The ids of users to forget, from the command line or a file, checked."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from processor.reducers.events import MAX_ID_BYTES, strip_ending

STANDARD_INPUT = "-"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read_user_ids(user_id: str | None, file_name: str | None, refuse: Callable[[str], NoReturn]) -> tuple[str, ...]:
    """Return the ids that the options name, each once; none if both options were left out.

    user_id: the value of --user. file_name: the value of --users, a file with an id on each line, or - for standard
    input. refuse: ends the program with a line, which repeats no id.
    """
    if user_id is not None:
        return (_parse(user_id.encode(errors="surrogateescape"), "--user", refuse),)
    if file_name is None:
        return ()
    try:
        data = sys.stdin.buffer.read() if file_name == STANDARD_INPUT else Path(file_name).read_bytes()
    except (OSError, ValueError) as error:  # a ValueError if the name holds a NUL
        reason = error.strerror if isinstance(error, OSError) else "its name holds a NUL"
        refuse(
            f"the file of --users cannot be read ({reason}); "
            "name a file with an id on each line, or - for standard input"
        )
    lines = map(strip_ending, data.removeprefix(BYTE_ORDER_MARK).split(b"\n"))
    user_ids = [_parse(line, f"line {number} of --users", refuse) for number, line in enumerate(lines, 1) if line]
    if not user_ids:
        refuse("the file of --users names no user; write an id on each line")
    return tuple(dict.fromkeys(user_ids))


def _parse(user_id: bytes, source: str, refuse: Callable[[str], NoReturn]) -> str:
    """Return an id that a line may carry."""
    if len(user_id) > MAX_ID_BYTES:
        refuse(f"{source} cannot be a user's id: it is longer than 1,000 bytes")
    if user_id in (b"", rb"\N"):
        refuse(f"{source} cannot be a user's id: it is empty or \\N, which stands for no user")
    if any(byte in user_id for byte in b"\0\t\n"):
        refuse(f"{source} cannot be a user's id: it holds a NUL, a tab or a line feed")
    try:
        return user_id.decode()
    except UnicodeDecodeError:
        refuse(f"{source} cannot be a user's id: it is not valid UTF-8")
