"""Names and settings from the system: bytes, read as UTF-8 in every locale.

Python decodes arguments, variables and file names by the locale. The same file would have another key in a shell with
UTF-8 than in a cron job without it. Bytes that are not UTF-8 become lone surrogates, which encode to the same bytes.
"""

import os
import sys
from pathlib import Path


def decode_utf8(raw: bytes) -> str:
    r"""Return the text of bytes from the system.

    >>> decode_utf8(b"\xc3\xa9\xff")
    'é\udcff'
    """
    return raw.decode("utf-8", "surrogateescape")


def encode_utf8(text: str) -> bytes:
    """Return the bytes that `decode_utf8` made a text from."""
    return text.encode("utf-8", "surrogateescape")


def read_command_line() -> list[str]:
    """Return the arguments after the program's name.

    They come from /proc if there is one: some locales, such as EUC-JP, decode arguments to text that cannot be encoded
    to the same bytes.
    """
    try:
        words = Path("/proc/self/cmdline").read_bytes().split(b"\0")[:-1]
    except OSError:
        words = [os.fsencode(word) for word in sys.argv]
    return [decode_utf8(word) for word in words[len(words) - len(sys.argv) + 1 :]]


def read_setting(name: str, default: str = "") -> str:
    """Return an environment variable; `default` if it is unset or empty."""
    return decode_utf8(os.environb.get(name.encode(), b"")) or default
