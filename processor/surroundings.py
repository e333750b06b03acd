"""Names and settings from outside: bytes, read as UTF-8 whatever the locale.

Python reads arguments, variables and the names of files by the locale, so that the same file would have another key
for a shell in UTF-8 than for a cron job without. Bytes that are not UTF-8 become lone surrogates, and go back to the
same bytes.
"""

import os


def text_of(raw: bytes) -> str:
    r"""The text of bytes that the system gave.

    >>> text_of(b"\xc3\xa9\xff")
    'é\udcff'
    """
    return raw.decode("utf-8", "surrogateescape")


def raw_of(text: str) -> bytes:
    """The bytes for the system, of which `text_of` makes the text."""
    return text.encode("utf-8", "surrogateescape")


def argument(given: str) -> str:
    """The text of an argument of the command line, which Python has read by the locale."""
    return text_of(os.fsencode(given))


def setting(name: str, otherwise: str = "") -> str:
    """The text of a variable of the environment; `otherwise` where it is unset or empty."""
    return text_of(os.environb.get(name.encode(), b"")) or otherwise
