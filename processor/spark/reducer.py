"""Reduces on Apache Spark: its tasks fold byte ranges, and its shuffle merges the partials of each file.

The rows do not pass through this process. Executors stage them in the database, from which the run takes them in the
transaction that commits their file. The run takes only what successful tasks staged, so Spark may try a task any number
of times.
"""

import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from typing import NamedTuple, Self, TypeVar

from processor.lake.base import FileError, Files, LakeError, LakeFile
from processor.lake.text import estimate_text_size
from processor.reducers.fold import CHUNK_BYTES
from processor.reducing.byte_ranges import MAX_TASK_FILES, ByteRange, cut_into_byte_ranges, group_into_tasks
from processor.reducing.in_process import reduce_byte_range
from processor.reducing.reducer import ReducedPartial
from processor.spark.application import SparkApplication, SparkError, find_reason
from processor.spark.executor import FoldTask, Shard, ShardPartial, ShardResult, make_stage_task
from state.staging import Staging

# Chunks of text in a shard, whose ids one task merges and stages.
SHARD_CHUNKS = 4
# Chunks of text in a job, for each core.
JOB_CHUNKS = 4
# Jobs that run at a time, and finished jobs that wait to be committed.
RUNNING_JOBS = 2
FINISHED_JOBS = 1
NO_EXECUTOR_SECONDS = 90.0

T = TypeVar("T")


class Job(NamedTuple):
    """The files of one Spark job in their order, and for each file the number of its shards."""

    files: list[LakeFile]
    shards: list[int]


