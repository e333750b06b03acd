"""A process of the pool: reduces the byte ranges that it is sent, and sends back their partials."""

import gc
import os
import signal
import sys
import threading
from multiprocessing.connection import Connection

from processor.lake.base import FileError, LakeError
from processor.lake.open_lake import open_lake
from processor.lake.read_ahead import ReadAhead
from processor.reducing.in_process import reduce_byte_range


def main(descriptor: int) -> None:
    """Work until the parent closes the connection.

    The parent first sends the lake's URL, its settings and the size of a chunk in bytes, then tasks: lists of byte
    ranges. For each byte range this process sends any number of `ReducedPartial`, then None, or the error that ended
    it.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the parent gets the signal, too, and ends this process
    threading.Thread(target=_end_with_parent, daemon=True).start()
    gc.disable()  # partials are large and hold no cycles
    with Connection(descriptor) as parent:
        url, settings, chunk_bytes = parent.recv()
        lake = ReadAhead(open_lake(url, settings))
        while True:
            task = parent.recv()
            lake.expect(byte_range.file for byte_range in task)
            for byte_range in task:
                try:
                    for result in reduce_byte_range(lake, byte_range, chunk_bytes):
                        parent.send(result)
                    parent.send(None)
                except (FileError, LakeError) as error:
                    parent.send(error)
            gc.collect()


def _end_with_parent() -> None:
    sys.stdin.buffer.read()  # returns when the parent ends, however it ends
    os._exit(1)


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]))
    except (EOFError, OSError):
        sys.exit(1)
