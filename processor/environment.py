"""Names and settings from outside: bytes, read as UTF-8 whatever the locale.

Python reads arguments, variables and the names of files by the locale, so that the same file would have another key
for a shell in UTF-8 than for a cron job without. Bytes that are not UTF-8 become lone surrogates, and go back to the
same bytes.
"""

import os
import sys
from pathlib import Path


def text_of(raw: bytes) -> str:
    r"""The text of bytes that the system gave.

    >>> text_of(b"\xc3\xa9\xff")
    'é\udcff'
    """
    return raw.decode("utf-8", "surrogateescape")


def raw_of(text: str) -> bytes:
    """The bytes for the system, of which `text_of` makes the text."""
    return text.encode("utf-8", "surrogateescape")


def command_line() -> list[str]:
    """The arguments behind the program's name.

    From the system, where it says: of what Python reads of them by some locales, EUC-JP for one, no way leads back.
    """
    try:
        words = Path("/proc/self/cmdline").read_bytes().split(b"\0")[:-1]
    except OSError:
        words = [os.fsencode(word) for word in sys.argv]
    return [text_of(word) for word in words[len(words) - len(sys.argv) + 1 :]]


def setting(name: str, otherwise: str = "") -> str:
    """The text of a variable of the environment; `otherwise` where it is unset or empty."""
    return text_of(os.environb.get(name.encode(), b"")) or otherwise
