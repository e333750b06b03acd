"""Counting whole lakes into a real Postgres."""

import tempfile
from pathlib import Path

from hypothesis import given, settings

from processor import pipeline
from processor.lake import lake_at
from processor.pipeline import Outcome, Plan
from state.batch_writer import Version
from state.database import Database
from state.store import Store
from tests import strategies
from tests.tables import Model, write_lake


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
    lake, silence = lake_at(str(folder)), Silence()
    with Database(url, wait=5) as db:
        db.claim(lake.url, relocated=True)
        return pipeline.run(lake, Store(db), plan, silence), silence.errors


def test_any_lake_gives_one_pass_over_it(database: str) -> None:
    model = Model()

    @given(strategies.lakes(), strategies.lakes())
    @settings(max_examples=100)
    def check(lake: dict[str, bytes], later: dict[str, bytes]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            write_lake(Path(folder), lake)
            count(Path(folder), database, Plan(prune_all=True, chunk=4096))
            model.check(database, lake, pruned=True)
            write_lake(Path(folder), later)
            count(Path(folder), database, Plan(prune_all=True, chunk=300))
            model.check(database, lake | later, pruned=True)

    check()
