"""The text of a lake file: read in blocks, decompressed where the file is compressed."""

import gzip
import zlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, cast

from processor.environment import read_setting
from processor.lake.base import FileError, Lake, LakeFile, LakeSettingError, Stream
from processor.parsing import parse_integer

if TYPE_CHECKING:
    import io

BLOCK_BYTES = 256 * 1024
ZSTD_WINDOW_LOG = 27
TEXT_GIB = 64
COMPRESSED = 8  # times its size is what a compressed file may hold


def read_text_limit() -> int:
    """How many bytes a compressed file may hold, from MAX_TEXT_GIB; raises LakeSettingError."""
    limit = parse_integer(read_setting("MAX_TEXT_GIB", str(TEXT_GIB)))
    if not limit:
        raise LakeSettingError("MAX_TEXT_GIB is no whole number of GiB above 0; write it as 64")
    return limit * 1024**3


def is_compressed(file: LakeFile) -> bool:
    """Whether a file can be read from its beginning only."""
    return not file.key.endswith(".tsv")


def estimate_text_size(file: LakeFile) -> int:
    """How many bytes of text a file holds, of a compressed one a guess."""
    return file.size * (COMPRESSED if is_compressed(file) else 1)


def read_text(
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
        left = read_text_limit() if is_compressed(file) else file.size
        while block := _next_block(stream):
            left -= len(block)
            if left < 0:
                raise FileError(
                    f"it holds more than {read_text_limit() // 1024**3} GiB of text; "
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
        return cast("Stream", gzip.GzipFile(fileobj=cast("io.RawIOBase", source)))
    if file.key.endswith(".zst"):
        from backports import zstd

        options = {int(zstd.DecompressionParameter.window_log_max): ZSTD_WINDOW_LOG}
        return cast("Stream", zstd.ZstdFile(cast("io.RawIOBase", source), options=options))
    return source


def _next_block(stream: Stream) -> bytes:
    try:
        return stream.read(BLOCK_BYTES)
    except (EOFError, OSError, zlib.error) as error:
        raise FileError(f"its compression is broken ({error}); write it again") from error
    except Exception as error:
        if type(error).__name__ != "ZstdError":  # the library is imported only where a file needs it
            raise
        raise FileError(f"its compression is broken ({error}); write it again") from error
