"""dbt itself uses `docs/dbt/sources.yml` as `docs/bi.md` explains, connected as the BI role; `make dbt` installs it."""

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]
from psycopg2.extensions import parse_dsn

from tests.support import made_lake
from tests.support.database_queries import ask
from tests.support.paths import ROOT
from tests.support.postgres import as_role
from tests.support.program_runs import run

DBT = ROOT / ".venv" / "dbt" / "bin" / "dbt"
SOURCES = (ROOT / "docs" / "dbt" / "sources.yml").read_text(encoding="utf-8")
COMMANDS = re.findall("^dbt .*$", (ROOT / "docs" / "bi.md").read_text(encoding="utf-8"), re.MULTILINE)
FRESHNESS, TESTS = COMMANDS

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not DBT.exists(), reason="dbt is not installed")]


@pytest.fixture
def project(tmp_path: Path, database: str) -> Path:
    """A dbt project with the source, whose profile is the BI role in a database that has ingested a lake."""
    made_lake.write(tmp_path / "lake", days=3, lines=500)
    assert run(lake=tmp_path / "lake", database=database).returncode == 0
    place = parse_dsn(as_role("bi", database))
    profile = {
        "type": "postgres",
        "host": place["host"],
        "port": int(place["port"]),
        "user": place["user"],
        "password": "",
        "dbname": place["dbname"],
        "schema": "public",
    }
    made = tmp_path / "project"
    (made / "models").mkdir(parents=True)
    (made / "models" / "sources.yml").write_text(SOURCES, encoding="utf-8")
    (made / "dbt_project.yml").write_text(
        yaml.safe_dump({"name": "lake", "version": "1.0", "profile": "lake"}), encoding="utf-8"
    )
    profiles = {"lake": {"target": "bi", "outputs": {"bi": profile}}}
    (made / "profiles.yml").write_text(yaml.safe_dump(profiles), encoding="utf-8")
    return made


def dbt(command: str, project: Path) -> tuple[int, str]:
    """Return the exit code of a dbt command, for which warnings are errors, and its output."""
    environment = {
        "PATH": f"{DBT.parent}:{os.environ['PATH']}",
        "HOME": str(project),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "DBT_WARN_ERROR": "true",
        "DBT_USE_COLORS": "false",
    }
    done = subprocess.run(
        ["/bin/sh", "-c", command], check=False, capture_output=True, encoding="utf-8", cwd=project, env=environment
    )
    return done.returncode, done.stdout + done.stderr


def test_dbt_finds_the_tables_fresh_and_as_they_should_be(project: Path) -> None:
    code, printed = dbt(FRESHNESS, project)
    assert (code, "PASS freshness of event_lake.freshness" in printed) == (0, True), printed
    (source,) = yaml.safe_load(SOURCES)["sources"]
    tests = [
        test for table in source["tables"] for of in [table, *table["columns"]] for test in of.get("data_tests", [])
    ]
    code, printed = dbt(TESTS, project)
    assert (code, f"PASS={len(tests)} WARN=0 ERROR=0 SKIP=0" in printed) == (0, True), printed


def test_dbt_reports_stale_and_wrong_tables(project: Path, database: str) -> None:
    ask(
        database,
        "update state.lake_files set counted_at = counted_at - interval '3 days';"
        "alter table user_performance drop constraint user_performance_pkey;"
        "insert into user_performance (user_id, date, sessions, session_seconds, displays, clicks)"
        " select user_id, date, sessions, session_seconds, displays, clicks from user_performance limit 1 returning 1",
    )
    code, printed = dbt(FRESHNESS, project)
    assert (code, "ERROR STALE freshness of event_lake.freshness" in printed) == (1, True), printed
    code, printed = dbt(TESTS, project)
    assert code == 1
    assert re.findall(r"Failure in test (\w+)", printed) == ["source_unique_event_lake_user_performance__user_id_date_"]
