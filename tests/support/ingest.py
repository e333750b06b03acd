"""Runs of the main job in the process of the test."""

from functools import partial
from pathlib import Path

from processor import pipeline
from processor.lake.base import DEFAULT_LAKE_SETTINGS, LakeSettings
from processor.lake.open_lake import open_lake
from processor.plan import Plan
from processor.reducers.fold import CHUNK_BYTES
from processor.reducing.process_pool import open_local_reducer
from processor.reducing.reducer import OpenReducer
from processor.run_tally import RunTally
from state.database import Database
from state.run import begin_run
from state.store import Store


def local_reducer(workers: int = 1, chunk_bytes: int = CHUNK_BYTES) -> OpenReducer:
    """Return the `open_reducer` of a plan, for a number of processes and chunks of a size in bytes."""
    return partial(open_local_reducer, workers=workers, chunk_bytes=chunk_bytes)


# Chunks so small that a file of a few lines has several.
PLAN = Plan(open_reducer=local_reducer(chunk_bytes=500))


class SilentTally(RunTally):
    """A tally that records why files failed, and prints nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.errors: dict[str, str] = {}

    def failed(self, key: str, error: str) -> None:
        super().failed(key, error)
        self.errors[key] = error


def ingest_folder(
    folder: Path | str, url: str, plan: Plan, settings: LakeSettings = DEFAULT_LAKE_SETTINGS
) -> tuple[RunTally, dict[str, str]]:
    """Run once over a folder; return the tally and the errors by file."""
    lake, tally = open_lake(str(folder), settings), SilentTally()
    with (
        Database(url, wait_seconds=5) as db,
        begin_run(db, lake.url, relocated=True, definition=settings.definition.overrides()) as run,
    ):
        pipeline.run(lake, Store(run), plan, tally)
    return tally, tally.errors
