"""Small objects are asked for before they are reduced, since an object store answers only after a while."""

import io
from collections import deque
from collections.abc import Iterable, Iterator
from multiprocessing.pool import AsyncResult, ThreadPool

from processor.environment import read_setting
from processor.lake.base import Lake, LakeFile, LakeSettingError, Stream
from processor.lake.folder import FolderLake
from processor.lake.text import BLOCK_BYTES
from processor.parsing import parse_integer

# Larger objects keep the connection busy by themselves.
MOST_BYTES = 4 * 1024 * 1024
OBJECTS_AHEAD = 16


def read_objects_ahead() -> int:
    """How many objects of a bucket are asked for ahead, from LAKE_AHEAD; raises LakeSettingError."""
    count = parse_integer(read_setting("LAKE_AHEAD", str(OBJECTS_AHEAD)))
    if not count:
        raise LakeSettingError(f"LAKE_AHEAD must be a whole number above 0, such as {OBJECTS_AHEAD}")
    return count


class ReadAhead:
    """A lake that fetches the small files that are expected next while the ones before them are read.

    It holds `LAKE_AHEAD` of them at most, each of MOST_BYTES at most.
    """

    def __init__(self, lake: Lake) -> None:
        """The same lake; nothing is expected yet. Raises LakeSettingError."""
        self.url, self.list_files, self.find = lake.url, lake.list_files, lake.find
        self._lake = lake
        self._count = 0 if isinstance(lake, FolderLake) else read_objects_ahead()
        self._threads: ThreadPool | None = None
        self._expected: Iterator[LakeFile] = iter(())
        self._fetched: deque[tuple[LakeFile, AsyncResult[bytes]]] = deque()

    def expect(self, files: Iterable[LakeFile]) -> None:
        """These files will be opened next, in this order."""
        self._fetched.clear()
        if self._count:
            self._expected = (file for file in files if file.size <= MOST_BYTES and file.error is None)
            self._fetch()

    def open(self, file: LakeFile, start: int = 0, stop: int | None = None) -> Stream:
        """The bytes [start, stop) of the very version that was listed; raises FileError, LakeError."""
        if not start and stop is None and any(fetched == file for fetched, _ in self._fetched):
            while (first := self._fetched.popleft())[0] != file:
                pass  # it was passed over
            self._fetch()
            return io.BytesIO(first[1].get())
        return self._lake.open(file, start, stop)

    def close(self) -> None:
        """Fetch nothing more, and wait for nothing that is on its way."""
        self._fetched.clear()
        if self._threads is not None:
            self._threads.terminate()
            self._threads = None

    def _fetch(self) -> None:
        while len(self._fetched) < self._count and (file := next(self._expected, None)) is not None:
            if self._threads is None:
                self._threads = ThreadPool(self._count)  # its threads hold no process up that ends
            self._fetched.append((file, self._threads.apply_async(self._whole, (file,))))

    def _whole(self, file: LakeFile) -> bytes:
        stream = self._lake.open(file)
        try:
            return b"".join(iter(lambda: stream.read(BLOCK_BYTES), b""))
        finally:
            stream.close()
