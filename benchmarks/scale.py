"""What a lake costs on Spark, on one executor and on two: the measured figures of docs/scale.md.

    python -m benchmarks.scale [EXECUTORS ...]            (1 and 2; SCALE=0.01 for a try)

Each number of executors, with one core each, ingests the same lake into an empty database.
"""

import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple, Self

import psutil

from benchmarks.databases import STATE, new_database, postmaster_id, rows
from benchmarks.lakes import clean
from benchmarks.processes import ROOT
from state import embedded
from tests.support import made_lake
from tests.support.spark_cluster import Cluster

FILES, LINES = 30, 3_000_000
WAL_POSITION = "select pg_current_wal_lsn() - '0/0'::pg_lsn"
SESSIONS = "select sum(sessions)::bigint from user_performance"


class Costs(NamedTuple):
    """What ingesting a lake took: seconds, CPU seconds of the tasks and of Postgres, megabytes."""

    wall: float
    tasks_cpu: float
    postgres_cpu: float
    wal: float
    at_rest: float


class Meter:
    """Measures the CPU seconds of processes and their children while the context lasts."""

    def __init__(self, *pids: int) -> None:
        self._roots, self._has_begun, self._done = pids, False, threading.Event()
        self._seen = dict[tuple[int, float], tuple[float, float]]()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._look()
        self._has_begun = True
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self._look()

    def add(self, pid: int) -> None:
        """Measure another process, which has just begun."""
        self._roots += (pid,)

    @property
    def seconds(self) -> float:
        """CPU seconds between the beginning and the end of the context."""
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
                    used = times.user + times.system
                    first, _ = self._seen.get(key, (0.0 if self._has_begun else used, used))
                    self._seen[key] = first, used
            except psutil.NoSuchProcess:
                continue


def make_lake(folder: Path, scale: float) -> Path:
    """Return a lake of FILES files and LINES lines in all, times `scale`, without lines to reject."""
    lake = folder / "lake"
    for path in made_lake.write(lake, days=FILES, lines=max(20, int(LINES * scale) // FILES), seed=9):
        clean(path)
    return lake


def ingest(lake: Path, server: str, postmaster: int, executors: int) -> tuple[int, Costs]:
    """Ingest a lake into an empty database; return its number of sessions and the costs.

    `server` is the URL of a database server, `postmaster` the process id of that server. Raises RuntimeError if the run
    fails.
    """
    with (
        new_database(server) as database,
        tempfile.TemporaryDirectory() as folder,
        Cluster(Path(folder), workers=executors) as cluster,
    ):
        before = int(rows(database, WAL_POSITION)[0][0])
        environment = {**os.environ, **cluster.settings(), "LAKE_URL": str(lake), "DATABASE_URL": database}
        with Meter(postmaster) as postgres, Meter(*cluster.workers()) as tasks:
            begun = time.monotonic()
            run = subprocess.Popen(
                [sys.executable, str(ROOT / "run.py")], cwd=folder, env=environment, stdout=subprocess.DEVNULL
            )
            tasks.add(run.pid)
            if run.wait():
                raise RuntimeError(f"the run over {lake} ended with {run.returncode}")
            wall = time.monotonic() - begun
        wal = int(rows(database, WAL_POSITION)[0][0]) - before
        at_rest = sum(map(float, rows(database, STATE)[0]))
        ((sessions,),) = rows(database, SESSIONS)
        return int(sessions), Costs(wall, tasks.seconds, postgres.seconds, wal / 1e6, at_rest / 1e6)


def main() -> None:
    """Measure, and print a table."""
    numbers = [int(word) for word in sys.argv[1:]] or [1, 2]
    with (
        tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_FOLDER")) as folder,
        embedded.open_server("bench", Path(folder, "server")) as server,
    ):
        postmaster = postmaster_id(Path(folder, "server"))
        lake = make_lake(Path(folder), float(os.environ.get("SCALE") or "1"))
        size = sum(path.stat().st_size for path in lake.iterdir())
        print(
            f"| executors | GB | sessions | {' | '.join(Costs._fields)} |\n|---|---|---|{'---|' * len(Costs._fields)}"
        )
        for executors in numbers:
            sessions, costs = ingest(lake, server, postmaster, executors)
            print(
                f"| {executors} | {size / 1e9:.2f} | {sessions:,} | {' | '.join(f'{cost:.4g}' for cost in costs)} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
