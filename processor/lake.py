"""Where lake files are and how they are read: a folder or S3 behind one interface.

A lake lists its files with their fingerprints and opens a stretch of one; `text` adds what both have in common, the
decompression. Files are streamed and never held whole.
"""

import errno
import gzip
import io
import os
import re
import stat
import zlib
from collections.abc import Callable, Iterator
from typing import cast

from processor.formats import whole
from processor.lake_base import (
    SUFFIXES,
    UNSTORABLE,
    ChangedError,
    FileError,
    Lake,
    LakeError,
    LakeFile,
    LakeSettingError,
    Stream,
    is_hidden,
    is_lake_file,
    listed,
    storable,
    without_passwords,
)
from processor.lake_s3 import S3
from processor.surroundings import raw_of, setting, text_of

__all__ = [
    "BLOCK",
    "SUFFIXES",
    "ChangedError",
    "FileError",
    "Folder",
    "Lake",
    "LakeError",
    "LakeFile",
    "LakeSettingError",
    "Stream",
    "caution",
    "is_compressed",
    "is_hidden",
    "is_lake_file",
    "lake_at",
    "objects_ahead",
    "reads_as",
    "storable",
    "text",
    "text_limit",
    "text_size",
    "without_passwords",
]

BLOCK = 256 * 1024
ZSTD_WINDOW_LOG = 27
TEXT_GIB = 64
OBJECTS_AHEAD = 16
COMPRESSED = 8  # times its size is what a compressed file may hold


def lake_at(url: str) -> Lake:
    """The lake that a URL (`s3://bucket/prefix/`) or a folder's path names; raises LakeSettingError.

    What is refused is not repeated: it may be a URL with a password, set in the wrong place.
    """
    if not url:
        raise LakeSettingError("no lake is named: set LAKE_URL to s3://bucket/prefix/ or to a folder")
    if UNSTORABLE.search(url):
        raise LakeSettingError("LAKE_URL is not valid UTF-8; name the lake in UTF-8")
    text_limit()
    objects_ahead()
    if url.startswith("s3://"):
        bucket, _, prefix = url.removeprefix("s3://").partition("/")
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]+", bucket) or "?" in prefix or "#" in prefix:
            raise LakeSettingError("LAKE_URL is not of the form s3://bucket/prefix/; write it so")
        return S3(bucket, prefix)
    if "://" in url:
        raise LakeSettingError("LAKE_URL is neither s3://bucket/prefix/ nor a folder; set it to one of them")
    try:
        folder = Folder(url)
    except OSError:
        raise LakeSettingError("LAKE_URL is no path that leads to a folder; set it to one that does") from None
    if UNSTORABLE.search(folder.url):
        raise LakeSettingError("LAKE_URL leads to a folder whose path is not valid UTF-8; rename it")
    return folder


def reads_as(lake: Lake) -> str:
    """As whom a lake is read, in words; raises LakeError."""
    return lake.reads_as if isinstance(lake, S3) else "read as files"


def caution(lake: Lake) -> str | None:
    """What may escape a run over a lake that was listed, in a line; None where nothing does."""
    if not isinstance(lake, S3) or not lake.goes_by_time:
        return None
    return (
        "S3 lists files without an ETag, so that only LastModified and the size tell their versions apart: "
        "python run.py verify finds a file that was replaced with both the same"
    )


def text_limit() -> int:
    """How many bytes a compressed file may hold, from MAX_TEXT_GIB; raises LakeSettingError."""
    limit = whole(setting("MAX_TEXT_GIB", str(TEXT_GIB)))
    if not limit:
        raise LakeSettingError("MAX_TEXT_GIB is no whole number of GiB above 0; write it as 64")
    return limit * 1024**3


def objects_ahead() -> int:
    """How many objects of a bucket are asked for ahead, from LAKE_AHEAD; raises LakeSettingError."""
    count = whole(setting("LAKE_AHEAD", str(OBJECTS_AHEAD)))
    if not count:
        raise LakeSettingError(f"LAKE_AHEAD must be a whole number above 0, such as {OBJECTS_AHEAD}")
    return count


def is_compressed(file: LakeFile) -> bool:
    """Whether a file can be read from its beginning only."""
    return not file.key.endswith(".tsv")


