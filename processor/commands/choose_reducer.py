"""Chooses who reduces: this machine's processes, or Apache Spark."""

from argparse import Namespace
from collections.abc import Sequence
from functools import partial

from processor.lake.base import Lake, LakeFile
from processor.reducing.process_pool import open_local_reducer
from processor.reducing.reducer import OpenReducer, Reducer
from state.database import Database
from state.staging import Staging


def choose_reducer(options: Namespace, database: Database) -> OpenReducer:
    """Return the function that opens the reducer of the settings: Spark if ENGINE is set, else --workers processes.

    database: where executors of Spark stage their rows.
    """
    if options.engine is None:
        return partial(open_local_reducer, workers=options.workers)

    def open_spark(lake: Lake, files: Sequence[LakeFile]) -> Reducer:
        from processor.spark.reducer import SparkReducer

        return SparkReducer(lake, files, options.engine, Staging.of(database))

    return open_spark
