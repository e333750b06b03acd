"""Ingesting whole lakes into a real Postgres."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings

from processor.plan import Plan
from tests.support import strategies
from tests.support.database_queries import ask
from tests.support.event_files import CLICK, HEADER
from tests.support.ingest import ingest_folder, local_reducer
from tests.support.lake_folders import write_lake
from tests.support.tables import Model


@pytest.mark.parametrize("lakes", [30, pytest.param(70, marks=pytest.mark.slow)])
def test_any_lake_is_ingested_as_one_pass_over_it(database: str, lakes: int) -> None:
    model = Model()

    @given(strategies.lakes(), strategies.lakes())
    @settings(max_examples=lakes)
    def check(lake: dict[str, bytes], later: dict[str, bytes]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            write_lake(Path(folder), lake)
            ingest_folder(
                Path(folder), database, Plan(prunes=True, prunes_all=True, open_reducer=local_reducer(chunk_bytes=4096))
            )
            model.check(database, lake, pruned=True)
            write_lake(Path(folder), later)
            ingest_folder(
                Path(folder), database, Plan(prunes=True, prunes_all=True, open_reducer=local_reducer(chunk_bytes=300))
            )
            model.check(database, lake | later, pruned=True)

    check()


@pytest.mark.parametrize("touched", [False, True])
def test_the_error_of_a_version_is_cleared_with_it(database: str, tmp_path: Path, touched: bool) -> None:
    """The ingested version is back, with the same fingerprint or another one."""
    path, when = tmp_path / "a.tsv", (1_550_000_000, 1_550_000_000)
    good = HEADER + CLICK

    def errors() -> tuple[object, ...]:
        (found,) = ask(database, "select error is null, failed_at is null, events from state.lake_files")
        return found

    path.write_bytes(good)
    os.utime(path, when)
    ingest_folder(tmp_path, database, Plan())
    assert errors() == (True, True, 1)
    path.write_bytes(b"broken\n")
    _, failed = ingest_folder(tmp_path, database, Plan())
    assert (list(failed), errors()) == (["a.tsv"], (False, False, 1))
    path.write_bytes(good)
    os.utime(path, (when[0], when[1] + touched))
    tally, failed = ingest_folder(tmp_path, database, Plan())
    assert (tally.files_unchanged, failed, errors()) == (1, {}, (True, True, 1))
    path.write_bytes(b"broken\n")
    ingest_folder(tmp_path, database, Plan())
    path.write_bytes(HEADER + CLICK * 2)
    ingest_folder(tmp_path, database, Plan())
    assert errors() == (True, True, 2)


def test_a_missing_file_that_was_never_ingested_is_forgotten(database: str, tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_bytes(b"broken\n")
    (tmp_path / "b.tsv").write_bytes(HEADER + CLICK)
    ingest_folder(tmp_path, database, Plan())
    for name in ("a.tsv", "b.tsv"):
        (tmp_path / name).unlink()
    ingest_folder(tmp_path, database, Plan())
    assert ask(database, "select key, error from state.lake_files") == [("b.tsv", None)]


def test_the_error_of_an_ingested_file_is_cleared_when_it_is_missing(database: str, tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_bytes(HEADER + CLICK)
    ingest_folder(tmp_path, database, Plan())
    (tmp_path / "a.tsv").write_bytes(b"broken\n")
    ingest_folder(tmp_path, database, Plan())
    (tmp_path / "a.tsv").unlink()
    ingest_folder(tmp_path, database, Plan())
    assert ask(database, "select key, events, error from state.lake_files") == [("a.tsv", 1, None)]
