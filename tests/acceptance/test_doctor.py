"""`doctor` names everything that is wrong, continues after each fault, changes nothing and shows no secret."""

import json
import os
import subprocess
import sys
from pathlib import Path

import boto3
import pytest

from state import embedded_process
from state.database import Database
from state.read_statements import read_statements
from state.run import begin_run
from state.schema import list_migrations
from tests.support.database_queries import everything, execute
from tests.support.event_files import CLICK, HEADER
from tests.support.older_schemas import make_older
from tests.support.paths import ROOT
from tests.support.postgres import administrate, as_role, make_roles, new_server
from tests.support.program_runs import run
from tests.support.secret import SECRET
from tests.support.servers import Server

CHECKS = ["settings", "lake", "database", "roles", "schema", "recorded", "lock", "disk"]


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """A lake of one file."""
    folder = tmp_path / "lake"
    folder.mkdir()
    (folder / "a.tsv").write_bytes(HEADER + CLICK)
    return folder


def findings(lake: Path | str, database: str, **settings: str) -> dict[str, tuple[bool | None, str]]:
    """Return the finding of each check, the last one of several; the output for people must agree."""
    done = run("doctor", "--json", lake=lake, database=database, **settings)
    (line,) = done.stdout.splitlines()
    found = json.loads(line)
    for_people = run("doctor", lake=lake, database=database, **settings)
    words = {True: "ok", False: "bad", None: "?"}
    lines = [line.split(None, 2) for line in for_people.stdout.splitlines()]
    assert [line[:2] for line in lines] == [[words[one["ok"]], one["check"]] for one in found["checks"]]
    assert done.stderr == for_people.stderr == ""
    assert found["ok"] == (done.returncode == 0) == all(one["ok"] is not False for one in found["checks"])
    assert done.returncode == for_people.returncode
    assert SECRET not in done.stdout + for_people.stdout
    assert list(dict.fromkeys(one["check"] for one in found["checks"])) == CHECKS
    return {one["check"]: (one["ok"], one["says"]) for one in found["checks"]}


def bad(found: dict[str, tuple[bool | None, str]]) -> dict[str, str]:
    return {check: says for check, (is_right, says) in found.items() if is_right is False}


def test_doctor_finds_everything_right_and_changes_nothing_during_a_run(lake: Path, database: str) -> None:
    new = findings(lake, database)
    assert not bad(new)
    assert new["schema"] == new["recorded"] == (True, "nothing was counted yet; the first run creates what is missing")
    assert execute(database, "select to_regnamespace('state')") == [(None,)]
    run(lake=lake, database=database)
    with Database(database) as at_work, begin_run(at_work, str(lake)):
        before = everything(database)
        found = findings(lake, database)
        assert everything(database) == before
    assert not bad(found)
    assert found["lake"][1] == f"{lake}: 1 file of {len(HEADER + CLICK)} B, read as files"
    assert (
        found["roles"][1] == "etl has the rights that a run needs, and bi reads the tables and views and nothing else"
    )
    assert found["schema"][1] == f"step {max(list_migrations())}, as this program expects"
    assert f"a run is at work, process {os.getpid()} on" in found["lock"][1]
    assert findings(lake, database)["lock"] == (True, "free")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"DATABASE_WAIT": "soon"}, "DATABASE_WAIT must be a number of seconds"),
        ({"MAX_TEXT_GIB": "much"}, "MAX_TEXT_GIB must be a whole number"),
        ({"BATCH_ROWS": "0"}, "BATCH_ROWS must be a whole number above 0, such as 200000"),
        ({"BATCH_MIB": "1_0"}, "BATCH_MIB must be a whole number above 0, such as 64"),
        ({"BATCH_SECONDS": "-1"}, "BATCH_SECONDS must be a number of seconds, such as 0.5"),
        ({"LAKE_AHEAD": "0"}, "LAKE_AHEAD must be a whole number above 0, such as 16"),
        ({"LOG_FORMAT": "xml"}, "LOG_FORMAT must be text or json"),
        ({"LOG_LEVEL": "loud"}, "LOG_LEVEL must be one of"),
        ({"METRICS": f"ftp://user:{SECRET}@host"}, "METRICS must be the URL of a Pushgateway"),
        ({"METRICS": "/no/such/folder/x.prom"}, "METRICS names a file in /no/such/folder"),
    ],
    ids=range(10),
)
def test_a_wrong_setting_is_named(settings: dict[str, str], words: str, lake: Path, database: str) -> None:
    found = findings(lake, database, **settings)
    assert bad(found)["settings"].startswith(words)
    assert bad(found).keys() <= {"settings", "lake"}
    assert found["roles"][0]


