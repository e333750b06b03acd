"""Chooses who reduces: this machine's processes, or Apache Spark."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from processor.lake.base import Files, LakeFile
from processor.reducing.process_pool import open_local_reducer
from processor.reducing.reducer import OpenReducer, Reducer
from state.connection import Connection
from state.staging import Staging

if TYPE_CHECKING:
    from processor.spark.application import SparkApplication


def choose_reducer(workers: int, spark: "SparkApplication | None", database: Connection) -> OpenReducer:
    """Return the function that opens a reducer: on Spark if there is an application, else of worker processes.

    workers: the number of processes. spark: the application, or None. database: where executors of Spark stage rows.
    """
    if spark is None:
        return partial(open_local_reducer, workers=workers)

    def open_spark(lake: Files, files: Sequence[LakeFile]) -> Reducer:
        from processor.spark.reducer import SparkReducer

        return SparkReducer(lake, files, spark, Staging.of(database))

    return open_spark
