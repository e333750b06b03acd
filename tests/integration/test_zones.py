"""Tables by the days of a time zone equal the oracle's, however their lines come into the database."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processor.lake.base import LakeSettings
from processor.lake.open_lake import open_lake
from processor.plan import Plan
from processor.reducers.definition import Definition
from processor.report.page import render_page
from processor.report.page_data import read_overview
from processor.report.picture import draw_picture
from processor.verify import verify
from state.database import Database
from state.run import begin_run
from state.store import Store
from tests.support.database_queries import ask
from tests.support.ingest import SilentTally, ingest_folder, local_reducer
from tests.support.lake_folders import write_lake
from tests.support.oracle import Definition as OracleDefinition
from tests.support.tables import Model, clear
from tests.support.zones import ZONES, zone_lake, zone_lakes

PLAN = Plan(open_reducer=local_reducer(chunk_bytes=300), prunes=True, prunes_all=True)


def check(lake: dict[str, bytes], folder: Path, database: str, zone: str, model: Model, plan: Plan = PLAN) -> None:
    """Ingest a lake into a database that may hold another state of it, and compare."""
    for path in folder.rglob("*.tsv"):
        path.unlink()
    write_lake(folder, lake)
    _, errors = ingest_folder(folder, database, plan, LakeSettings(definition=Definition(timezone=zone)))
    assert errors.keys() == model.check(database, lake, pruned=True).failed


@pytest.mark.parametrize("zone", ZONES)
@given(st.data())
@settings(max_examples=6)
def test_any_versions_of_any_files(zone: str, tmp_path: Path, database: str, draw: st.DataObject) -> None:
    with Database(database):
        pass
    clear(database)
    model = Model(definition=OracleDefinition(timezone=zone))
    for _ in range(3):
        check(draw.draw(zone_lakes(zone)), tmp_path, database, zone, model)


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns"])
def test_worker_processes_count_a_lake_by_the_days_of_a_zone(zone: str, tmp_path: Path, database: str) -> None:
    lake = zone_lake(zone)
    model = Model(definition=OracleDefinition(timezone=zone))
    plan = Plan(open_reducer=local_reducer(workers=2, chunk_bytes=3000), prunes=True, prunes_all=True)
    check(lake, tmp_path, database, zone, model, plan)
    lake["1.tsv"], lake["2.tsv"] = lake["2.tsv"], lake["1.tsv"][: len(lake["1.tsv"]) // 2].rpartition(b"\n")[0]
    del lake["3.tsv"]
    check(lake, tmp_path, database, zone, model, plan)
    place = open_lake(str(tmp_path), LakeSettings(definition=Definition(timezone=zone)))
    with Database(database) as db, begin_run(db, place.url, definition=place.settings.definition.overrides()) as run:
        store = Store(run)
        assert list(verify(place, store, plan, SilentTally())) == []
        overview = read_overview(store.reads.report)
    assert f"({zone})" in render_page(overview)
    assert f"({zone})" in draw_picture(overview.summary, overview.lake.timezone)
    assert ask(database, "select definition from state.lake") == [({"days.timezone": zone},)]
