"""Apache Spark instead of the pool: the units of work are its tasks, and its shuffle merges what they say of a file.

What the tasks say does not pass through this process: executors stage it in the database, and the run takes it from
there into the transaction of its file. Only what the tasks that Spark took for done have staged is taken, so that a
task may be tried as often as Spark likes.
"""

import os
import re
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from typing import NamedTuple, Self, TypeVar

from processor.lake.base import FileError, Lake, LakeError, LakeFile
from processor.lake.text import estimate_text_size
from processor.reducing.byte_ranges import BUNDLE, Reduced, Stretch, reduced, stretches, units
from processor.spark.executor import Job, Outcome, Part, Share, staging
from processor.spark.session import Engine, EngineError, reason
from state.staging import Staging

# Chunks of text whose entries one task merges and stages.
MERGED = 4
# Chunks in a job for each core; jobs at a time, and jobs that are done and wait to be committed.
DEEP = 4
JOBS = 2
READY = 1
EXECUTOR_PATIENCE = 90.0
SETTINGS = re.compile(b"AWS_|MAX_TEXT_GIB$")

T = TypeVar("T")


class Wave(NamedTuple):
    """The files of one job in their order, and into how many shares the ids of each are cut."""

    files: list[LakeFile]
    shares: list[int]


class SparkPool:
    """Gives what the lines of files say, in the order of the files, from jobs that run ahead; like `pool.Pool`."""

    def __init__(self, engine: Engine, lake: Lake, files: Sequence[LakeFile], chunk: int, staging: Staging) -> None:
        """A pool for these files, which are asked for in this order; executors stage what they say of them."""
        self._engine, self._lake, self._files, self._chunk, self._staging = engine, lake, files, chunk, staging
        self._threads = ThreadPoolExecutor(JOBS, "spark")
        self._waves: Iterator[Wave] | None = None
        self._jobs: deque[tuple[Wave, Future[list[Outcome]]]] = deque()
        self._found: dict[str, list[Outcome]] = {}
        self._asked = ""

    def __enter__(self) -> Self:
        """Nothing begins before it is asked for."""
        return self

    def __exit__(self, *_: object) -> None:
        """Break off what nobody asks for any more."""
        for _, job in self._jobs:
            job.cancel()
        if self._jobs:
            self._engine.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def results(self, file: LakeFile) -> Iterator[Reduced]:
        """What the lines of a file say; raises FileError, LakeError, EngineError.

        Asked for again, or after a later file, it is reduced in this process: a transaction that was broken off takes
        its file once more.
        """
        if file.key <= self._asked:
            return reduced(self._lake, Stretch(file), self._chunk)
        self._asked = file.key
        if self._waves is None:
            cores = self._waited(self._threads.submit(lambda: self._engine.context().defaultParallelism))
            self._waves = waves(self._files, self._chunk, DEEP * cores * self._chunk)
            for _ in range(JOBS + READY):
                self._begin()
        while file.key not in self._found:
            wave, job = self._jobs.popleft()
            outcomes = self._waited(job)
            self._begin()
            self._found = {file.key: [] for file in wave.files}
            for outcome in sorted(outcomes):
                self._found[wave.files[outcome.part[0]].key].append(outcome)
        return _results(self._found.pop(file.key))

    def _begin(self) -> None:
        """Begin the next job, if there is one."""
        assert self._waves is not None
        wave = next(self._waves, None)
        if wave is not None:
            self._jobs.append((wave, self._threads.submit(self._run, wave)))

    def _run(self, wave: Wave) -> list[Outcome]:
        environment = {name: value for name, value in os.environb.items() if SETTINGS.match(name)}
        job = Job(self._lake.url, self._chunk, environment, wave.shares)
        cut = ((place, stretch) for place, file in enumerate(wave.files) for stretch in stretches(file, self._chunk))
        work = list(units(cut, lambda item: item[1], self._chunk))
        tasks = numbered(wave, MERGED * self._chunk)
        shares = self._engine.context().parallelize(work, len(work)).flatMap(job.shared)
        merged = shares.combineByKey(_first, Share.merge, Share.merge, max(tasks.values()) + 1, tasks.__getitem__)
        return merged.mapPartitions(staging(self._staging)).collect()

    def _waited(self, job: Future[T]) -> T:
        """What a job gives; raises EngineError where Spark gave it up, or has had no executor for a while."""
        alone_since = None
        while True:
            try:
                return job.result(1)
            except TimeoutError:
                if job.done():
                    raise
            except EngineError:
                raise
            except Exception as error:
                raise _given_up(error) from error
            alone_since = None if self._engine.executors() != 0 else alone_since or time.monotonic()
            if alone_since is not None and time.monotonic() > alone_since + EXECUTOR_PATIENCE:
                raise EngineError(
                    f"Spark has had no executor for {EXECUTOR_PATIENCE:.0f} s; look at the cluster, then run again"
                )


def waves(files: Sequence[LakeFile], chunk: int, size: int) -> Iterator[Wave]:
    """Files bundled into jobs of so many bytes of text, more or less; a larger file is a job of its own."""
    wave, held = Wave([], []), 0
    for file in files:
        text = estimate_text_size(file)
        if wave.files and held + text > size:
            yield wave
            wave, held = Wave([], []), 0
        wave.files.append(file)
        wave.shares.append(-(-text // (MERGED * chunk)) or 1)
        held += text
    if wave.files:
        yield wave


def numbered(wave: Wave, size: int) -> dict[Part, int]:
    """Which task merges and stages each part of a job's files: one for each, or one for a bundle of small files."""
    tasks: dict[Part, int] = {}
    task, bundled, held = -1, BUNDLE, 0
    for place, (file, shares) in enumerate(zip(*wave, strict=True)):
        for share in range(shares):
            if shares > 1 or bundled == BUNDLE or held + file.size > size:
                task, bundled, held = task + 1, 0, 0
            bundled, held = (bundled + 1, held + file.size) if shares == 1 else (BUNDLE, 0)
            tasks[place, share] = task
    return tasks


def _given_up(error: Exception) -> EngineError:
    why = reason(str(error))
    advice = "run again, or without ENGINE"
    if why.startswith("ModuleNotFoundError"):
        advice = "give the executors the program's packages, as docs/spark.md says"
    return EngineError(f"Spark gave a job up ({why}); {advice}")


def _first(share: Share) -> Share:
    return share


def _results(outcomes: list[Outcome]) -> Iterator[Reduced]:
    """What the parts of a file say; raises what went wrong first in it."""
    troubles = sorted(chain.from_iterable(outcome.troubles for outcome in outcomes))
    if troubles:
        if troubles[0].is_lakes:
            raise LakeError(troubles[0].message)
        error = FileError(troubles[0].message)
        error.size = sum(outcome.reduced.size for outcome in outcomes)
        raise error
    for outcome in outcomes:
        yield outcome.reduced
