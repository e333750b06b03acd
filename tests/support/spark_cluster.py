"""A Spark cluster on this machine: a standalone master and two workers, as real processes."""

import os
import re
import signal
import subprocess
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Self

import psutil

from tests.support.waiting import wait_until

EXECUTOR = "CoarseGrainedExecutorBackend"
PATIENCE = 240.0  # Java starts slowly on a busy machine


def home() -> Path:
    """Return the folder of Spark; skips the test if pyspark is not installed."""
    found = find_spec("pyspark")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent


class Cluster:
    """A master and its workers; as a context, they end with it."""

    def __init__(self, folder: Path, python: str | None = None, workers: int = 2) -> None:
        """Start them; their logs are written into the folder, and `python` runs the tasks."""
        self._folder = folder
        self._environment = {**os.environ, "SPARK_DAEMON_MEMORY": "192m"}
        if python is not None:
            self._environment["PYSPARK_PYTHON"] = python
        self._processes: list[subprocess.Popen[bytes]] = []
        self._start(
            "master", "org.apache.spark.deploy.master.Master", "--host", "127.0.0.1", "--port", "0", "--webui-port", "0"
        )
        wait_until(lambda: "I have been elected leader" in self._log("master"), PATIENCE)
        address = re.search(r"spark://127\.0\.0\.1:\d+", self._log("master"))
        assert address is not None
        self.master = address[0]
        for number in range(1, workers + 1):
            self._start_worker(f"worker{number}", f"127.0.0.{number}")
        wait_until(lambda: self._log("master").count("Registering worker") == workers, PATIENCE)

    def _start_worker(self, name: str, host: str) -> None:
        """Start workers on two hosts, as Spark retries a slow task only on another host."""
        place = ("--work-dir", str(self._folder / name), "--webui-port", "0")
        size = ("--cores", "1", "--memory", "600m")
        self._start(name, "org.apache.spark.deploy.worker.Worker", "--host", host, *size, *place, self.master)

    def _start(self, name: str, *command: str) -> None:
        words = [str(home() / "bin" / "spark-class"), *command]
        with (self._folder / f"{name}.log").open("wb") as log:
            started = subprocess.Popen(words, env=self._environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self._processes.append(started)

    def _log(self, name: str) -> str:
        return (self._folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")

    def __enter__(self) -> Self:
        """Return the running cluster."""
        return self

    def __exit__(self, *_: object) -> None:
        """End them and what they started."""
        for process in (*self.executors(), *self.tasks()):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        for daemon in self._processes:
            daemon.kill()
            daemon.wait()

    def executors(self) -> list[psutil.Process]:
        """Return the living executors."""
        return [process for process in self._children() if EXECUTOR in " ".join(_words(process))]

    def tasks(self) -> list[psutil.Process]:
        """Return the Python processes in which executors run tasks, and those that fork them."""
        return [process for process in self._children() if "pyspark.daemon" in _words(process)]

    def _children(self) -> list[psutil.Process]:
        found = []
        for daemon in self._processes[1:]:
            with suppress(psutil.NoSuchProcess):
                found += psutil.Process(daemon.pid).children(recursive=True)
        return found

    def logs(self) -> list[Path]:
        """Return the logs of the master, the workers and the executors."""
        return [path for path in self._folder.rglob("*") if path.suffix == ".log" or path.name in ("stdout", "stderr")]

    def workers(self) -> list[int]:
        """Return the process ids of the workers."""
        return [daemon.pid for daemon in self._processes[1:]]

    def settings(self, **more: str) -> dict[str, str]:
        """Return the environment of a run that uses this cluster; `more` are settings of Spark."""
        settings = {
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.driver.memory": "512m",
            "spark.executor.memory": "512m",
            **{name.replace("_", "."): value for name, value in more.items()},
        }
        words = " ".join(f"--conf {name}={value}" for name, value in settings.items())
        return {"ENGINE": self.master, "SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_SUBMIT_ARGS": f"{words} pyspark-shell"}


def stop(processes: list[psutil.Process], number: signal.Signals) -> None:
    """Send a signal to processes; some of them may have ended."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def _words(process: psutil.Process) -> list[str]:
    with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
        return list(process.cmdline())
    return []
