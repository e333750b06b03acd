"""The Spark application of a run: its start, its settings, and the reasons why it fails."""

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

from processor.errors import WRONG_SETTING, EventLakeError
from processor.safe_text import make_safe_line, remove_passwords
from processor.setting_values import parse_integer

if TYPE_CHECKING:
    from collections.abc import Callable

    from py4j.java_gateway import JavaGateway
    from pyspark import SparkContext

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("processor", "state")
INSTALL = "python -m pip install --require-hashes -r requirements/spark.txt"


class SparkError(EventLakeError):
    """Spark cannot be used now; the message is one line that says what to do."""


class SparkSettingError(SparkError):
    """`ENGINE` or the installation is wrong."""

    exit_code = WRONG_SETTING


class SparkApplication:
    """A Spark application, which starts when it is first needed; the end of its context ends it."""

    def __init__(self, master: str) -> None:
        """Name the master as Spark does: `local[4]`, `spark://host:7077`, `yarn`, `k8s://...`.

        Raises SparkSettingError if pyspark is not installed.
        """
        if find_spec("pyspark") is None:
            raise SparkSettingError(f"ENGINE needs pyspark, which is not installed; run make spark, or {INSTALL}")
        self._master = master
        self._starting = threading.Lock()
        self._folder = tempfile.TemporaryDirectory(prefix="event-lake-")
        self._context: SparkContext | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._starting:
            if self._context is not None:
                with suppress(Exception):  # it may have ended by itself
                    self._context.stop()
                self._context = None
        self._folder.cleanup()

    def context(self) -> "SparkContext":
        """Return the running application, started if need be; raises SparkError."""
        with self._starting:
            if self._context is None:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", FutureWarning)  # pyspark imports pandas if it is installed
                    self._context = self._start()
            return self._context

    def count_executors(self) -> int | None:
        """Return the number of executors, or None if the driver does their work."""
        if self._context is None or self._master.startswith("local"):
            return None
        count = 0
        with suppress(Exception):  # an application that has ended has none
            tracker = self._context._jsc.sc().statusTracker()  # noqa: SLF001 Python has no such call
            count = len(tracker.getExecutorInfos()) - 1
        return count

    def cancel_jobs(self) -> None:
        """Cancel all jobs."""
        if self._context is not None:
            with suppress(Exception):  # it may have ended by itself
                self._context.cancelAllJobs()

    def _start(self) -> "SparkContext":
        from pyspark import SparkConf, SparkContext
        from pyspark.java_gateway import launch_gateway

        launch: Callable[..., JavaGateway] = launch_gateway
        self._check_master()
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        log = Path(self._folder.name, "log")
        conf = SparkConf(loadDefaults=False)
        for name, value in self._settings().items():
            conf.set(name, value)
        try:
            # One Java process serves all applications that this process starts, one after the other.
            gateway = SparkContext._gateway  # noqa: SLF001
            if gateway is None:
                with log.open("wb") as output:  # not among the lines of the run
                    gateway = launch(conf, {"stdout": output, "stderr": output, "process_group": 0})
            context = SparkContext(master=self._master, appName="event-lake", gateway=gateway)
            context.addPyFile(str(self._pack_code()))
        except Exception as error:
            words = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
            raise self._translate(error, words) from error
        return context

    def _settings(self) -> dict[str, str]:
        """Return the settings that differ from Spark's defaults; PYSPARK_SUBMIT_ARGS overrides them."""
        log = Path(__file__).with_name("log4j2.properties")
        settings = {
            "spark.driver.extraJavaOptions": f'-Dlog4j2.configurationFile="{log}"',
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
        }
        if self._master.startswith("local"):
            settings |= {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
        return settings

    def _check_master(self) -> None:
        """Raise SparkError if no master answers: Spark would try for a minute, and give no reason."""
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
        shown = remove_passwords(self._master)
        raise SparkError(f"Spark's master {shown} cannot be reached ({refusal}); look at ENGINE and the master")

    def _pack_code(self) -> Path:
        """Return an archive of the program's code, which Spark sends to the executors."""
        path = Path(self._folder.name, "event_lake.zip")
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for module in chain.from_iterable((ROOT / name).rglob("*.py") for name in PACKAGES):
                archive.write(module, module.relative_to(ROOT))
        return path

    def _translate(self, error: Exception, log: str) -> SparkError:
        """Return why Spark did not start, from the error and the log of its Java process."""
        words = f"{error}\n{log}"
        if "Could not parse Master URL" in words or "Master must" in words:
            shown = remove_passwords(self._master)
            return SparkSettingError(
                f"Spark does not know the master {shown}: write ENGINE as local[4], spark://host:7077, yarn or k8s://..."
            )
        if "JAVA_HOME" in words or "UnsupportedClassVersionError" in words:
            return SparkSettingError("Spark does not start: install Java 17 or newer, or set JAVA_HOME to it")
        return SparkError(f"Spark does not start ({find_reason(words)}); look at ENGINE and the cluster")


def find_reason(words: str) -> str:
    """Return why Spark gave up, in a few words: the last error that Python raised, or else that Java raised."""
    raised = re.findall(
        r'^(?:Caused by: |: |Exception in thread "[^"]*" )?((?:\w+\.)*\w*(?:Error|Exception): .*)$', words, re.MULTILINE
    )
    python = [line for line in raised if not line.startswith(("org.", "java.", "py4j.", "scala."))]
    line = (python or raised or words.strip().splitlines() or ["it does not say why"])[-1]
    return make_safe_line(line)
