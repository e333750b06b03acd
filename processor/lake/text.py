"""Reads a lake file in blocks, decompressed if it is compressed."""

import gzip
import zlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, cast

from processor.lake.base import FileError, Files, LakeFile, Stream

if TYPE_CHECKING:
    import io

BLOCK_BYTES = 256 * 1024
GIB_BYTES = 1024**3
ZSTD_WINDOW_LOG = 27  # 128 MiB, the limit of the zstd program as well
COMPRESSION_RATIO = 8  # a guess


def is_compressed(file: LakeFile) -> bool:
    """Whether a file is compressed, so that it can only be read from its beginning."""
    return not file.key.endswith(".tsv")


def estimate_text_size(file: LakeFile) -> int:
    """Return the bytes of text in a file; of a compressed one, a guess."""
    return file.size * (COMPRESSION_RATIO if is_compressed(file) else 1)


def read_text(
    lake: Files,
    file: LakeFile,
    start: int = 0,
    stop: int | None = None,
    on_read: Callable[[int], None] = lambda _: None,
) -> Iterator[bytes]:
    """Yield the decompressed bytes of a file in blocks of at most BLOCK_BYTES.

    lake: where the file is. file: as it was listed. start: the first byte. stop: the byte after the last one; None for
    the file's end. A compressed file must be read from its beginning to its end.
    on_read: called with the number of bytes of each block that came from the lake, before decompression.
    Raises FileError.
    """
    if file.error is not None:
        raise FileError(file.error)
    limit = lake.settings.max_text_gib
    source = _CountingStream(lake.open(file, start, stop), on_read)
    try:
        stream = _decompress(file, source)
        left = limit * GIB_BYTES if is_compressed(file) else file.size
        while block := _read_block(stream):
            left -= len(block)
            if left < 0:
                raise FileError(
                    f"it contains more than {limit} GiB of text; write it as several files, or increase MAX_TEXT_GIB"
                )
            yield block
    finally:
        source.close()


class _CountingStream:
    def __init__(self, source: Stream, on_read: Callable[[int], None]) -> None:
        self._source, self._on_read, self.close = source, on_read, source.close

    def read(self, size: int = -1, /) -> bytes:
        block = self._source.read(size)
        self._on_read(len(block))
        return block


def _decompress(file: LakeFile, source: Stream) -> Stream:
    if file.key.endswith(".gz"):
        return cast("Stream", gzip.GzipFile(fileobj=cast("io.RawIOBase", source)))
    if file.key.endswith(".zst"):
        from backports import zstd

        options = {int(zstd.DecompressionParameter.window_log_max): ZSTD_WINDOW_LOG}
        return cast("Stream", zstd.ZstdFile(cast("io.RawIOBase", source), options=options))
    return source


def _read_block(stream: Stream) -> bytes:
    try:
        return stream.read(BLOCK_BYTES)
    except (EOFError, OSError, zlib.error) as error:
        raise FileError(f"its compression is broken ({error}); write it again") from error
    except Exception as error:
        if type(error).__name__ != "ZstdError":  # its library is imported only for files that need it
            raise
        raise FileError(f"its compression is broken ({error}); write it again") from error
