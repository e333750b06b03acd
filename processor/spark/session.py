"""A Spark application: how it starts, what it is told, and why it fails."""

import os
import re
import socket
import sys
import tempfile
import threading
import warnings
import zipfile
from contextlib import suppress
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Self

from processor.lake.base import remove_passwords
from processor.parsing import parse_integer

if TYPE_CHECKING:
    from collections.abc import Callable

    from py4j.java_gateway import JavaGateway
    from pyspark import SparkContext

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("processor", "state")
INSTALL = "python -m pip install --require-hashes -r requirements-spark.txt"


class EngineError(Exception):
    """Spark cannot be used now; the message is one line that says what to do."""


class EngineSettingError(EngineError):
    """`ENGINE` or the installation is wrong."""


class Engine:
    """A Spark application, which starts when there is something to reduce; as a context, it ends with it."""

    def __init__(self, master: str) -> None:
        """An application on a master as Spark names it: `local[4]`, `spark://host:7077`, `yarn`, `k8s://...`.

        Raises EngineSettingError where pyspark is not installed.
        """
        if find_spec("pyspark") is None:
            raise EngineSettingError(f"ENGINE needs pyspark, which is not installed: {INSTALL}")
        self._master = master
        self._starting = threading.Lock()
        self._folder = tempfile.TemporaryDirectory(prefix="event-lake-")
        self._context: SparkContext | None = None

    def __enter__(self) -> Self:
        """Nothing starts yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the application."""
        with self._starting:
            if self._context is not None:
                with suppress(Exception):  # it may have ended by itself
                    self._context.stop()
                self._context = None
        self._folder.cleanup()

    def context(self) -> "SparkContext":
        """The running application; raises EngineError."""
        with self._starting:
            if self._context is None:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", FutureWarning)  # of a pandas that is there, and not asked for
                    self._context = self._start()
            return self._context

    def executors(self) -> int | None:
        """How many executors there are; None where the driver does their work."""
        if self._context is None or self._master.startswith("local"):
            return None
        count = 0
        with suppress(Exception):  # an application that has ended has none
            tracker = self._context._jsc.sc().statusTracker()  # noqa: SLF001 Python has no such call
            count = len(tracker.getExecutorInfos()) - 1
        return count

    def cancel(self) -> None:
        """Break off all jobs."""
        if self._context is not None:
            with suppress(Exception):  # what has ended need not be broken off
                self._context.cancelAllJobs()

    def _start(self) -> "SparkContext":
        from pyspark import SparkConf, SparkContext
        from pyspark.java_gateway import launch_gateway

        launch: Callable[..., JavaGateway] = launch_gateway
        self._knock()
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        log = Path(self._folder.name, "log")
        conf = SparkConf(loadDefaults=False)
        for name, value in self._settings().items():
            conf.set(name, value)
        try:
            # One Java process serves all applications that this one may start after each other.
            gateway = SparkContext._gateway  # noqa: SLF001
            if gateway is None:
                with log.open("wb") as said:  # among the run's it would be noise
                    gateway = launch(conf, {"stdout": said, "stderr": said, "process_group": 0})
            context = SparkContext(master=self._master, appName="event-lake", gateway=gateway)
            context.addPyFile(str(self._code()))
        except Exception as error:
            words = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
            raise self._not_started(error, words) from error
        return context

    def _settings(self) -> dict[str, str]:
        """What differs from Spark's own defaults; PYSPARK_SUBMIT_ARGS has the last word."""
        log = Path(__file__).with_name("log4j2.properties")
        settings = {
            "spark.driver.extraJavaOptions": f'-Dlog4j2.configurationFile="{log}"',
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
        }
        if self._master.startswith("local"):
            settings |= {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
        return settings

    def _knock(self) -> None:
        """Nothing, where one of the masters answers: Spark would try for a minute, and not say why."""
        if not self._master.startswith("spark://"):
            return
        refusal = "it names no host:port"
        for address in self._master.removeprefix("spark://").split(","):
            host, _, port = address.rpartition(":")
            number = parse_integer(port)
            if not host or number is None:
                continue
            try:
                socket.create_connection((host.strip("[]"), number), timeout=10).close()
            except OSError as error:
                refusal = error.strerror or str(error)
            else:
                return
        raise EngineError(f"Spark's master {self._master} cannot be reached ({refusal}); look at ENGINE and the master")

    def _code(self) -> Path:
        """The program's code, as executors take it."""
        path = Path(self._folder.name, "event_lake.zip")
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for module in chain.from_iterable((ROOT / room).rglob("*.py") for room in ROOMS):
                archive.write(module, module.relative_to(ROOT))
        return path

    def _not_started(self, error: Exception, log: str) -> EngineError:
        words = f"{error}\n{log}"
        if "Could not parse Master URL" in words or "Master must" in words:
            return EngineSettingError(
                f"Spark knows no master {self._master}: write ENGINE as local[4], spark://host:7077, yarn or k8s://..."
            )
        if "JAVA_HOME" in words or "UnsupportedClassVersionError" in words:
            return EngineSettingError("Spark does not start: install Java 17 or newer, or set JAVA_HOME to it")
        return EngineError(f"Spark does not start ({reason(words)}); look at ENGINE and the cluster")


def reason(words: str) -> str:
    """Why Spark gave up, in a few words: what Python raised last, or else Java."""
    raised = re.findall(
        r'^(?:Caused by: |: |Exception in thread "[^"]*" )?((?:\w+\.)*\w*(?:Error|Exception): .*)$', words, re.MULTILINE
    )
    python = [line for line in raised if not line.startswith(("org.", "java.", "py4j.", "scala."))]
    line = (python or raised or words.strip().splitlines() or ["it does not say why"])[-1]
    return remove_passwords(" ".join(line.split()))[:300]
