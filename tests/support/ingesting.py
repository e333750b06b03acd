"""Ingests a folder in this process."""

from pathlib import Path

from processor import pipeline
from processor.lake.location import open_lake
from processor.plan import Plan
from processor.run_tally import Outcome
from state.batch_writer import Version
from state.connection import Database
from state.store import Store


class Silence:
    """A listener that keeps what it is told."""

    def __init__(self) -> None:
        """Nothing was told yet."""
        self.errors: dict[str, str] = {}

    def begin(self, files: int, size: int) -> None:
        """Nothing to do."""

    def read(self, size: int) -> None:
        """Nothing to do."""

    def counted(self, version: Version) -> None:
        """Nothing to do."""

    def committed(self, seconds: float) -> None:
        """Nothing to do."""

    def same(self, key: str) -> None:
        """Nothing to do."""

    def forgotten(self, key: str) -> None:
        """Nothing to do."""

    def failed(self, key: str, error: str) -> None:
        """Keep the error."""
        self.errors[key] = error

    def warn(self, line: str) -> None:
        """Nothing to do."""


def count(folder: Path, url: str, plan: Plan) -> tuple[Outcome, dict[str, str]]:
    """Run once over a folder; the outcome and the errors by file."""
    lake, silence = open_lake(str(folder)), Silence()
    with Database(url, wait=5) as db:
        db.claim(lake.url, relocated=True)
        return pipeline.run(lake, Store(db), plan, silence), silence.errors
