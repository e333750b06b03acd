"""A pool of processes that reduce byte ranges of files ahead of the file that is being committed."""

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from itertools import chain, islice
from multiprocessing.connection import Pipe
from queue import Empty, Queue
from typing import Self

from processor.child_process import start_module
from processor.lake.base import Files, LakeFile
from processor.reducers.fold import CHUNK_BYTES
from processor.reducing.byte_ranges import ByteRange, choose_range_size, cut_into_byte_ranges, group_into_tasks
from processor.reducing.in_process import InProcessReducer, reduce_byte_range
from processor.reducing.reducer import ReducedPartial, Reducer
from state.partial_rows import LostRowsError

# Tasks that are begun or wait to be committed, beyond one for each process.
TASKS_AHEAD = 2
# Partials of a byte range that wait in memory.
PARTIALS_AHEAD = 2


def open_local_reducer(
    lake: Files, files: Sequence[LakeFile], workers: int = 1, chunk_bytes: int = CHUNK_BYTES
) -> Reducer:
    """Return the reducer on this machine that is best for these files: a pool of processes, or this process alone.

    lake: where the files are. files: in the order of their keys. workers: how many processes may reduce; with one, or
    for a single task, this process does. chunk_bytes: the size of a chunk.
    """
    if workers > 1:
        pool = ProcessPool(lake, files, workers, chunk_bytes)
        if pool.tasks > 1:
            return pool
    return InProcessReducer(lake, files, chunk_bytes)


class RangeResults:
    """The results of a byte range that a process reduces: each when it is made, PARTIALS_AHEAD of them at a time.

    The last one is None or an exception.
    """

    def __init__(self, byte_range: ByteRange, ends_task: bool) -> None:
        """Wait for the results; `ends_task`: whether this byte range is the last one of its task."""
        self.byte_range, self.ends_task = byte_range, ends_task
        self.queue: Queue[ReducedPartial | Exception | None] = Queue(PARTIALS_AHEAD)
        self.is_wanted, self.is_over = True, False

    def take(self) -> ReducedPartial | Exception | None:
        """Return the next result as soon as there is one."""
        result = self.queue.get()
        self.is_over = not isinstance(result, ReducedPartial)
        return result

    def discard(self) -> None:
        """Let no process begin this byte range, if none has begun it; the remaining results must still be taken."""
        self.is_wanted = False


