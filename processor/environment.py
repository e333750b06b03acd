"""Names and settings from outside: bytes, read as UTF-8 whatever the locale.

Python reads arguments, variables and the names of files by the locale, so that the same file would have another key
for a shell in UTF-8 than for a cron job without. Bytes that are not UTF-8 become lone surrogates, and go back to the
same bytes.
"""

import os
import sys
from pathlib import Path


def decode_utf8(raw: bytes) -> str:
    r"""The text of bytes that the system gave.

    >>> decode_utf8(b"\xc3\xa9\xff")
    'é\udcff'
    """
    return raw.decode("utf-8", "surrogateescape")


def encode_utf8(text: str) -> bytes:
    """The bytes for the system, of which `decode_utf8` makes the text."""
    return text.encode("utf-8", "surrogateescape")


def read_command_line() -> list[str]:
    """The arguments behind the program's name.

    From the system, where it says: of what Python reads of them by some locales, EUC-JP for one, no way leads back.
    """
    try:
        words = Path("/proc/self/cmdline").read_bytes().split(b"\0")[:-1]
    except OSError:
        words = [os.fsencode(word) for word in sys.argv]
    return [decode_utf8(word) for word in words[len(words) - len(sys.argv) + 1 :]]


def read_setting(name: str, otherwise: str = "") -> str:
    """The text of a variable of the environment; `otherwise` where it is unset or empty."""
    return decode_utf8(os.environb.get(name.encode(), b"")) or otherwise
