"""What a lake is: its files with their fingerprints, how they are opened, and how that fails."""

import re
from collections.abc import Iterator
from typing import NamedTuple, Protocol

SUFFIXES = (".tsv", ".tsv.gz", ".tsv.zst")
UNSTORABLE_CHARACTERS = re.compile("[\0\ud800-\udfff]")
MESSAGE_CHARACTERS = 300  # characters
ESCAPED = re.compile(r"[\0\\\ud800-\udfff]")


class LakeError(Exception):
    """The lake, or who tells of its files, cannot be asked; the message is one line that says what to do."""


class LakeSettingError(LakeError):
    """A setting names no lake that can be read, or nobody who tells of its files."""


class FileError(Exception):
    """One file cannot be read; the message goes on after the file's key. `size` says how much of it was read."""

    size = 0


class ChangedError(FileError):
    """The version of a file that was listed is present no more."""


class LakeFile(NamedTuple):
    """A file of the lake as it was listed: its key, what tells its version from any other, its size in bytes.

    `error` says why it cannot be read, where its name or the listing tells.
    """

    key: str
    fingerprint: str
    size: int
    error: str | None = None


class Stream(Protocol):
    """Bytes that come as they are asked for; none are left when `read` gives none."""

    def read(self, size: int = -1, /) -> bytes:
        """Up to so many bytes; raises FileError."""

    def close(self) -> None:
        """Let go of the file."""


class Lake(Protocol):
    """Files below one URL."""

    url: str

    def list_files(self) -> Iterator[LakeFile]:
        """Every lake file below the URL, in no order; raises LakeError."""

    def find(self, name: str) -> LakeFile | None:
        """Return one file below the URL as `list_files` would list it now, or None; raises LakeError."""

    def open(self, file: LakeFile, start: int = 0, stop: int | None = None) -> Stream:
        """The bytes [start, stop) of the very version that was listed; raises FileError, also while it is read."""


def make_lake_file(name: str, fingerprint: str, size: int, error: str | None = None) -> LakeFile:
    """A file of the lake by its path below the lake's URL; one whose name the database cannot hold has an error."""
    key = escape_unstorable(name)
    error = error if key == name else "its name holds a NUL or is not valid UTF-8; rename it"
    return LakeFile(key, fingerprint, size, error)


def escape_unstorable(name: str) -> str:
    r"""The key that names a file: its name, or what stands for one that the database cannot hold.

    >>> escape_unstorable("a\0.tsv")
    'a\\x00.tsv (escaped)'
    """
    if not UNSTORABLE_CHARACTERS.search(name):
        return name
    escaped = ESCAPED.sub(lambda match: match.group().encode("unicode_escape").decode(), name)
    return f"{escaped} (escaped)"  # a file that can be read may be called the same without that, and none with it


def is_lake_file(key: str) -> bool:
    """Whether a key names a lake file: by its ending, and no part of it hidden."""
    return key.endswith(SUFFIXES) and not any(map(is_hidden, key.split("/")))


def is_hidden(part: str) -> bool:
    """Whether a file or folder of that name is passed over, with all that is below: not data, or not yet."""
    return part.startswith((".", "_")) or part == "lost+found"


def describe_error(error: BaseException) -> str:
    """What an error says, in one line without passwords."""
    return remove_passwords(" ".join(str(error).split()))[:MESSAGE_CHARACTERS] or type(error).__name__


def remove_passwords(text: str) -> str:
    """The text without the user and password of any URL in it."""
    return re.sub(r"//[^/@\s]*@", "//", text)