class ProcessPool:
    """Reduces files ahead, in their order, in processes that run while its context is open.

    A task is a byte range of a large file, or several small files. The processes work on TASKS_AHEAD tasks more than
    there are processes, and wait until their results are taken.
    """

    def __init__(self, lake: Files, files: Sequence[LakeFile], workers: int, chunk_bytes: int = CHUNK_BYTES) -> None:
        """Cut the files into tasks.

        lake: where the files are. files: in the order in which `results` will get them. workers: the most processes.
        chunk_bytes: the size of a chunk.
        """
        self._lake = lake
        self._chunk_bytes = chunk_bytes
        cut = self._cut(files, workers)
        ranges = chain.from_iterable(ranges for _, ranges in cut)
        tasks = [
            [RangeResults(byte_range, byte_range is task[-1]) for byte_range in task]
            for task in group_into_tasks(ranges, lambda byte_range: byte_range, chunk_bytes)
        ]
        results = chain.from_iterable(tasks)
        self._files = deque((file, list(islice(results, len(ranges)))) for file, ranges in cut)
        self._present: list[RangeResults] = []
        self.tasks = len(tasks)
        self._tasks = iter(tasks)
        self._task_lock = threading.Lock()
        self._free_tasks = threading.Semaphore(workers + TASKS_AHEAD)
        self._closed = threading.Event()
        self._workers: set[Worker] = set()
        self._threads = [threading.Thread(target=self._run_tasks, daemon=True) for _ in range(min(workers, len(tasks)))]

    def _cut(self, files: Sequence[LakeFile], workers: int) -> list[tuple[LakeFile, list[ByteRange]]]:
        """Return the files with their byte ranges: a file gets processes in proportion to its size."""
        total = sum(file.size for file in files) or 1
        sizes = (choose_range_size(file, self._chunk_bytes, workers * file.size / total) for file in files)
        return [(file, cut_into_byte_ranges(file, size)) for file, size in zip(files, sizes, strict=True)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End the processes, even in the middle of a task."""
        self._closed.set()
        for worker in list(self._workers):
            worker.process.kill()
        for thread in self._threads:
            while thread.is_alive():
                self._free_tasks.release()
                for results in chain(self._present, *(ranges for _, ranges in self._files)):
                    with suppress(Empty):
                        results.queue.get_nowait()
                thread.join(0.01)

    def results(self, file: LakeFile) -> Iterator[ReducedPartial]:
        """Yield the partials of a file; raises FileError, LakeError and LostRowsError.

        A file that is asked for once more, or after a later one, is reduced in this process.
        """
        self._drop(self._present)
        while self._files and self._files[0][0].key <= file.key:
            next_file, self._present = self._files.popleft()
            if next_file is file:
                return chain.from_iterable(map(self._yield_results, self._present))
            self._drop(self._present)
        return reduce_byte_range(self._lake, ByteRange(file), self._chunk_bytes)

    def _yield_results(self, results: RangeResults) -> Iterator[ReducedPartial]:
        while (result := self._take(results)) is not None:
            if isinstance(result, Exception):
                raise result
            yield result

    def _take(self, results: RangeResults) -> ReducedPartial | Exception | None:
        """Return the next result of a byte range; after the last one of a task, a process may begin another."""
        result = results.take()
        if results.is_over and results.ends_task:
            self._free_tasks.release()
        return result

    def _drop(self, ranges: Sequence[RangeResults]) -> None:
        """Take and discard the remaining results of byte ranges."""
        for results in ranges:
            results.discard()
        for results in ranges:
            while not results.is_over:
                self._take(results)

    def _run_tasks(self) -> None:
        """Send tasks to a process and pass on its results, until no task is left."""
        worker = None
        while True:
            self._free_tasks.acquire()
            with self._task_lock:
                task = next(self._tasks, None)
            if task is None or self._closed.is_set():
                break
            if not any(results.is_wanted for results in task):
                for results in task:
                    results.queue.put(None)
                continue
            left = deque(task)
            try:
                if worker is None:
                    worker = Worker(self._lake, self._chunk_bytes)
                    self._workers.add(worker)
                    if self._closed.is_set():  # and perhaps the others were killed before this one was among them
                        break
                worker.connection.send([results.byte_range for results in task])
                while left:
                    while isinstance(result := worker.connection.recv(), ReducedPartial):
                        left[0].queue.put(result)
                    left.popleft().queue.put(result)
            except Exception as error:  # noqa: BLE001 the reader of the results would wait for ever
                for results in left:
                    results.queue.put(LostRowsError(_describe_lost_process(error)))
                if worker is not None:
                    self._workers.discard(worker)
                    worker.end()
                    worker = None
        self._free_tasks.release()  # so that the other threads see that no task is left, too
        if worker is not None:
            self._workers.discard(worker)
            worker.end()


def _describe_lost_process(error: Exception) -> str:
    if isinstance(error, EOFError | OSError):
        return "a worker process ended before its task was done"
    return f"the results of a worker process cannot be read ({type(error).__name__})"


class Worker:
    """A process that reduces byte ranges of a lake, and the connection to it; it ends when this process does."""

    def __init__(self, lake: Files, chunk_bytes: int) -> None:
        """Start the process; raises OSError."""
        with ExitStack() as undo:
            self.connection, its_end = Pipe()
            undo.enter_context(self.connection)
            with its_end:
                # botocore in the process reads the AWS_* settings.
                self.process = start_module(
                    "processor.reducing.process_worker", str(its_end.fileno()), pass_fds=[its_end.fileno()]
                )
            undo.callback(self.end)
            self.connection.send((lake.url, lake.settings, chunk_bytes))
            undo.pop_all()

    def end(self) -> None:
        """End the process now."""
        self.process.kill()
        self.process.wait()
        self.connection.close()
        assert self.process.stdin is not None
        self.process.stdin.close()
