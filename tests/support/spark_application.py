"""A Spark application without Spark, for tests."""

import types
from collections.abc import Callable
from typing import Any

from processor.spark.application import SparkApplication


class Context:
    """The part of a SparkContext that an application uses."""

    def __init__(self, executors: Callable[[], int] = lambda: 0, fails: bool = False) -> None:
        self.called: list[str] = []
        self.defaultParallelism = 2
        self._executors, self._fails = executors, fails

    def _call(self, name: str) -> None:
        self.called.append(name)
        if self._fails:
            raise OSError("the application has ended")

    def stop(self) -> None:
        self._call("stop")

    def cancelAllJobs(self) -> None:  # noqa: N802
        self._call("cancel")

    @property
    def _jsc(self) -> Any:
        tracker = types.SimpleNamespace(getExecutorInfos=lambda: range(1 + self._executors()))
        return types.SimpleNamespace(sc=lambda: types.SimpleNamespace(statusTracker=lambda: tracker))


def named(application: SparkApplication, master: str) -> SparkApplication:
    """Return the same application, on another master."""
    application._master = master
    return application
