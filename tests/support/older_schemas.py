"""Databases at an older step of the schema, and the lake that they have ingested."""

import shutil
from pathlib import Path

from state.schema import list_migrations
from tests.support.database_queries import execute
from tests.support.lake_folders import contents
from tests.support.paths import ROOT

OLDER = ROOT / "tests" / "support" / "older_databases"


def make_older(url: str, step: int) -> None:
    """Bring an empty database to `step` of the schema, as the program of that step did."""
    for number, path in list_migrations().items():
        if number <= step:
            execute(url, path.read_text(encoding="utf-8"), f"insert into state.steps (step) values ({number})")


def older_lake(folder: Path) -> dict[str, bytes]:
    """Make a folder the lake that the older databases have ingested; return its files."""
    shutil.copytree(OLDER / "lake", folder, dirs_exist_ok=True)
    return contents(folder)
