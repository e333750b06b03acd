"""The time, CPU time and memory that whole processes take."""

import os
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

import psutil

ROOT = Path(__file__).resolve().parents[1]


class Usage(NamedTuple):
    """What a command used: seconds by the clock, CPU seconds and peak bytes of its processes.

    `server` is the CPU seconds of the database's backends meanwhile.
    """

    seconds: float
    cpu: float
    memory: int
    server: float = 0


def measure_command(command: list[str], server: psutil.Process | None = None, **environment: str) -> Usage:
    """Run a command to its end; raises RuntimeError if it fails.

    `server` is the database server whose CPU time is measured too; `environment` is added to the command's environment.
    """
    before, served = os.times(), backends(server)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as output:
        process = psutil.Popen(
            command, cwd=folder, stdout=output, stderr=output,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        )  # fmt: skip
        most, done = [0], threading.Event()

        def watch() -> None:
            while not done.wait(0.05):
                most[0] = max(most[0], memory(process))

        watcher = threading.Thread(target=watch)
        watcher.start()
        code = process.wait()
        seconds = time.monotonic() - begun
        done.set()
        watcher.join()
        if code:
            output.seek(0)
            raise RuntimeError(f"{' '.join(command)} ended with {code}: {output.read().decode()[-500:]}")
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Usage(seconds, cpu, most[0], backends(server) - served)


def backends(server: psutil.Process | None) -> float:
    """Return the CPU seconds of a database server's ended backends."""
    if server is None:
        return 0
    time.sleep(0.2)  # a backend ends a little after its client
    times = server.cpu_times()
    return float(times.children_user + times.children_system)


def memory(process: psutil.Process) -> int:
    """Return the bytes that a process and its children hold together."""
    held = 0
    try:
        for one in (process, *process.children(recursive=True)):
            held += one.memory_full_info().pss
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        pass
    return held