class SparkReducer:
    """Reduces files in their order, in Spark jobs that run ahead."""

    def __init__(
        self,
        lake: Files,
        files: Sequence[LakeFile],
        application: SparkApplication,
        staging: Staging,
        chunk_bytes: int = CHUNK_BYTES,
    ) -> None:
        """Prepare the jobs; the first call of `results` begins them.

        lake: where the files are. files: in the order in which `results` will get them. application: runs the jobs.
        staging: what executors need to stage rows. chunk_bytes: the size of a chunk.
        """
        self._application, self._staging = application, staging
        self._lake, self._files, self._chunk_bytes = lake, files, chunk_bytes
        self._threads = ThreadPoolExecutor(RUNNING_JOBS, "spark")
        self._waiting: Iterator[Job] | None = None
        self._begun: deque[tuple[Job, Future[list[ShardResult]]]] = deque()
        self._finished: dict[str, list[ShardResult]] = {}
        self._last_key = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Cancel the jobs that still run."""
        for _, future in self._begun:
            future.cancel()
        if self._begun:
            self._application.cancel_jobs()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def results(self, file: LakeFile) -> Iterator[ReducedPartial]:
        """Yield the partials of a file; raises FileError, LakeError, LostRowsError and SparkError.

        A file that is asked for once more, or after a later one, is reduced in this process.
        """
        if file.key <= self._last_key:
            return reduce_byte_range(self._lake, ByteRange(file), self._chunk_bytes)
        self._last_key = file.key
        if self._waiting is None:
            cores = self._wait(self._threads.submit(lambda: self._application.context().defaultParallelism))
            self._waiting = group_into_jobs(self._files, self._chunk_bytes, JOB_CHUNKS * cores * self._chunk_bytes)
            for _ in range(RUNNING_JOBS + FINISHED_JOBS):
                self._begin_job()
        while file.key not in self._finished:
            job, future = self._begun.popleft()
            results = self._wait(future)
            self._begin_job()
            self._finished = {file.key: [] for file in job.files}
            for result in sorted(results):
                self._finished[job.files[result.shard[0]].key].append(result)
        return _yield_results(self._finished.pop(file.key))

    def _begin_job(self) -> None:
        """Begin the next job, if there is one."""
        assert self._waiting is not None
        job = next(self._waiting, None)
        if job is not None:
            self._begun.append((job, self._threads.submit(self._run, job)))

    def _run(self, job: Job) -> list[ShardResult]:
        # botocore reads these by itself, in the executors as well.
        environment = {
            name: value
            for name, value in os.environb.items()
            if name.startswith(b"AWS_") or name == b"REQUESTS_CA_BUNDLE"
        }
        fold = FoldTask(self._lake.url, self._lake.settings, self._chunk_bytes, environment, job.shards)
        ranges = (
            (position, byte_range)
            for position, file in enumerate(job.files)
            for byte_range in cut_into_byte_ranges(file, self._chunk_bytes)
        )
        tasks = list(group_into_tasks(ranges, lambda item: item[1], self._chunk_bytes))
        task_of = assign_stage_tasks(job, SHARD_CHUNKS * self._chunk_bytes)
        folded = self._application.context().parallelize(tasks, len(tasks)).flatMap(fold.run)
        merge = ShardPartial.merge
        merged = folded.combineByKey(_keep, merge, merge, max(task_of.values()) + 1, task_of.__getitem__)
        results: list[ShardResult] = merged.mapPartitions(
            make_stage_task(self._staging, self._lake.settings.definition.timezone)
        ).collect()
        return results

    def _wait(self, future: Future[T]) -> T:
        """Return the result of a job; raises SparkError if Spark gave it up, or has had no executor for a while."""
        alone_since = None
        while True:
            try:
                return future.result(1)
            except TimeoutError:
                if future.done():
                    raise
            except SparkError:
                raise
            except Exception as error:
                raise _translate(error) from error
            alone_since = None if self._application.count_executors() != 0 else alone_since or time.monotonic()
            if alone_since is not None and time.monotonic() > alone_since + NO_EXECUTOR_SECONDS:
                raise SparkError(
                    f"Spark has had no executor for {NO_EXECUTOR_SECONDS:.0f} s; look at the cluster, then run again"
                )


def group_into_jobs(files: Sequence[LakeFile], chunk_bytes: int, job_bytes: int) -> Iterator[Job]:
    """Yield jobs in the order of the files; a file that is larger than a job is a job alone.

    files: the files to cut. chunk_bytes: the size of a chunk. job_bytes: the approximate bytes of text of a job.
    """
    job, size = Job([], []), 0
    for file in files:
        text_size = estimate_text_size(file)
        if job.files and size + text_size > job_bytes:
            yield job
            job, size = Job([], []), 0
        job.files.append(file)
        job.shards.append(-(-text_size // (SHARD_CHUNKS * chunk_bytes)) or 1)
        size += text_size
    if job.files:
        yield job


def assign_stage_tasks(job: Job, max_bytes: int) -> dict[Shard, int]:
    """Return the number of the task that merges and stages each shard of a job.

    Each shard of a large file has a task of its own; small files, of one shard each, share one: up to MAX_TASK_FILES
    of them, of up to `max_bytes` bytes together.
    """
    task_of: dict[Shard, int] = {}
    task, task_files, task_bytes = -1, MAX_TASK_FILES, 0
    for position, (file, shards) in enumerate(zip(*job, strict=True)):
        for number in range(shards):
            if shards > 1 or task_files == MAX_TASK_FILES or task_bytes + file.size > max_bytes:
                task, task_files, task_bytes = task + 1, 0, 0
            task_files, task_bytes = (task_files + 1, task_bytes + file.size) if shards == 1 else (MAX_TASK_FILES, 0)
            task_of[position, number] = task
    return task_of


def _translate(error: Exception) -> SparkError:
    reason = find_reason(str(error))
    advice = "run again, or run without ENGINE"
    if reason.startswith("ModuleNotFoundError"):
        advice = "give the executors the program's packages, as docs/spark.md says"
    return SparkError(f"Spark gave up a job ({reason}); {advice}")


def _keep(partial: ShardPartial) -> ShardPartial:
    return partial


def _yield_results(results: list[ShardResult]) -> Iterator[ReducedPartial]:
    """Yield the partials of a file's shards; raises the error that comes first in the file."""
    errors = sorted(chain.from_iterable(result.errors for result in results))
    if errors:
        if errors[0].is_lake_error:
            raise LakeError(errors[0].message)
        error = FileError(errors[0].message)
        error.size = sum(result.reduced.size for result in results)
        raise error
    for result in results:
        yield result.reduced
