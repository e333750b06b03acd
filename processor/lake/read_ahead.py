"""Fetches small objects before they are reduced, as an object store takes a while to answer."""

import io
from collections import deque
from collections.abc import Iterable, Iterator
from multiprocessing.pool import AsyncResult, ThreadPool

from processor.lake.base import Files, LakeFile, Stream
from processor.lake.text import BLOCK_BYTES

# Larger objects keep the connection busy by themselves.
MAX_OBJECT_BYTES = 4 * 1024 * 1024


class ReadAhead:
    """Reads the files of a lake, and fetches small files that are expected next while others are read.

    It holds at most as many files as the lake's settings allow, each of at most MAX_OBJECT_BYTES; it fetches none of a
    lake that is not remote.
    """

    def __init__(self, lake: Files) -> None:
        self.url, self.settings, self.is_remote = lake.url, lake.settings, lake.is_remote
        self._lake = lake
        self._count = lake.settings.objects_ahead if lake.is_remote else 0
        self._threads: ThreadPool | None = None
        self._expected: Iterator[LakeFile] = iter(())
        self._fetched: deque[tuple[LakeFile, AsyncResult[bytes]]] = deque()

    def expect(self, files: Iterable[LakeFile]) -> None:
        """Start to fetch the files that will be opened next, in this order."""
        self._fetched.clear()
        if self._count:
            self._expected = (file for file in files if file.size <= MAX_OBJECT_BYTES and file.error is None)
            self._fetch()

    def open(self, file: LakeFile, start: int = 0, stop: int | None = None) -> Stream:
        """Open bytes of a file, which may be fetched already. The parameters and errors are those of `Files.open`."""
        if not start and stop is None and any(fetched == file for fetched, _ in self._fetched):
            while (first := self._fetched.popleft())[0] != file:
                pass  # the caller skipped this one
            self._fetch()
            return io.BytesIO(first[1].get())
        return self._lake.open(file, start, stop)

    def close(self) -> None:
        """Stop fetching, without waiting for the requests that are open."""
        self._fetched.clear()
        if self._threads is not None:
            self._threads.terminate()
            self._threads = None

    def _fetch(self) -> None:
        while len(self._fetched) < self._count and (file := next(self._expected, None)) is not None:
            if self._threads is None:
                self._threads = ThreadPool(self._count)  # daemon threads, so they do not delay the process's end
            self._fetched.append((file, self._threads.apply_async(self._read, (file,))))

    def _read(self, file: LakeFile) -> bytes:
        stream = self._lake.open(file)
        try:
            return b"".join(iter(lambda: stream.read(BLOCK_BYTES), b""))
        finally:
            stream.close()
