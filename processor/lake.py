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
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, cast

from processor.formats import whole
from processor.surroundings import raw_of, setting, text_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SUFFIXES = (".tsv", ".tsv.gz", ".tsv.zst")
BLOCK = 256 * 1024
ATTEMPTS = 5
CONNECTIONS = 64  # no request waits for another's connection
ZSTD_WINDOW_LOG = 27
TEXT_GIB = 64
OBJECTS_AHEAD = 16
COMPRESSED = 8  # times its size is what a compressed file may hold
UNSTORABLE = re.compile("[\0\ud800-\udfff]")
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

    `error` says why it cannot be read, where its name tells.
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

    def files(self) -> Iterator[LakeFile]:
        """Every lake file below the URL, in no order; raises LakeError."""

    def look(self, name: str) -> LakeFile | None:
        """What `files` would give of one path below the URL now; None where it is no lake file. Raises LakeError."""

    def open(self, file: LakeFile, start: int = 0, stop: int | None = None) -> Stream:
        """The bytes [start, stop) of the very version that was listed; raises FileError, also while it is read."""


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


def listed(name: str, fingerprint: str, size: int) -> LakeFile:
    """A file of the lake by its path below the lake's URL; one whose name the database cannot hold has an error."""
    key = storable(name)
    error = None if key == name else "its name holds a NUL or is not valid UTF-8; rename it"
    return LakeFile(key, fingerprint, size, error)


def storable(name: str) -> str:
    r"""The key that names a file: its name, or what stands for one that the database cannot hold.

    >>> storable("a\0.tsv")
    'a\\x00.tsv (escaped)'
    """
    if not UNSTORABLE.search(name):
        return name
    escaped = ESCAPED.sub(lambda match: match.group().encode("unicode_escape").decode(), name)
    return f"{escaped} (escaped)"  # a file that can be read may be called the same without that, and none with it


def is_lake_file(key: str) -> bool:
    """Whether a key names a lake file: by its ending, and no part of it hidden."""
    return key.endswith(SUFFIXES) and not any(map(is_hidden, key.split("/")))


def is_hidden(part: str) -> bool:
    """Whether a file or folder of that name is passed over, with all that is below: not data, or not yet."""
    return part.startswith((".", "_")) or part == "lost+found"


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