def text_size(file: LakeFile) -> int:
    """How many bytes of text a file holds, of a compressed one a guess."""
    return file.size * (COMPRESSED if is_compressed(file) else 1)


def text(
    lake: Lake,
    file: LakeFile,
    start: int = 0,
    stop: int | None = None,
    read: Callable[[int], None] = lambda _: None,
) -> Iterator[bytes]:
    """The decompressed bytes of a file in blocks; a stretch [start, stop) only of one that is not compressed.

    `read` is told how many bytes came from the lake. Raises FileError.
    """
    if file.error is not None:
        raise FileError(file.error)
    source = _Metered(lake.open(file, start, stop), read)
    try:
        stream = _decompressed(file, source)
        left = text_limit() if is_compressed(file) else file.size
        while block := _next_block(stream):
            left -= len(block)
            if left < 0:
                raise FileError(
                    f"it holds more than {text_limit() // 1024**3} GiB of text; "
                    "write it as several files, or set MAX_TEXT_GIB to more"
                )
            yield block
    finally:
        source.close()


class _Metered:
    def __init__(self, source: Stream, read: Callable[[int], None]) -> None:
        self._source, self._read, self.close = source, read, source.close

    def read(self, size: int = -1, /) -> bytes:
        block = self._source.read(size)
        self._read(len(block))
        return block


def _decompressed(file: LakeFile, source: Stream) -> Stream:
    if file.key.endswith(".gz"):
        return cast(Stream, gzip.GzipFile(fileobj=cast(io.RawIOBase, source)))
    if file.key.endswith(".zst"):
        from backports import zstd

        options = {int(zstd.DecompressionParameter.window_log_max): ZSTD_WINDOW_LOG}
        return cast(Stream, zstd.ZstdFile(cast(io.RawIOBase, source), options=options))
    return source


def _next_block(stream: Stream) -> bytes:
    try:
        return stream.read(BLOCK)
    except (EOFError, OSError, zlib.error) as error:
        raise FileError(f"its compression is broken ({error}); write it again") from error
    except Exception as error:
        if type(error).__name__ != "ZstdError":  # the library is imported only where a file needs it
            raise
        raise FileError(f"its compression is broken ({error}); write it again") from error


class Folder:
    """A lake in a folder; the fingerprint is size and modification time.

    Names are bytes to the system and UTF-8 in keys, so nothing here goes through a Path, which reads by the locale.
    """

    def __init__(self, path: str) -> None:
        """The lake below `path`, which is made absolute; raises OSError where there is no current folder."""
        self._root = os.path.realpath(os.path.expanduser(raw_of(path)))
        self.url = text_of(self._root)

    def files(self) -> Iterator[LakeFile]:
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
                path = text_of(self._path(folder[:-1]))
                raise LakeError(
                    f"the lake folder {path} cannot be listed ({error.strerror}); make it readable"
                ) from error
            for entry in entries:
                name = text_of(entry.name)
                if is_hidden(name):
                    continue
                if self._is_folder(entry):
                    folders.append(folder + entry.name + b"/")
                elif is_lake_file(name) and (status := self._status(folder + entry.name)):
                    yield listed(text_of(folder) + name, _fingerprint(status), status.st_size)
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

    def look(self, name: str) -> LakeFile | None:
        """What `files` would give of one path below the folder now; None where it is no lake file. Raises LakeError."""
        path = self._path(raw_of(name))
        folder = os.path.dirname(path)
        # A link in between leads to what is passed over, or to what has another path.
        if not is_lake_file(name) or os.path.realpath(folder) != folder or not self._is_within(folder):
            return None
        status = self._status(raw_of(name))
        return None if status is None else listed(name, _fingerprint(status), status.st_size)

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
        return LakeError(
            f"{text_of(path)} in the lake cannot be looked at: {error.strerror}; check its disk and your rights to it"
        )

    def open(self, file: LakeFile, start: int = 0, stop: int | None = None) -> "Stream":
        """The bytes [start, stop) of a file; each block is given only while the file is the one that was listed."""
        return _FolderStream(self._path(raw_of(file.key)), file, start, stop)


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