def test_all_wrong_settings_are_named_at_once(lake: Path, database: str) -> None:
    done = run("doctor", lake=lake, database=database, LOG_LEVEL="x", DATABASE_WAIT="x", METRICS="x")
    assert [line.split()[:3] for line in done.stdout.splitlines()[:3]] == [
        ["bad", "settings", name] for name in ("DATABASE_WAIT", "METRICS", "LOG_LEVEL")
    ]


@pytest.mark.slow
@pytest.mark.usefixtures("bucket")
def test_a_lake_that_cannot_be_read_is_reported(
    tmp_path: Path, lake: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "cannot be listed (No such file or directory)" in bad(findings(tmp_path / "no", database))["lake"]
    assert "holds no lake files" in bad(findings("s3://events/lake/", database))["lake"]
    assert "there is no bucket no-such" in bad(findings("s3://no-such/", database))["lake"]
    client = boto3.client("s3")
    client.put_object(Bucket="events", Key="lake/a.tsv", Body=HEADER + CLICK)
    assert findings("s3://events/lake/", database)["lake"][1].endswith("read with credentials")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    nowhere = str(tmp_path / "none")
    settings = {"AWS_SHARED_CREDENTIALS_FILE": nowhere, "AWS_CONFIG_FILE": nowhere, "AWS_EC2_METADATA_DISABLED": "true"}
    assert "reading it was refused" in bad(findings("s3://events/lake/", database, **settings))["lake"]
    client.put_object(Bucket="events", Key="lake/a.tsv", Body=HEADER + CLICK, ACL="public-read")
    assert findings("s3://events/lake/", database, **settings)["lake"][1].endswith("read anonymously")
    unreachable = findings("s3://events/lake/", database, AWS_ENDPOINT_URL="http://127.0.0.1:9", AWS_MAX_ATTEMPTS="1")
    assert "cannot be reached" in bad(unreachable)["lake"]
    assert unreachable["roles"][0]
    (lake / "a.tsv").unlink()
    (lake / "a.tsv").symlink_to("a.tsv")
    assert "holds no lake files" in bad(findings(lake, database))["lake"]
    assert "no lake is named" in bad(findings("", database))["lake"]


@pytest.mark.parametrize(
    "url", [f"postgresql://etl:{SECRET}@127.0.0.1:9/x", f"postgresql://etl:a@{SECRET}@127.0.0.1/x", "mysql://x"]
)
def test_an_unusable_database_is_reported_without_a_secret(url: str, lake: Path) -> None:
    found = findings(lake, url)
    assert bad(found).keys() == {"database"}
    assert "DATABASE_URL" in bad(found)["database"]
    assert [found[check][0] for check in ("roles", "schema", "recorded", "lock")] == [None] * 4
    assert found["disk"][0]


def test_missing_rights_are_named(lake: Path, database: str) -> None:
    owner, name = as_role("postgres", database), database.rpartition("/")[2].partition("?")[0]
    administrate(owner, "revoke create, temporary on database {} from etl", name)
    administrate(owner, "revoke create on schema public from etl")
    says = bad(findings(lake, database))["roles"]
    assert "may not make temporary tables, nor make tables in schema public, nor make schema state" in says
    make_roles(owner)
    assert run(lake=lake, database=database).returncode == 0
    administrate(owner, "alter table article_performance owner to postgres")
    assert "as another role owns them" in bad(findings(lake, database))["roles"]
    administrate(owner, "alter table article_performance owner to etl")
    administrate(owner, "revoke select on user_performance from bi")
    assert "role bi may not read user_performance;" in bad(findings(lake, database))["roles"]
    make_roles(owner)
    administrate(owner, "grant usage on schema state to bi")
    assert "revoke usage on schema state from bi" in bad(findings(lake, database))["roles"]
    administrate(owner, "revoke usage on schema state from bi")
    assert not bad(findings(lake, database))


TAKEN = [
    "create table article_performance (a integer)",
    "create view freshness as select 1 as a",
    "create schema state authorization etl",
    "create type daily_overview as (a integer)",
]


@pytest.mark.parametrize("made", TAKEN)
def test_a_name_that_somebody_else_uses_is_reported(lake: Path, database: str, made: str) -> None:
    administrate(as_role("postgres", database), made)
    before = execute(database, "select count(*) from pg_class")
    found = bad(findings(lake, database))
    assert "already exists; somebody else uses this name" in found["schema"]
    assert execute(database, "select count(*) from pg_class") == before
    assert run(lake=lake, database=database).returncode == 1


@pytest.mark.parametrize("steps", ["(step text)", "(step integer)", "as select '11'::text as step"])
def test_a_table_of_steps_that_somebody_else_made_is_reported(lake: Path, database: str, steps: str) -> None:
    administrate(database, f"create schema state; create table state.steps {steps}")
    assert "state.steps records no step of this program" in bad(findings(lake, database))["schema"]
    for command in ([], ["watch"], ["status"]):
        done = run(*command, lake=lake, database=database)
        assert (done.returncode, "Traceback" in done.stderr, "rename or drop it" in done.stderr) == (2, False, True)


def test_a_schema_made_beforehand_without_the_right_on_the_database_is_reported(lake: Path, database: str) -> None:
    owner, name = as_role("postgres", database), database.rpartition("/")[2].partition("?")[0]
    administrate(owner, "create schema state authorization etl")
    administrate(owner, "revoke create on database {} from etl", name)
    assert "permission denied for database" in bad(findings(lake, database))["schema"]


@pytest.mark.parametrize("counted", [False, True])
def test_a_database_that_is_read_only_is_reported(lake: Path, database: str, counted: bool) -> None:
    name = database.rpartition("/")[2].partition("?")[0]
    if counted:
        run(lake=lake, database=database)
    administrate(as_role("postgres", database), "alter database {} set default_transaction_read_only = on", name)
    assert bad(findings(lake, database)) == {
        "schema": "the database is read only (default_transaction_read_only): name one that can be written to"
    }
    assert run(lake=lake, database=database).returncode == 1


def test_a_standby_is_reported(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(embedded_process.SETTINGS, "wal_level", "replica")
    with new_server() as (database, home):
        run(lake=lake, database=database)
        Server(home).turn_into_standby()
        assert bad(findings(lake, database)) == {"schema": "the database is a standby: name one that can be written to"}
        (lake / "b.tsv").write_bytes(HEADER + CLICK)
        done = run(lake=lake, database=database)
        assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
        assert execute(database, "select key from state.lake_files") == [("a.tsv",)]
        assert run("status", lake=lake, database=database).returncode == 0


SPOILT = {
    "alter table state.file_sessions enable row level security, force row level security": "policies that hide rows",
    "alter table article_performance enable row level security, force row level security": "policies that hide rows",
    "revoke delete on state.file_sessions from etl": "grant this role the right",
    "revoke insert on state.articles from etl": "grant this role the right",
    "alter table state.file_sessions replica identity nothing; create publication p for table state.file_sessions":
        "replica identity",
    "alter table user_performance replica identity full; create publication p for table user_performance": "to default",
    "alter table user_performance rename column clicks to clacks": "undo the change",
    "drop table state.day_totals": "undo the change",
    "alter table state.runs alter run_id drop identity": "undo the change",
}  # fmt: skip


@pytest.mark.parametrize("spoil", SPOILT)
def test_a_table_that_a_run_could_not_write_to_is_reported(lake: Path, database: str, spoil: str) -> None:
    run(lake=lake, database=database)
    administrate(as_role("postgres", database), spoil)
    assert SPOILT[spoil] in bad(findings(lake, database))["schema"]
    (lake / "a.tsv").write_bytes(HEADER + CLICK * 2)
    assert run(lake=lake, database=database).returncode == 1


def test_the_trial_delays_no_run(lake: Path, database: str) -> None:
    """Nor does a run delay it that begins to make the schema, or that holds locks on rows and tables."""
    with Database(database) as at_work:
        execute(database, "drop schema state cascade; drop table article_performance, user_performance cascade")
        assert not bad(findings(lake, database))
    with Database(database) as at_work, begin_run(at_work, str(lake)) as this_run, this_run.transaction() as cur:
        cur.execute("update state.runs set pid = 1")
        assert not bad(findings(lake, database))


def test_the_trial_writes_no_row() -> None:
    tried = [statement.strip() for statement in read_statements()["try_writes"].split(";") if statement.strip()]
    writes = [statement for statement in tried if not statement.startswith("select last_value from ")]
    assert len(writes) == len(tried) - 1
    assert [statement for statement in writes if not statement.endswith(" where false")] == []


def test_rows_that_a_policy_hides_from_bi_are_reported(lake: Path, database: str) -> None:
    run(lake=lake, database=database)
    execute(database, "alter table user_performance enable row level security")
    words = "row level security hides rows of user_performance from role bi"
    assert bad(findings(lake, database))["roles"].startswith(words)
    execute(database, "create policy busy on user_performance for select to bi using (clicks > 1)")
    assert bad(findings(lake, database))["roles"].startswith(words)
    execute(database, "create policy every on user_performance for select to bi using (true)")
    assert not bad(findings(lake, database))
    execute(database, "create policy fewer on user_performance as restrictive for select using (clicks > 1)")
    assert bad(findings(lake, database))["roles"].startswith(words)


def test_a_database_without_the_role_bi_is_right(lake: Path, database: str) -> None:
    name = database.rpartition("/")[2].partition("?")[0]
    administrate(as_role("postgres", database), "revoke all on database {} from bi", name)
    assert findings(lake, database)["roles"] == (True, "etl has the rights that a run needs")


@pytest.mark.parametrize(
    ("step", "words"), [(max(list_migrations()) - 1, "brings it up to date"), (9999, "use the newer one")]
)
def test_another_schema_is_reported(lake: Path, database: str, step: int, words: str) -> None:
    make_older(database, step)
    execute(database, f"insert into state.steps (step) values ({step}) on conflict do nothing")
    found = findings(lake, database)
    assert words in bad(found)["schema"]
    assert bad(found).keys() == {"schema", "recorded"}
    assert found["lock"][0]


def test_another_lake_is_reported(lake: Path, database: str, tmp_path: Path) -> None:
    run(lake=lake, database=database)
    other = tmp_path / "other"
    lake.rename(other)
    found = findings(other, database)
    assert bad(found).keys() == {"recorded"}
    assert "--relocated" in bad(found)["recorded"]


def diagnosed_in(folder: Path, lake: Path, database: str) -> str:
    """Return what `doctor` prints in a folder."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "run.py"), "doctor"],
        check=False,
        capture_output=True,
        encoding="utf-8",
        cwd=folder,
        env={**os.environ, "LAKE_URL": str(lake), "DATABASE_URL": database},
    )
    assert (done.returncode, done.stderr) == (1, "")
    return done.stdout


def test_a_report_that_cannot_be_written_is_reported(lake: Path, database: str, tmp_path: Path) -> None:
    (tmp_path / "report").write_text("a file", encoding="utf-8")
    assert "bad  disk" in diagnosed_in(tmp_path, lake, database)
    assert "is not a writable folder, and the report is written there" in diagnosed_in(tmp_path, lake, database)


def test_a_full_disk_is_reported(lake: Path, database: str, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", small], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        assert "1.0 MB are free for the report" in diagnosed_in(small, lake, database)
    finally:
        subprocess.run(["umount", small], check=True)


def test_doctor_creates_no_embedded_server(lake: Path) -> None:
    found = findings(lake, "")
    assert found["database"][0] is not False
    assert "for the embedded server" in found["disk"][1]
