"""A pool of processes that reduce stretches of files ahead of the one that is being committed."""

import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import chain
from multiprocessing.connection import Pipe
from pathlib import Path
from queue import Empty, Queue
from typing import Self

from processor.lake.base import Lake, LakeFile
from processor.lake.read_ahead import ReadAhead
from processor.reducing.byte_ranges import Reduced, Stretch, reduced, stretch_length, stretches, units

ROOT = Path(__file__).resolve().parents[2]
AHEAD = 2
HELD = 2


class LostWorkerError(Exception):
    """A process of the pool ended before its work did."""


class Task:
    """A stretch to reduce: its results come as they are made, as many at a time as memory is to hold."""

    def __init__(self, stretch: Stretch) -> None:
        """A stretch nobody is at work on."""
        self.stretch = stretch
        self.results: Queue[Reduced | Exception | None] = Queue(HELD)
        self.is_wanted, self.is_over, self.ends_unit = True, False, False


class Pool:
    """Gives what the lines of files say, in the order of the files; as a context, with its processes.

    A unit of work is a stretch of a large file or a bundle of small files. The processes are at work on some units
    more than there are processes, and wait when these are not taken.
    """

    def __init__(self, lake: Lake, files: Sequence[LakeFile], chunk: int, workers: int) -> None:
        """A pool of so many processes for these files, which are asked for in this order."""
        self._lake, self._chunk = ReadAhead(lake), chunk
        cut = self._cut(files, workers) if workers > 1 else []
        self._files = deque(cut)
        self._begun: list[Task] = []
        work = list(units(chain.from_iterable(tasks for _, tasks in cut), lambda task: task.stretch, chunk))
        for unit in work:
            unit[-1].ends_unit = True
        self._units = iter(work)
        self._next = threading.Lock()
        self._room = threading.Semaphore(workers + AHEAD)
        self._is_closed = False
        self._workers: set[Worker] = set()
        count = min(workers, len(work)) if len(work) > 1 else 0  # one unit is done sooner here
        if not count:
            self._lake.expect(files)
        self._threads = [threading.Thread(target=self._serve, daemon=True) for _ in range(count)]

    def _cut(self, files: Sequence[LakeFile], workers: int) -> list[tuple[LakeFile, list[Task]]]:
        """The files with their tasks: as many for each as is its share of the processes."""
        size = sum(file.size for file in files) or 1
        lengths = (stretch_length(file, self._chunk, workers * file.size / size) for file in files)
        return [
            (file, [Task(stretch) for stretch in stretches(file, length)])
            for file, length in zip(files, lengths, strict=True)
        ]

    def __enter__(self) -> Self:
        """Begin to reduce."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End the processes, whatever they are at."""
        self._is_closed = True
        self._lake.close()
        for worker in list(self._workers):
            worker.process.kill()
        for thread in self._threads:
            while thread.is_alive():
                self._room.release()
                for task in chain(self._begun, *(tasks for _, tasks in self._files)):
                    with suppress(Empty):
                        task.results.get_nowait()
                thread.join(0.01)

    def results(self, file: LakeFile) -> Iterator[Reduced]:
        """What the lines of a file say; raises FileError, LakeError, LostWorkerError.

        Asked for again, or after a later file, it is reduced in this process: a transaction that was broken off takes
        its file once more.
        """
        if not self._threads:
            return reduced(self._lake, Stretch(file), self._chunk)
        self._drop(self._begun)
        while self._files and self._files[0][0].key <= file.key:
            found, self._begun = self._files.popleft()
            if found is file:
                return chain.from_iterable(map(self._taken, self._begun))
            self._drop(self._begun)
        return reduced(self._lake, Stretch(file), self._chunk)

    def _taken(self, task: Task) -> Iterator[Reduced]:
        while (result := self._take(task)) is not None:
            if isinstance(result, Exception):
                raise result
            yield result

    def _take(self, task: Task) -> Reduced | Exception | None:
        """The next result of a task; nothing more is to come after None or an exception."""
        result = task.results.get()
        if not isinstance(result, Reduced):
            task.is_over = True
            if task.ends_unit:
                self._room.release()
        return result

    def _drop(self, tasks: Sequence[Task]) -> None:
        """Let go of what nobody asks for any more."""
        for task in tasks:
            task.is_wanted = False
        for task in tasks:
            while not task.is_over:
                self._take(task)

    def _serve(self) -> None:
        """Give units to a process, and take what it gives, until none are left."""
        worker = None
        while True:
            self._room.acquire()
            with self._next:
                unit = next(self._units, None)
            if unit is None or self._is_closed:
                break
            if not any(task.is_wanted for task in unit):
                for task in unit:
                    task.results.put(None)
                continue
            left = deque(unit)
            try:
                if worker is None:
                    worker = Worker(self._lake.url, self._chunk)
                    self._workers.add(worker)
                worker.connection.send([task.stretch for task in unit])
                while left:
                    while isinstance(result := worker.connection.recv(), Reduced):
                        left[0].results.put(result)
                    left.popleft().results.put(result)
            except (EOFError, OSError):
                for task in left:
                    task.results.put(LostWorkerError("a worker process ended before its work did"))
                if worker is not None:
                    self._workers.discard(worker)
                    worker.end()
                    worker = None
        self._room.release()  # the others are to find that none are left, too
        if worker is not None:
            self._workers.discard(worker)
            worker.end()


class Worker:
    """A process that reduces stretches of a lake, and the connection to it; it ends when this process does."""

    def __init__(self, url: str, chunk: int) -> None:
        """A process that starts."""
        self.connection, theirs = Pipe()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "processor.reducing.process_worker", str(theirs.fileno())],
                stdin=subprocess.PIPE,
                pass_fds=[theirs.fileno()],
                env={**os.environb, b"PYTHONPATH": os.fsencode(ROOT)},
                process_group=0,  # what the terminal sends to stop the run goes to its parent only
            )
        self.connection.send((url, chunk))

    def end(self) -> None:
        """End the process now."""
        self.process.kill()
        self.process.wait()
        self.connection.close()
        assert self.process.stdin is not None
        self.process.stdin.close()
