"""The names of lake files: which files of a lake they name, and how the database stores them."""

import re

SUFFIXES = (".tsv", ".tsv.gz", ".tsv.zst")
UNSTORABLE_CHARACTERS = re.compile("[\0\ud800-\udfff]")
ESCAPED_CHARACTERS = re.compile(r"[\0\\\ud800-\udfff]")


def escape_unstorable(name: str) -> str:
    r"""Return a name that the database can store: the same one, or one with escapes that no readable file has.

    >>> escape_unstorable("a\0.tsv")
    'a\\x00.tsv (escaped)'
    """
    if not UNSTORABLE_CHARACTERS.search(name):
        return name
    escaped = ESCAPED_CHARACTERS.sub(lambda match: match.group().encode("unicode_escape").decode(), name)
    return f"{escaped} (escaped)"  # no lake file's name ends with this, as it is not one of SUFFIXES


def is_lake_file(key: str) -> bool:
    """Whether a key names a lake file: it has one of the SUFFIXES, and no part of it is hidden."""
    return key.endswith(SUFFIXES) and not any(map(is_hidden, key.split("/")))


def is_hidden(part: str) -> bool:
    """Whether files and folders of this name are ignored, with everything below them."""
    return part.startswith((".", "_")) or part == "lost+found"
