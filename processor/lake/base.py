"""The port of a lake: its files with their fingerprints, and how they are opened."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from processor.errors import WRONG_SETTING, EventLakeError
from processor.lake.keys import escape_unstorable
from processor.lake.notifications import Notifications
from processor.lake.selection import EVERY_FILE, Selection
from processor.reducers.definition import Definition


class LakeError(EventLakeError):
    """The lake or its queue is unavailable; the message is one line that also says what to do."""


class LakeSettingError(LakeError):
    """A setting of the lake or of its queue is wrong."""

    exit_code = WRONG_SETTING


class FileError(Exception):
    """One file cannot be read; the message follows the file's key. `size` is the number of bytes read before."""

    size = 0


class ChangedError(FileError):
    """The listed version of a file does not exist any more."""


@dataclass(frozen=True, slots=True)
class LakeSettings:
    """How a lake's files are read, and what their lines mean.

    max_text_gib: GiB of text that a compressed file may contain. objects_ahead: how many S3 objects each process
    requests ahead. pays_for_requests: whether each request accepts the charge, as a bucket may ask of its readers.
    definition: what the lines mean, wherever they are folded.
    """

    max_text_gib: int = 64
    objects_ahead: int = 16
    pays_for_requests: bool = False
    definition: Definition = field(default_factory=Definition)


DEFAULT_LAKE_SETTINGS = LakeSettings()


class LakeFile(NamedTuple):
    """A file of the lake as it was listed: its key, the fingerprint of its version, its size in bytes.

    `error` says why the file cannot be read, if its name or the listing shows that.
    """

    key: str
    fingerprint: str
    size: int
    error: str | None = None


class Stream(Protocol):
    """The bytes of an open file."""

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes, or none at the end; raises FileError."""

    def close(self) -> None:
        """Close the file."""


class Files(Protocol):
    """The files of a lake for those who read them: how the lake is opened again elsewhere, and how a file is opened.

    is_remote: whether opening a file takes a while, so that it pays to fetch small files ahead.
    """

    url: str
    settings: LakeSettings
    is_remote: bool

    def open(self, file: LakeFile, start: int = 0, stop: int | None = None) -> Stream:
        """Open bytes of the version of a file that was listed.

        file: as it was listed. start: the first byte. stop: the byte after the last one; None for the file's end.
        This and each `read` raise FileError, or ChangedError once the file is another version.
        """


class Lake(Files, Protocol):
    """The files below one URL."""

    def list_files(self, known: Iterable[str] = (), selection: Selection = EVERY_FILE, /) -> Iterator[LakeFile]:
        """List the selected lake files below the URL, in any order; raises LakeError.

        known: keys that the lake had before, whether they are selected or not. They can make the listing quicker.
        selection: no other files are listed, so that those outside of it must not count as missing.
        """

    def find(self, name: str) -> LakeFile | None:
        """Return one file as `list_files` would list it now, or None.

        `name` is the path below the URL. Raises LakeError.
        """

    def open_notifications(self, queue: str, warn: Callable[[str], None]) -> Notifications:
        """Return the notifications of new files; raises LakeError, LakeSettingError.

        queue: the URL of a queue that gets them, as the settings name it; empty for none. warn: logs a line.
        """

    def describe_access(self) -> str:
        """Return in words how the lake is read; raises LakeError."""

    def describe_weak_fingerprints(self) -> str | None:
        """Return a warning if a run may miss that a listed file was replaced."""


def make_lake_file(name: str, fingerprint: str, size: int, error: str | None = None) -> LakeFile:
    """Return a file of the lake; it has an error if the database cannot store its name.

    name: the path below the lake's URL. fingerprint: that of its version. size: bytes in the lake. error: why the file
    cannot be read, if that is known.
    """
    key = escape_unstorable(name)
    error = error if key == name else "its name contains a NUL or is not valid UTF-8; rename it"
    return LakeFile(key, fingerprint, size, error)
