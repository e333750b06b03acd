"""A lake in a folder."""

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator

from processor.environment import decode_utf8, encode_utf8
from processor.lake.base import (
    DEFAULT_LAKE_SETTINGS,
    ChangedError,
    FileError,
    LakeError,
    LakeFile,
    LakeSettingError,
    LakeSettings,
    Stream,
    make_lake_file,
)
from processor.lake.keys import is_hidden, is_lake_file
from processor.lake.notifications import Notifications
from processor.lake.selection import EVERY_FILE, Selection


class FolderLake:
    """A lake in a folder; the fingerprint is the modification time in nanoseconds and the size.

    File names are bytes to the system and UTF-8 in keys. Nothing here uses a Path, which decodes names by the locale.
    """

    is_remote = False

    def __init__(self, path: str, settings: LakeSettings = DEFAULT_LAKE_SETTINGS) -> None:
        """Open the lake below `path`, which is made absolute; raises OSError without a current folder."""
        self._root = os.path.realpath(os.path.expanduser(encode_utf8(path)))
        self.url, self.settings = decode_utf8(self._root), settings

    def list_files(self, _known: Iterable[str] = (), selection: Selection = EVERY_FILE, /) -> Iterator[LakeFile]:
        """List the selected lake files below the folder; hidden folders and links that lead out of it are ignored.

        Raises LakeError if a folder cannot be listed, or if the lake's folder disappears meanwhile: otherwise
        its files would look deleted.
        """
        folders, first = [b""], self._identity()
        while folders:
            folder = folders.pop()
            try:
                entries = list(os.scandir(self._path(folder)))
            except OSError as error:
                if not folder:
                    raise LakeSettingError(
                        f"the lake folder {self.url} cannot be listed ({error.strerror}); set LAKE_URL to one that can"
                    ) from error
                if isinstance(error, FileNotFoundError):
                    continue  # deleted after its parent was listed
                path = decode_utf8(self._path(folder[:-1]))
                raise LakeError(
                    f"the lake folder {path} cannot be listed ({error.strerror}); make it readable"
                ) from error
            for entry in entries:
                name = decode_utf8(entry.name)
                if is_hidden(name):
                    continue
                if self._is_folder(entry):
                    folders.append(folder + entry.name + b"/")
                elif is_lake_file(name) and (status := self._status(folder + entry.name)):
                    file = make_lake_file(decode_utf8(folder) + name, _fingerprint(status), status.st_size)
                    if selection.includes(file.key):
                        yield file
        if self._identity() != first:
            raise LakeError(
                f"the lake folder {self.url} disappeared or was replaced while it was being listed; "
                "run again once it stays available"
            )

    def _path(self, name: bytes) -> bytes:
        return os.path.join(self._root, name)

    def _identity(self) -> tuple[int, int] | None:
        """Return what distinguishes the lake's folder from another at its path, None if it is inaccessible."""
        try:
            # An automounter mounts the folders that a path passes through, not its end.
            status = os.stat(self._path(b"."))
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def find(self, name: str) -> LakeFile | None:
        """Return one file below the folder as `list_files` would list it now, or None; raises LakeError."""
        path = self._path(encode_utf8(name))
        folder = os.path.dirname(path)
        # `list_files` does not follow links to folders.
        if not is_lake_file(name) or os.path.realpath(folder) != folder or not self._is_within(folder):
            return None
        status = self._status(encode_utf8(name))
        return None if status is None else make_lake_file(name, _fingerprint(status), status.st_size)

    def open_notifications(self, queue: str, warn: Callable[[str], None]) -> Notifications:
        """Return what the file system reports of the folder; raises LakeSettingError if a queue is named."""
        from processor.lake.folder_notifications import FolderNotifications

        if queue:
            raise LakeSettingError("a queue names objects on S3, but LAKE_URL is a folder: leave QUEUE_URL out")
        return FolderNotifications(self.url, warn)

    def describe_access(self) -> str:
        """Return in words how the lake is read."""
        return "read as files"

    def describe_weak_fingerprints(self) -> None:
        """Return no warning: modification times distinguish versions."""

    def _is_within(self, path: bytes) -> bool:
        return os.path.commonpath((self._root, path)) == self._root

    def _is_folder(self, entry: "os.DirEntry[bytes]") -> bool:
        """Whether an entry is a folder; some file systems need another call to find out, which may fail."""
        try:
            return entry.is_dir(follow_symlinks=False)
        except OSError as error:
            raise self._inaccessible(entry.path, error) from error

    def _status(self, name: bytes) -> os.stat_result | None:
        """Return the status of a regular file in the lake, None for anything else."""
        path = self._path(name)
        try:
            status = os.lstat(path)
            if stat.S_ISLNK(status.st_mode):
                if not self._is_within(os.path.realpath(path, strict=True)):
                    return None
                status = os.stat(path)
        except (FileNotFoundError, NotADirectoryError):  # deleted, or a link to nowhere
            return None
        except OSError as error:
            if error.errno == errno.ELOOP:
                return None
            # The file must not look deleted: its contributions must not be pruned.
            raise self._inaccessible(path, error) from error
        return status if stat.S_ISREG(status.st_mode) else None

    @staticmethod
    def _inaccessible(path: bytes, error: OSError) -> LakeError:
        return LakeError(
            f"{decode_utf8(path)} in the lake cannot be accessed: {error.strerror}; check its disk and your permissions"
        )

    def open(self, file: LakeFile, start: int = 0, stop: int | None = None) -> "Stream":
        """Open bytes of a file; each `read` checks its version. The parameters are those of `Files.open`."""
        return _FolderStream(self._path(encode_utf8(file.key)), file, start, stop)


class _FolderStream:
    def __init__(self, path: bytes, file: LakeFile, start: int, stop: int | None) -> None:
        self._fingerprint = file.fingerprint
        self._left = (file.size if stop is None else min(stop, file.size)) - start
        try:
            self._file = open(path, "rb", buffering=0)  # noqa: SIM115
        except (FileNotFoundError, NotADirectoryError):
            raise ChangedError("it was deleted after it was listed; the next run notices that") from None
        except OSError as error:
            raise FileError(f"it cannot be opened ({error.strerror}); make it readable") from error
        self._file.seek(start)

    def read(self, size: int = -1, /) -> bytes:
        size = self._left if size < 0 else min(size, self._left)
        try:
            block = self._file.read(size) if size > 0 else b""
        except OSError as error:
            raise FileError(f"it cannot be read ({error.strerror}); check its disk") from error
        self._left -= len(block)
        self._check_version()  # at each block, as a caller may not read to the end
        return block

    def _check_version(self) -> None:
        try:
            fingerprint = _fingerprint(os.fstat(self._file.fileno()))
        except OSError as error:  # a network mount whose server has lost the file
            self._file.close()
            raise FileError(f"it cannot be read to its end ({error.strerror}); check its disk") from error
        if fingerprint != self._fingerprint:
            self._file.close()
            raise ChangedError("it was changed while it was being read; the next run reads it again")

    def close(self) -> None:
        self._file.close()


def _fingerprint(status: os.stat_result) -> str:
    return f"{status.st_mtime_ns}-{status.st_size}"
