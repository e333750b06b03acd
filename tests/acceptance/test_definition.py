"""lake.toml in the life of a database: what it makes of the lines, and what happens when it changes."""

from contextlib import suppress
from pathlib import Path

import pytest

from processor.reducers.definition import Definition
from state.database import Database
from state.run import begin_run
from state.store import Store
from tests.support.database_queries import ask
from tests.support.definitions import OTHER, write_definition
from tests.support.event_files import FIRST, LATER
from tests.support.lake_folders import contents, write_lake
from tests.support.oracle import ASSIGNMENT
from tests.support.program_runs import run
from tests.support.tables import Model, tables
from tests.support.waiting import wait_until
from tests.support.watches import is_up, watch
from tests.support.zones import zone_lake

REFUSAL = (
    "the files in this database were counted with another lake.toml, which differs in attributes.article, "
    "attributes.category, attributes.title, columns.session, columns.user, events.click, events.display: "
    "pass --rebuild to count the whole lake again with the present lake.toml, or put the former one back"
)


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    folder = tmp_path / "lake"
    write_lake(folder, LATER)
    return folder


@pytest.fixture
def other(tmp_path: Path) -> str:
    return str(write_definition(tmp_path / "other.toml", OTHER))


def test_a_lake_is_counted_as_the_file_says(lake: Path, database: str, other: str) -> None:
    for _ in range(2):
        assert run(lake=lake, database=database, LAKE_DEFINITION=other).returncode == 1
        Model(definition=OTHER).check(database, contents(lake))
    assert run("verify", lake=lake, database=database, LAKE_DEFINITION=other).returncode == 1
    (lake / "broken.tsv").unlink()
    assert run("verify", lake=lake, database=database, LAKE_DEFINITION=other, ENGINE="").returncode == 0


def test_columns_that_the_lake_does_not_have_fail_every_file(lake: Path, database: str, tmp_path: Path) -> None:
    path = write_definition(tmp_path / "typo.toml", ASSIGNMENT._replace(user="USER"))
    done = run(lake=lake, database=database, LAKE_DEFINITION=str(path))
    assert done.returncode == 1
    assert "a.tsv: its first line is not a header: it does not name USER; write it again, or name" in done.stderr
    assert tables(database).counting == {}
    status = run("status", lake=lake, database=database)
    assert (status.returncode, status.stderr) == (0, "")
    assert run(lake=lake, database=database).returncode == 1  # one file is broken
    Model().check(database, contents(lake))
    done = run(lake=lake, database=database, LAKE_DEFINITION=str(path))
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)


def test_another_definition_is_refused_until_a_rebuild(lake: Path, database: str, other: str) -> None:
    (lake / "broken.tsv").unlink()
    run(lake=lake, database=database)
    model = Model()
    model.check(database, contents(lake))
    (lake / "new.tsv").write_bytes(FIRST["a.tsv"])
    for words in ([], ["verify"], ["watch"], ["forget", "a.tsv"], ["--prune"]):
        done = run(*words, lake=lake, database=database, LAKE_DEFINITION=other)
        assert (done.returncode, done.stderr.splitlines()) == (2, [REFUSAL]), words
    for words in (["status"], ["--dry-run"], ["forget", "--user", "u", "--dry-run"]):
        done = run(*words, lake=lake, database=database, LAKE_DEFINITION=other)
        assert (done.returncode, done.stderr.splitlines()) == (0, [REFUSAL]), words
    assert run("check", lake=lake, database=database, LAKE_DEFINITION=other).stderr.splitlines() == [REFUSAL]
    for words in (["rejected"], ["explain", "a1"], ["--dry-run", "--rebuild"]):
        done = run(*words, lake=lake, database=database, LAKE_DEFINITION=other)
        assert (done.returncode, done.stderr) == (0, ""), words
    assert f"bad  recorded   {REFUSAL}" in run("doctor", lake=lake, database=database, LAKE_DEFINITION=other).stdout
    model.compare(database)
    assert run("--rebuild", lake=lake, database=database, LAKE_DEFINITION=other).returncode == 0
    Model(definition=OTHER).check(database, contents(lake))
    assert run("verify", lake=lake, database=database, LAKE_DEFINITION=other).returncode == 0
    back = run(lake=lake, database=database)
    assert (back.returncode, back.stderr.splitlines()) == (2, [REFUSAL])
    assert run("--rebuild", lake=lake, database=database).returncode == 0
    Model().check(database, contents(lake))


