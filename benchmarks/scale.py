"""What a lake costs on Spark, and what a larger one will: the numbers of docs/scale.md.

    python -m benchmarks.scale [EXECUTORS ...]            (1 and 2; SCALE=0.01 for a try)

Small lakes that differ in bytes, sessions and files are counted with one executor of a core and with two. A model that
is linear in these three is fitted to each cost; it predicts a larger lake, which is then counted, too.
"""

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import psutil

from benchmarks.bench import STATE, clean, new_database, rows
from benchmarks.processes import ROOT
from processor.lake.location import open_lake
from processor.reducers.fold import CHUNK
from processor.reducers.partial import Partial
from processor.reducing.byte_ranges import Stretch, partials
from processor.reducing.copy_rows import copy_rows
from state import embedded
from tests.support import made_lake
from tests.support.clusters import Cluster

SIZES = "select pg_current_wal_lsn() - '0/0'::pg_lsn"


class Shape(NamedTuple):
    """What the costs of a lake are taken to follow: GB, millions of sessions, files; and that a run starts at all."""

    gigabytes: float
    sessions: float
    files: float
    runs: float = 1


class Costs(NamedTuple):
    """What counting a lake took: seconds; CPU seconds of the tasks and of Postgres; megabytes."""

    wall: float
    tasks_cpu: float
    postgres_cpu: float
    copied: float
    wal: float
    at_rest: float


class Meter:
    """CPU seconds of processes and of all that they start, while the context lasts."""

    def __init__(self, *pids: int) -> None:
        """A meter of these processes."""
        self._roots, self._has_begun, self._done = pids, False, threading.Event()
        self._seen = dict[tuple[int, float], tuple[float, float]]()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        """Begin."""
        self._look()
        self._has_begun = True
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self._done.set()
        self._thread.join()
        self._look()

    def add(self, pid: int) -> None:
        """Watch another process, from its beginning."""
        self._roots += (pid,)

    @property
    def seconds(self) -> float:
        """What they took between the beginning and the end."""
        return sum(last - first for first, last in self._seen.values())

    def _watch(self) -> None:
        while not self._done.wait(0.1):
            self._look()

    def _look(self) -> None:
        for root in self._roots:
            try:
                parent = psutil.Process(root)
                for process in (parent, *parent.children(recursive=True)):
                    with process.oneshot():
                        times, key = process.cpu_times(), (process.pid, process.create_time())
                    took = times.user + times.system
                    first, _ = self._seen.get(key, (0.0 if self._has_begun else took, took))
                    self._seen[key] = first, took
            except psutil.NoSuchProcess:
                continue