class S3:
    """A lake in S3 or what speaks like it; the fingerprint is ETag and size."""

    def __init__(self, bucket: str, prefix: str) -> None:
        """The lake of a bucket's objects whose keys begin with the prefix, which is a folder's."""
        self._bucket = bucket
        self._prefix = prefix if not prefix or prefix.endswith("/") else f"{prefix}/"
        self.url = f"s3://{bucket}/{self._prefix}"
        self._client_made: S3Client | None = None

    @property
    def _client(self) -> "S3Client":
        if self._client_made is None:
            self._client_made = cast("S3Client", aws_client("s3"))
        return self._client_made

    @property
    def reads_as(self) -> str:
        """Whether there are credentials, in words; raises LakeError."""
        from botocore import UNSIGNED

        signature = getattr(self._client.meta.config, "signature_version", None)
        return "read anonymously" if signature is UNSIGNED else "read with credentials"

    def files(self) -> Iterator[LakeFile]:
        """Every lake file below the prefix, from as many pages as there are."""
        return self._listed("")

    def look(self, name: str) -> LakeFile | None:
        """What `files` would give of one path below the prefix now; None where it is no lake file. Raises LakeError.

        It is a listing of one object, as that says the same, takes no other right, and tells what is gone from what is
        forbidden, which the head of an object does not.
        """
        if not is_lake_file(name):
            return None
        # Nothing that begins with the name sorts before it.
        found = next(self._listed(name, PaginationConfig={"MaxItems": 1, "PageSize": 1}), None)
        return found if found is not None and found.key == storable(name) else None

    def _listed(self, begin: str, **request: Any) -> Iterator[LakeFile]:
        """The lake files whose paths begin so, in the order of their paths."""
        from botocore.exceptions import BotoCoreError, ClientError
        from botocore.parsers import ResponseParserError

        try:
            pages = self._client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix + begin, **request):
                for item in page.get("Contents", ()):
                    key = item["Key"].removeprefix(self._prefix)
                    if is_lake_file(key):
                        yield listed(key, f"{item['ETag'].strip(chr(34))}-{item['Size']}", item["Size"])
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            if code == "NoSuchBucket":
                raise LakeSettingError(f"there is no bucket {self._bucket}: mend LAKE_URL {self.url}") from error
            if code in ("AccessDenied", "403", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"):
                raise LakeSettingError(
                    f"listing {self.url} was refused ({code}): allow s3:ListBucket, or mend the AWS_* settings"
                ) from error
            raise LakeError(f"{self.url} cannot be listed ({code}); run again later") from error
        except (BotoCoreError, ResponseParserError) as error:
            raise LakeError(
                f"{self.url} cannot be reached: {_short(error)}; look at AWS_ENDPOINT_URL and the network"
            ) from error

    def open(self, file: LakeFile, start: int = 0, stop: int | None = None) -> "Stream":
        """The bytes [start, stop) of an object; a broken connection is taken up where it broke."""
        return _S3Stream(self._get, self._prefix + file.key, file, start, stop)

    def _get(self, **request: Any) -> Any:
        """The answer to a GET of an object; raises FileError, and LakeError where S3 itself is out of reach."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return self._client.get_object(Bucket=self._bucket, **request)
        except ClientError as error:
            raise _object_error(error) from error
        except BotoCoreError as error:  # the client has tried again by itself, so the next file would fare no better
            raise LakeError(f"{self.url} cannot be reached any more: {_short(error)}; run again when it can") from error


class _BrokenBody(Exception):  # noqa: N818
    """The body of an answer ended too early or could not be read on."""


class _S3Stream:
    def __init__(self, get: Callable[..., Any], key: str, file: LakeFile, start: int, stop: int | None) -> None:
        self._get, self._key, self._file = get, key, file
        self._position = start
        self._stop = file.size if stop is None else min(stop, file.size)
        self._body: Any = None

    def read(self, size: int = -1, /) -> bytes:
        from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

        size = self._stop - self._position if size < 0 else min(size, self._stop - self._position)
        if size <= 0:
            return b""
        try:
            return Retrying(
                retry=retry_if_exception_type(_BrokenBody),
                stop=stop_after_attempt(ATTEMPTS),
                wait=wait_random_exponential(multiplier=0.2, max=10),
                reraise=True,
            )(self._read, size)
        except _BrokenBody as error:
            raise FileError(f"it cannot be read ({_short(error)}); the next run tries again") from error

    def _read(self, size: int) -> bytes:
        from botocore.exceptions import BotoCoreError

        if self._body is None:
            self._body = self._open()
        try:
            block = cast(bytes, self._body.read(size))
            if not block:
                raise _BrokenBody("the connection ended before the object did")
        except (BotoCoreError, OSError) as error:
            self.close()
            raise _BrokenBody(_short(error)) from error
        except BaseException:
            self.close()
            raise
        self._position += len(block)
        return block

    def _open(self) -> Any:
        etag = self._file.fingerprint.rpartition("-")[0]
        stretch = f"{self._position}-{self._stop - 1}"
        answer = self._get(Key=self._key, IfMatch=f'"{etag}"', Range=f"bytes={stretch}")
        # Not all that speaks like S3 knows If-Match and Range.
        found = answer.get("ETag", "").strip('"'), answer.get("ContentRange")
        if found != (etag, f"bytes {stretch}/{self._file.size}"):
            answer["Body"].close()
            raise ChangedError(
                "S3 sent another version or other bytes than were asked for; the next run reads it again"
            )
        return answer["Body"]

    def close(self) -> None:
        if self._body is not None:
            self._body.close()
            self._body = None


def _object_error(error: Any) -> FileError:
    code = error.response.get("Error", {}).get("Code", "")
    if code in ("PreconditionFailed", "412", "InvalidRange", "416"):
        return ChangedError("it was replaced since it was listed; the next run reads it again")
    if code in ("NoSuchKey", "404"):
        return ChangedError("it is gone since it was listed; the next run settles it")
    if code in ("AccessDenied", "403"):
        return FileError("reading it was refused (AccessDenied); allow s3:GetObject on it")
    return FileError(f"S3 answered {code}; the next run tries again")


def _short(error: Exception) -> str:
    return without_passwords(" ".join(str(error).split())) or type(error).__name__


def without_passwords(text: str) -> str:
    """The text without the user and password of any URL in it."""
    return re.sub(r"//[^/@\s]*@", "//", text)


def aws_client(service: Literal["s3", "sqs"]) -> Any:
    """A client of S3 or SQS as the AWS_* settings want it; raises LakeSettingError."""
    import boto3
    from botocore import UNSIGNED
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    config = Config(
        retries={"mode": "standard", "max_attempts": ATTEMPTS},
        connect_timeout=10,
        read_timeout=60,
        max_pool_connections=CONNECTIONS,
    )
    try:
        session = boto3.Session()
        if session.region_name == "":
            raise LakeSettingError("AWS_DEFAULT_REGION is set but empty; unset it, or name a region as eu-west-1")
        credentials = session.get_credentials()
        if credentials is None:
            config = config.merge(Config(signature_version=UNSIGNED))
        elif any(not re.fullmatch("[!-~]*", value or "") for value in credentials.get_frozen_credentials()[:3]):
            # said here: what fails at the header that holds them would repeat them
            raise LakeSettingError("the AWS_* credentials hold a space, a line break or no ASCII; set them without")
        return session.client(service, config=config)
    except BotoCoreError as error:
        raise LakeSettingError(f"the AWS_* settings are wrong: {_short(error)}") from error
    except ValueError:
        raise LakeSettingError("AWS_ENDPOINT_URL is no URL; write it as https://host:port") from None