def test_a_rebuild_that_ends_early_keeps_tables_and_definition(lake: Path, database: str) -> None:
    run(lake=lake, database=database)
    model = Model()
    model.check(database, contents(lake))
    with (
        Database(database) as db,
        begin_run(db, str(lake), definition={"days.timezone": "Asia/Kathmandu"}, redefines=True) as this_run,
    ):
        assert this_run.is_redefined
        with suppress(KeyboardInterrupt), Store(this_run).comparison_tables() as comparison:
            comparison.apply()
            raise KeyboardInterrupt
    assert ask(database, "select definition from state.lake") == [({},)]
    assert run(lake=lake, database=database).returncode == 1
    model.compare(database)


def test_what_cannot_be_counted_again_is_not_guessed(lake: Path, database: str, other: str) -> None:
    (lake / "broken.tsv").unlink()
    run(lake=lake, database=database)
    model = Model()
    model.check(database, contents(lake))
    text = (lake / "a.tsv").read_bytes()
    for broken in (None, b"no header\n"):
        (lake / "a.tsv").unlink()
        if broken is not None:
            (lake / "a.tsv").write_bytes(broken)
        done = run("--rebuild", lake=lake, database=database, LAKE_DEFINITION=other)
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1] == (
            "1 counted file cannot be counted with another lake.toml, such as a.tsv, as it is missing or cannot be "
            "read: put it back, or delete it and pass --rebuild --prune; nothing has changed"
        )
        model.compare(database)
        (lake / "a.tsv").write_bytes(text)
    (lake / "a.tsv").unlink()
    assert run("--rebuild", "--prune", lake=lake, database=database, LAKE_DEFINITION=other).returncode == 0
    Model(definition=OTHER).check(database, contents(lake), pruned=True)


@pytest.mark.slow
def test_spark_counts_a_lake_as_the_file_says(lake: Path, database: str, tmp_path: Path) -> None:
    definition = OTHER._replace(timezone="Australia/Lord_Howe")
    path = str(write_definition(tmp_path / "zone.toml", definition))
    (lake / "broken.tsv").unlink()
    write_lake(lake, zone_lake(definition.timezone))
    assert run("--engine", "local[2]", lake=lake, database=database, LAKE_DEFINITION=path).returncode == 0
    Model(definition=definition).check(database, contents(lake))
    assert run("verify", lake=lake, database=database, LAKE_DEFINITION=path).returncode == 0


def test_a_watch_ends_when_a_rebuild_has_changed_the_definition(lake: Path, database: str, other: str) -> None:
    with watch("--interval", "1", lake=lake, database=database) as running:
        wait_until(lambda: is_up(database))
        rebuilt = run("--rebuild", lake=lake, database=database, LAKE_DEFINITION=other, DATABASE_WAIT="60")
        assert rebuilt.returncode == 1  # one file is broken
        assert running.end() == 2
        assert running.errors.splitlines()[-1] == REFUSAL
    Model(definition=OTHER).check(database, contents(lake))


def test_a_wrong_file_ends_every_command_but_doctor(lake: Path, database: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text("[days]\ntimezone = 3\n", encoding="utf-8")
    for words in ([], ["status"], ["verify"]):
        done = run(*words, lake=lake, database=database, LAKE_DEFINITION=str(path))
        assert done.returncode == 2
        assert done.stderr.startswith(f"{path}: [columns] timestamp is missing; write it as in")
    done = run("doctor", lake=lake, database=database, LAKE_DEFINITION=str(path))
    assert done.returncode == 1
    assert f"bad  settings   {path}: [columns] timestamp is missing" in done.stdout


def test_the_recorded_definition_is_what_differs_from_the_assignments(lake: Path, database: str, other: str) -> None:
    run(lake=lake, database=database, LAKE_DEFINITION=other)
    ((recorded,),) = ask(database, "select definition from state.lake")
    assert isinstance(recorded, dict)
    assert recorded["columns.user"] == "MD5(SESSION_ID)"
    assert Definition().overrides() == {}
