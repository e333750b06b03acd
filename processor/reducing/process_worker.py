"""A process of the pool: reduces the stretches that it is sent, and sends back what their lines say."""

import gc
import os
import signal
import sys
import threading
from multiprocessing.connection import Connection

from processor.lake.base import FileError, LakeError
from processor.lake.location import open_lake
from processor.lake.read_ahead import ReadAhead
from processor.reducing.byte_ranges import reduced


def main(descriptor: int) -> None:
    """Work until the parent hangs up.

    The first message is the lake's URL and the chunk, each further one a list of stretches. For each stretch the
    answers are any number of `Reduced`, then None, or the error that ended it.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the parent is told, too, and ends this process
    threading.Thread(target=_end_with_parent, daemon=True).start()
    gc.disable()  # what is reduced holds no cycles, and much of it
    with Connection(descriptor) as parent:
        url, chunk = parent.recv()
        lake = ReadAhead(open_lake(url))
        while True:
            unit = parent.recv()
            lake.expect(stretch.file for stretch in unit)
            for stretch in unit:
                try:
                    for part in reduced(lake, stretch, chunk):
                        parent.send(part)
                    parent.send(None)
                except (FileError, LakeError) as error:
                    parent.send(error)
            gc.collect()


def _end_with_parent() -> None:
    sys.stdin.buffer.read()  # ends when the parent does, however that ended
    os._exit(1)


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]))
    except (EOFError, OSError):
        sys.exit(1)
