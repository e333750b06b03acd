"""A lake in a folder."""

import errno
import os
import stat
from collections.abc import Iterator

from processor.environment import decode_utf8, encode_utf8
from processor.lake.base import (
    ChangedError,
    FileError,
    LakeError,
    LakeFile,
    LakeSettingError,
    Stream,
    is_hidden,
    is_lake_file,
    make_lake_file,
)


class FolderLake:
    """A lake in a folder; the fingerprint is size and modification time.

    Names are bytes to the system and UTF-8 in keys, so nothing here goes through a Path, which reads by the locale.
    """

    def __init__(self, path: str) -> None:
        """The lake below `path`, which is made absolute; raises OSError where there is no current folder."""
        self._root = os.path.realpath(os.path.expanduser(encode_utf8(path)))
        self.url = decode_utf8(self._root)

    def list_files(self) -> Iterator[LakeFile]:
        """Every lake file below the folder; hidden folders and symbolic links that lead out of it are passed over.

        A folder below that cannot be listed ends it, and so does the lake's if it goes meanwhile: their files could not
        be told from files that are gone.
        """
        folders, begun = [b""], self._place()
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
                    continue  # gone since it was seen, with its files
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
                    yield make_lake_file(decode_utf8(folder) + name, _fingerprint(status), status.st_size)
        if self._place() != begun:
            raise LakeError(
                f"the lake folder {self.url} went away while it was being listed; run again when it is there to stay"
            )

    def _path(self, name: bytes) -> bytes:
        return os.path.join(self._root, name)

    def _place(self) -> tuple[int, int] | None:
        """What tells the lake's folder from any other at its path; None where none can be looked at."""
        try:
            # An automounter mounts what a path leads through, not its end.
            status = os.stat(self._path(b"."))
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def find(self, name: str) -> LakeFile | None:
        """Return one file below the folder as `list_files` would list it now, or None; raises LakeError."""
        path = self._path(encode_utf8(name))
        folder = os.path.dirname(path)
        # A link in between leads to what is passed over, or to what has another path.
        if not is_lake_file(name) or os.path.realpath(folder) != folder or not self._is_within(folder):
            return None
        status = self._status(encode_utf8(name))
        return None if status is None else make_lake_file(name, _fingerprint(status), status.st_size)

    def _is_within(self, path: bytes) -> bool:
        return os.path.commonpath((self._root, path)) == self._root

    def _is_folder(self, entry: "os.DirEntry[bytes]") -> bool:
        """Whether an entry of a folder is a folder itself, which some file systems say only when it is looked at."""
        try:
            return entry.is_dir(follow_symlinks=False)
        except OSError as error:
            raise self._unseen(entry.path, error) from error

    def _status(self, name: bytes) -> os.stat_result | None:
        """What is known of a regular file in the lake; None of all else."""
        path = self._path(name)
        try:
            status = os.lstat(path)
            if stat.S_ISLNK(status.st_mode):
                if not self._is_within(os.path.realpath(path, strict=True)):
                    return None
                status = os.stat(path)
        except (FileNotFoundError, NotADirectoryError):  # gone, or a link to nowhere
            return None
        except OSError as error:
            if error.errno == errno.ELOOP:
                return None
            # It must not look deleted: what it gave must not be pruned.
            raise self._unseen(path, error) from error
        return status if stat.S_ISREG(status.st_mode) else None

    @staticmethod
    def _unseen(path: bytes, error: OSError) -> LakeError:
        name = decode_utf8(path)
        return LakeError(
            f"{name} in the lake cannot be looked at: {error.strerror}; check its disk and your rights to it"
        )

    def open(self, file: LakeFile, start: int = 0, stop: int | None = None) -> "Stream":
        """The bytes [start, stop) of a file; each block is given only while the file is the one that was listed."""
        return _FolderStream(self._path(encode_utf8(file.key)), file, start, stop)


class _FolderStream:
    def __init__(self, path: bytes, file: LakeFile, start: int, stop: int | None) -> None:
        self._listed = file.fingerprint
        self._left = (file.size if stop is None else min(stop, file.size)) - start
        try:
            self._file = open(path, "rb", buffering=0)  # noqa: SIM115
        except (FileNotFoundError, NotADirectoryError):
            raise ChangedError("it is gone since it was listed; the next run settles it") from None
        except OSError as error:
            raise FileError(f"it cannot be opened ({error.strerror}); make it readable") from error
        self._file.seek(start)

    def read(self, size: int = -1, /) -> bytes:
        size = self._left if size < 0 else min(size, self._left)
        try:
            block = self._file.read(size) if size > 0 else b""
        except OSError as error:
            raise FileError(f"it cannot be read ({error.strerror}); look at its disk") from error
        self._left -= len(block)
        self._check()  # at each block, as who has what it wants does not read on to the end
        return block

    def _check(self) -> None:
        try:
            found = _fingerprint(os.fstat(self._file.fileno()))
        except OSError as error:  # a network mount whose server has lost the file
            self._file.close()
            raise FileError(f"it cannot be read on ({error.strerror}); look at its disk") from error
        if found != self._listed:
            self._file.close()
            raise ChangedError("it was changed while it was being read; the next run reads it again")

    def close(self) -> None:
        self._file.close()


def _fingerprint(status: os.stat_result) -> str:
    return f"{status.st_mtime_ns}-{status.st_size}"