class Scale:
    """Lakes counted on clusters, on a server of their own."""

    def __init__(self, server: str, postmaster: int, folder: Path, scale: float) -> None:
        """Lakes of a size: scale 1 is the one that docs/scale.md tells."""
        self._server, self._postmaster, self._folder, self._scale = server, postmaster, folder, scale

    def lake(self, name: str, lines: int, files: int, padding: int = 0) -> Path:
        """A lake of so many lines in all; `padding` adds so many megabytes of events without ids."""
        lake = self._folder / name
        if not lake.exists():
            made_lake.write(lake, days=files, lines=max(20, int(lines * self._scale) // files), seed=9)
            for path in lake.glob("*.tsv"):
                clean(path)
                with path.open("ab") as file:
                    line = b"2019-02-15 03:07:03.000 +0000\t\tapp_opened\t\t%s\n" % (b"x" * 500)
                    file.write(line * int(padding * self._scale * 1e6 / files / len(line)))
        return lake

    def shape(self, lake: Path, database: str) -> Shape:
        """What a counted lake has."""
        ((sessions,),) = rows(database, "select sum(sessions)::bigint from user_performance")
        sizes = [path.stat().st_size for path in lake.iterdir()]
        return Shape(sum(sizes) / 1e9, int(sessions) / 1e6, len(sizes))

    def counted(self, lake: Path, executors: int) -> tuple[Shape, Costs]:
        """What counting a lake into an empty database took, on so many executors."""
        with (
            new_database(self._server) as database,
            tempfile.TemporaryDirectory() as folder,
            Cluster(Path(folder), workers=executors) as cluster,
        ):
            before = int(rows(database, SIZES)[0][0])
            environment = {**os.environ, **cluster.settings(), "LAKE_URL": str(lake), "DATABASE_URL": database}
            with Meter(self._postmaster) as postgres, Meter(*cluster.workers()) as tasks:
                begun = time.monotonic()
                run = subprocess.Popen(
                    [sys.executable, str(ROOT / "run.py")], cwd=folder, env=environment, stdout=subprocess.DEVNULL
                )
                tasks.add(run.pid)
                if run.wait():
                    raise RuntimeError(f"the run over {lake} ended with {run.returncode}")
                wall = time.monotonic() - begun
            wal = int(rows(database, SIZES)[0][0]) - before
            at_rest = sum(map(float, rows(database, STATE)[0]))
            costs = Costs(wall, tasks.seconds, postgres.seconds, copied(lake) / 1e6, wal / 1e6, at_rest / 1e6)
            return self.shape(lake, database), costs

    def told(self, numbers: list[int]) -> Iterator[str]:
        """The tables of docs/scale.md, for these numbers of executors."""
        lakes = [
            self.lake("small", 60_000, 3),
            self.lake("lines", 900_000, 3),
            self.lake("files", 60_000, 120),
            self.lake("bytes", 60_000, 3, padding=600),
            self.lake("all", 400_000, 60, padding=200),
        ]
        large = self.lake("large", 3_000_000, 30)
        for executors in numbers:
            runs = [self.counted(lake, executors) for lake in lakes]
            shapes, costs = np.array([shape for shape, _ in runs]), np.array([cost for _, cost in runs])
            fitted, *_ = np.linalg.lstsq(shapes, costs, rcond=None)
            yield f"\n{executors} executor{'s' if executors > 1 else ''}, cost of one more\n"
            yield f"| | {' | '.join(Costs._fields)} |\n|---|{'---|' * len(Costs._fields)}"
            for name, line in zip(("GB", "million sessions", "file", "run"), fitted, strict=True):
                yield f"| {name} | {' | '.join(f'{cost:.4g}' for cost in line)} |"
            shape, measured = self.counted(large, executors)
            predicted = np.array(shape) @ fitted
            yield f"\n{shape.gigabytes:.2f} GB, {shape.sessions:.3f} million sessions, {shape.files} files\n"
            yield f"| | {' | '.join(Costs._fields)} |\n|---|{'---|' * len(Costs._fields)}"
            yield f"| predicted | {' | '.join(f'{cost:.4g}' for cost in predicted)} |"
            yield f"| measured | {' | '.join(f'{cost:.4g}' for cost in measured)} |"
            yield f"| ratio | {' | '.join(f'{a / b:.2f}' for a, b in zip(measured, predicted, strict=True))} |"


def copied(lake: Path) -> int:
    """The bytes that the merged partials of a lake's files are as rows for COPY."""
    total = 0
    place = open_lake(str(lake))
    for file in place.list_files():
        whole = Partial()
        for partial in partials(place, Stretch(file), CHUNK):
            whole.merge(partial)
        total += sum(map(len, copy_rows(whole).values()))
    return total


def main() -> None:
    """Measure, and print the tables."""
    numbers = [int(word) for word in sys.argv[1:]] or [1, 2]
    with (
        tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_FOLDER")) as folder,
        embedded.server("bench", Path(folder, "server")) as server,
    ):
        postmaster = int(Path(folder, "server", "data", "postmaster.pid").read_text(encoding="utf-8").split()[0])
        for line in Scale(server, postmaster, Path(folder), float(os.environ.get("SCALE") or "1")).told(numbers):
            print(line, flush=True)


if __name__ == "__main__":
    main()
