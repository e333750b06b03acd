"""The commands as processes: reading during a run, the rows of `state.runs`, dry runs, selections, and the picture."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from processor.plan import Plan
from state import embedded
from state.database import Database
from state.errors import NoDatabaseError
from state.read_only_database import ReadOnlyDatabase
from state.reads import Reads
from state.run import begin_run
from state.schema import list_migrations
from tests.support import made_lake
from tests.support.database_queries import ask, everything, execute
from tests.support.event_files import CLICK, HEADER
from tests.support.ingest import ingest_folder
from tests.support.lake_folders import contents, write_lake
from tests.support.older_schemas import make_older
from tests.support.oracle import expected
from tests.support.paths import ROOT
from tests.support.postgres import as_role
from tests.support.program_runs import on_a_terminal, read_result, run
from tests.support.proxies import LostAnswer, PostgresProxy
from tests.support.tables import Model

ASKS = (["status"], ["explain", "a1"], ["explain", "--user", "u1"], ["rejected"], ["--dry-run", "--prune"])


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """A lake of two small files, named by their days."""
    folder = tmp_path / "lake"
    folder.mkdir()
    (folder / "2019-02-15.tsv").write_bytes(HEADER + CLICK * 2 + b"bad\n")
    (folder / "2019-02-16.tsv").write_bytes(HEADER + CLICK)
    return folder


def read_json(*arguments: str, lake: Path, database: str) -> dict[str, Any]:
    """Return what a command that reads prints with `--json`."""
    done = run(*arguments, "--json", lake=lake, database=database)
    assert (done.returncode, done.stderr) == (0, "")
    (line,) = done.stdout.splitlines()
    answer: dict[str, Any] = json.loads(line)
    return answer


def test_commands_that_read_answer_during_a_run_and_write_nothing(lake: Path, database: str) -> None:
    ingest_folder(lake, database, Plan())
    (lake / "2019-02-17.tsv").write_bytes(HEADER + CLICK)
    with Database(database) as at_work, begin_run(at_work, str(lake)):
        before = everything(database)
        for arguments in ASKS:
            done = run(*arguments, lake=lake, database=database)
            assert (done.returncode, done.stderr) == (0, ""), arguments
        assert "At work   process" in run("status", lake=lake, database=database).stdout
        assert run(lake=lake, database=database).returncode == 75
        assert everything(database) == before
    assert read_json("status", lake=lake, database=database)["at_work"] is None


def test_status_of_a_role_that_does_not_see_when_the_run_at_work_began(lake: Path, database: str) -> None:
    ingest_folder(lake, database, Plan())
    execute(database, "grant usage on schema state to bi; grant select on all tables in schema state to bi")
    with Database(database) as at_work, begin_run(at_work, str(lake)):
        done = run("status", lake=lake, database=as_role("bi", database))
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"^At work +process \d+ on \S+$", done.stdout, re.MULTILINE)


def test_commands_that_read_report_an_unused_database_and_create_nothing(lake: Path, database: str) -> None:
    for arguments in ASKS:
        done = run(*arguments, lake=lake, database=database)
        (line,) = done.stderr.splitlines()
        assert "nothing was counted into this database yet" in line
        assert done.returncode == (0 if "--dry-run" in arguments else 1)
    assert execute(database, "select to_regnamespace('state'), to_regclass('article_performance')") == [(None, None)]


def test_commands_that_read_create_no_embedded_server(tmp_path: Path) -> None:
    with pytest.raises(NoDatabaseError), embedded.open_server("lake", tmp_path / "server", make=False):
        pass
    assert not (tmp_path / "server").exists()


@pytest.mark.parametrize(
    ("step", "words"), [(max(list_migrations()) - 1, "brings it up to date"), (9999, "use the newer one")]
)
def test_commands_that_read_report_another_schema(lake: Path, database: str, step: int, words: str) -> None:
    make_older(database, step)
    execute(database, f"insert into state.steps (step) values ({step}) on conflict do nothing")
    before = execute(database, "table state.steps")
    for arguments in ASKS:
        done = run(*arguments, lake=lake, database=database)
        (line,) = done.stderr.splitlines()
        assert (done.returncode, done.stdout, words in line) == (2, "", True)
    assert execute(database, "table state.steps") == before


def test_commands_that_read_refuse_another_lake(lake: Path, database: str, tmp_path: Path) -> None:
    ingest_folder(lake, database, Plan())
    for arguments in ASKS:
        done = run(*arguments, lake=tmp_path, database=database)
        assert (done.returncode, "--relocated" in done.stderr) == (2, True)


def test_status_shows_what_has_changed(lake: Path, database: str) -> None:
    (lake / "2019-02-14.tsv").write_bytes(HEADER + CLICK)
    ingest_folder(lake, database, Plan())
    (lake / "2019-02-14.tsv").unlink()
    (lake / "2019-02-15.tsv").write_bytes(HEADER + CLICK * 5)
    (lake / "2019-02-17.tsv").write_bytes(HEADER + CLICK)
    found = read_json("status", lake=lake, database=database)
    names = ("files_counted", "files_new", "files_changed", "files_gone", "files_failed", "events", "rejected")
    assert [found[name] for name in names] == [3, 1, 1, 1, 0, 4, 1]
    (lake / "2019-02-18.tsv").write_bytes(b"no header\n")
    ingest_folder(lake, database, Plan())
    found = read_json("status", lake=lake, database=database)
    assert [found[name] for name in names] == [4, 0, 0, 1, 1, 8, 0]
    screen = run("status", lake=lake, database=database).stdout
    assert "Failed    1 file, tried again by the next run\n          2019-02-18.tsv: its first line" in screen
    assert len(screen.splitlines()) < 24
    moved = lake.rename(lake.with_name("elsewhere"))
    unlisted = run("status", "--json", lake=lake, database=database)
    assert (unlisted.returncode, json.loads(unlisted.stdout)["files_new"]) == (2, None)
    moved.rename(lake)


def test_status_shows_what_was_restated(tmp_path: Path, database: str) -> None:
    lake = tmp_path / "lake"
    write_lake(lake, {"a.tsv": HEADER + CLICK})
    ingest_folder(lake, database, Plan())
    assert read_json("status", lake=lake, database=database)["restatements"] == []
    assert "Restated" not in run("status", lake=lake, database=database).stdout
    later = CLICK.replace(b"10:00:00.000", b"10:00:01.500")
    write_lake(lake, {"b.tsv": HEADER + later, "c.tsv": HEADER + later})
    ingest_folder(lake, database, Plan())
    found = read_json("status", lake=lake, database=database)
    names = ("date", "run_id", "clicks_before", "clicks_after", "session_seconds_after", "files", "file_count")
    assert [[row[name] for name in names] for row in found["restatements"]] == [
        ["2019-02-15", 2, 1, 3, 1.5, ["b.tsv", "c.tsv"], 2]
    ]
    screen = run("status", lake=lake, database=database).stdout
    line = "Restated  2019-02-15 on [0-9: -]+ UTC: clicks 1 to 3, their length 0 to 1.5 s, by b.tsv and 1 more"
    assert re.search(f"^{line}$", screen, re.MULTILINE)
    for number in range(6):
        write_lake(lake, {"d.tsv": HEADER + CLICK * (number + 1)})
        ingest_folder(lake, database, Plan())
    found = read_json("status", lake=lake, database=database)
    assert [row["run_id"] for row in found["restatements"]] == [8, 7, 6, 5, 4]
    assert len(run("status", lake=lake, database=database).stdout.splitlines()) < 24


def test_explain_names_the_files_that_made_every_number(tmp_path: Path, database: str) -> None:
    lake = tmp_path / "lake"
    (path,) = made_lake.write(lake, days=1, lines=400)
    header, *lines = path.read_bytes().splitlines(keepends=True)
    path.unlink()
    for part in range(3):
        (lake / f"{part}.tsv").write_bytes(header + b"".join(lines[part::3]))
    ingest_folder(lake, database, Plan())
    files = contents(lake)
    alone = {key: expected({key: data}) for key, data in files.items()}
    whole = expected(files)
    with ReadOnlyDatabase(database) as db:
        reads = Reads(db)
        for article in {article for article, _ in whole.article_performance}:
            found = reads.read_article(article, None)
            assert [
                (part["date"], part["file"], part["displays"], part["clicks"]) for part in found["parts"]
            ] == sorted(
                (day, key, row.displays, row.clicks)
                for key, tables in alone.items()
                for (name, day), row in tables.article_performance.items()
                if name == article
            )
            texts = {text["name"]: text["text"] for text in found["texts"]}
            row = next(row for (name, _), row in whole.article_performance.items() if name == article)
            assert (texts.get("title"), texts.get("category")) == (row.title, row.category)
        across = 0
        for user in {user for user, _ in whole.user_performance}:
            found = reads.read_user(user, None)
            parts = sorted(
                (day, key, row.displays, row.clicks)
                for key, tables in alone.items()
                for (name, day), row in tables.user_performance.items()
                if name == user and (row.displays or row.clicks)
            )
            assert [tuple(part.values()) for part in found["parts"]] == parts
            for day in {part[0] for part in parts}:
                one_day = reads.read_user(user, day)
                assert [tuple(part.values()) for part in one_day["parts"]] == [part for part in parts if part[0] == day]
                assert {row["date"] for row in one_day["rows"]} == {day}
                assert {part["date"] for part in one_day["sessions"]} <= {day}
            days = {row["date"]: (row["sessions"], row["session_seconds"]) for row in found["rows"]}
            sessions = {(part["date"], part["session_id"]): part["session_seconds"] for part in found["sessions"]}
            across += len(found["sessions"]) - len(sessions)
            for day, (number, seconds) in days.items():
                lengths = [length for (begun, _), length in sessions.items() if begun == day]
                assert (len(lengths), sum(lengths)) == (number, seconds)
        assert across > 0  # sessions with parts in more than one file


def test_explain_lists_in_order(tmp_path: Path, database: str) -> None:
    """The order does not depend on arrival: the last day comes first, and the last file of each day."""
    event = '2019-02-1{day} 0{hour}:00:00\ts{session}\tarticle_viewed\tu\t{{"id":"a"}}\n'
    for name, hour in (("c", 3), ("b", 1), ("a", 2)):
        lines = (event.format(day=day, hour=hour, session=session) for day in (7, 5, 6) for session in (2, 1))
        (tmp_path / f"{name}.tsv").write_bytes(HEADER + "".join(lines).encode() + b"bad\n" * 3)
        ingest_folder(tmp_path, database, Plan())
    with ReadOnlyDatabase(database) as db:
        found = Reads(db).read_article("a", None)
        user = Reads(db).read_user("u", None)
        rejected = [(line.key, line.line_number) for line in Reads(db).read_rejected_lines(None)]
    days, files = [date(2019, 2, day) for day in (15, 16, 17)], [f"{name}.tsv" for name in "abc"]
    for parts in (found["parts"], user["parts"]):
        assert [(part["date"], part["file"]) for part in parts] == [(day, file) for day in days for file in files]
    for rows in (found["rows"], user["rows"]):
        assert [row["date"] for row in rows] == days
    assert [(part["session_id"], part["file"]) for part in user["sessions"]] == [
        (session, f"{name}.tsv") for session in ("s1", "s2") for name in "bac"
    ]
    assert rejected == [(file, number) for file in files for number in (8, 9, 10)]


def test_explain_shows_one_day(lake: Path, database: str) -> None:
    ingest_folder(lake, database, Plan())
    shown = run("explain", "a1", "2019-02-15", lake=lake, database=database).stdout.splitlines()
    assert [line.split() for line in shown[-3:]] == [
        ["2019-02-15", "2019-02-15.tsv", "0", "2"],
        ["2019-02-15", "2019-02-16.tsv", "0", "1"],
        ["2019-02-15", "=", "together", "0", "3", "3"],
    ]
    assert "title of 2019-02-15 10:00:00.000000 UTC in 2019-02-15.tsv: T" in shown
    user = read_json("explain", "--user", "u1", "2019-02-15", lake=lake, database=database)
    assert [part["file"] for part in user["sessions"]] == ["2019-02-15.tsv", "2019-02-16.tsv"]
    for arguments, code in (
        (["a1", "2019-02-16"], 1),
        (["no-such"], 1),
        ([], 2),
        (["a1", "yesterday"], 2),
        (["--user", ""], 1),
        (["\udcff"], 1),
    ):
        done = run("explain", *arguments, lake=lake, database=database)
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (code, "", 1)


def test_a_dry_run_shows_what_the_run_then_does_and_touches_nothing(lake: Path, database: str) -> None:
    (lake / "2019-02-13.tsv").write_bytes(HEADER + CLICK)
    ingest_folder(lake, database, Plan())
    (lake / "2019-02-13.tsv").unlink()
    (lake / "2019-02-15.tsv").write_bytes(HEADER + CLICK * 5)
    (lake / "2019-02-17.tsv").write_bytes(HEADER + CLICK)
    before = everything(database)
    for options in ([], ["--prune"], ["--rebuild", "--prune"], ["--since", "2019-02-16"]):
        would = read_json("--dry-run", *options, lake=lake, database=database)
        assert everything(database) == before
        files = ["2019-02-15.tsv"] if "--since" not in options else []
        files += ["2019-02-16.tsv"] if "--rebuild" in options else []
        gone = ["2019-02-13.tsv"] if "--since" not in options else []
        assert (would["new"], would["again"]) == (["2019-02-17.tsv"], files)
        assert (would["gone"], would["pruned"]) == (gone, gone if "--prune" in options else [])
    did = read_result(run("--prune", "--json", lake=lake, database=database))
    assert (did["files_counted"], did["files_forgotten"], did["files_unchanged"]) == (2, 1, 1)
    for path in lake.iterdir():
        path.unlink()
    refused = run("--dry-run", "--prune", lake=lake, database=database)
    assert (refused.returncode, "--prune-all" in refused.stderr) == (1, True)


@pytest.mark.parametrize("end", ["--since", "--until"])
def test_a_date_that_does_not_exist_is_not_taken_for_a_key(end: str, lake: Path, database: str) -> None:
    """As a key, 2019-02-30 would select other files than the user meant."""
    done = run(end, "2019-02-30", "--prune", lake=lake, database=database)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"argument {end}: '2019-02-30' is a date that does not exist; see python run.py --help\n"


def test_files_outside_the_selection_are_neither_counted_nor_missing(lake: Path, database: str) -> None:
    model, files = Model(), contents(lake)
    assert read_result(run("--until", "2019-02-15", "--json", lake=lake, database=database))["files_counted"] == 1
    model.check(database, {"2019-02-15.tsv": files["2019-02-15.tsv"]})
    ingest_folder(lake, database, Plan())
    (lake / "2019-02-15.tsv").unlink()
    (lake / "2019-02-16.tsv").write_bytes(HEADER + CLICK * 9)
    left = run("--prune", "--since", "2019-02-17", lake=lake, database=database)
    assert (left.returncode, "--prune-all" in left.stderr) == (1, True)  # no file is within
    did = read_result(run("--prune", "--since", "2019-02-16", "--json", lake=lake, database=database))
    assert (did["files_counted"], did["files_forgotten"]) == (1, 0)
    Model().check(database, {"2019-02-15.tsv": files["2019-02-15.tsv"], **contents(lake)})
    assert run("verify", "--since", "2019-02-16", lake=lake, database=database).returncode == 0
    for end in ("--since", "--until"):
        done = run("--rebuild", end, "2019-02-16", lake=lake, database=database)
        assert (done.returncode, "pass it without --since and --until" in done.stderr) == (2, True)


def recorded_runs(url: str) -> list[tuple[object, ...]]:
    return execute(
        url,
        "select command, exit_code, error, files_counted, files_unchanged, files_failed, files_forgotten, events,"
        " rejected, bytes from state.runs order by run_id",
    )


def test_every_run_is_recorded_and_how_it_ended(lake: Path, database: str) -> None:
    size = sum(map(len, contents(lake).values()))
    run(lake=lake, database=database)
    run(lake=lake, database=database)
    (lake / "2019-02-17.tsv").write_bytes(b"broken\n")
    run(lake=lake, database=database)
    run("--rebuild", lake=lake, database=database)
    (lake / "2019-02-17.tsv").unlink()
    execute(database, "update article_performance set clicks = 9")
    run("verify", lake=lake, database=database)
    run("forget", "2019-02-16.tsv", lake=lake, database=database)
    done = run("forget", "no/such.tsv", lake=lake, database=database)
    assert done.stderr == "no file no/such.tsv is known; a key is a path below the lake's URL\n"
    run("status", lake=lake, database=database)
    differs = "1 difference from the lake: count the lake again with python run.py --rebuild"
    assert recorded_runs(database) == [
        ("count", 0, None, 2, 0, 0, 0, 3, 1, size),
        ("count", 0, None, 0, 2, 0, 0, 0, 0, 0),
        ("count", 1, None, 0, 2, 1, 0, 0, 0, 7),
        ("rebuild", 1, None, 2, 0, 1, 0, 3, 1, size + 7),
        ("verify", 1, differs, 2, 0, 0, 0, 3, 1, size),
        ("forget", 0, None, 0, 0, 0, 1, 0, 0, 0),
        ("forget", 1, "no file is known by the given key", 0, 0, 0, 0, 0, 0, 0),
    ]
    times = "(seconds > 0 or files_counted = 0) and ended_at >= started_at"
    assert execute(database, f"select count(*) from state.runs where {times}") == [(7,)]


def test_a_recount_is_recorded_and_one_that_did_not_end_must_be_passed_again(lake: Path, database: str) -> None:
    run(lake=lake, database=database)
    done = run("--recount", "--since", "2019-02-16", "--json", lake=lake, database=database)
    assert json.loads(done.stdout)["files_counted"] == 1
    assert recorded_runs(database)[1][:4] == ("recount", 0, None, 1)
    execute(database, "update state.runs set ended_at = null, exit_code = null where command = 'recount'")
    shown = run("status", lake=lake, database=database).stdout
    assert "recount, which did not end properly; the rest of the range was not recounted" in shown


def test_the_history_records_a_run_that_was_stopped_or_killed(lake: Path, database: str) -> None:
    run(lake=lake, database=database)
    (lake / "2019-02-17.tsv").write_bytes(HEADER + CLICK)
    environment = {**os.environ, "LAKE_URL": str(lake), "DATABASE_URL": database}
    waits = "select count(*) from pg_locks where not granted and relation = 'article_performance'::regclass"
    for number in (signal.SIGTERM, signal.SIGKILL):
        with closing(psycopg2.connect(database)) as holder, holder.cursor() as cur:
            cur.execute("lock table article_performance in access exclusive mode")
            command = [sys.executable, str(ROOT / "run.py")]
            with subprocess.Popen(command, env=environment, cwd=lake.parent, stderr=subprocess.DEVNULL) as process:
                deadline = time.monotonic() + 60
                while execute(database, waits) == [(0,)] and time.monotonic() < deadline:
                    time.sleep(0.05)
                process.send_signal(number)
                process.wait(60)
    assert [row[1:3] for row in recorded_runs(database)] == [(0, None), (1, "stopped by SIGTERM"), (None, None)]
    shown = run("status", lake=lake, database=database).stdout
    assert "count, which did not end properly" in shown


def test_the_picture_shows_the_counted_files(lake: Path, database: str, tmp_path: Path) -> None:
    def draw(*arguments: str) -> bytes:
        environment = {**os.environ, "LAKE_URL": str(lake), "DATABASE_URL": database}
        command = [sys.executable, str(ROOT / "run.py"), *arguments]
        subprocess.run(command, check=True, env=environment, cwd=tmp_path, capture_output=True)
        return picture.read_bytes()

    picture = tmp_path / "report" / "click_through_rate.png"
    first, when = draw(), picture.stat().st_mtime_ns
    assert (draw(), picture.stat().st_mtime_ns) == (first, when)
    picture.with_suffix(".svg").unlink()
    draw()
    assert picture.with_suffix(".svg").exists()
    assert draw("forget", "2019-02-16.tsv") != first


def test_an_empty_lake_is_reported(tmp_path: Path, database: str, bucket: str) -> None:
    for place in (str(tmp_path), "s3://events/no/such/prefix/"):
        execute(database, "drop schema if exists state cascade", "drop table if exists article_performance cascade")
        execute(database, "drop table if exists user_performance cascade")
        done = run("--json", lake=place, database=database, AWS_ENDPOINT_URL=bucket)
        (line,) = [line for line in done.stderr.splitlines() if "holds no lake files" in line]
        assert (done.returncode, read_result(done)["files_counted"]) == (0, 0)
        assert "check LAKE_URL" in line


def test_a_region_that_is_set_but_empty_is_reported(database: str) -> None:
    settings = {"AWS_DEFAULT_REGION": "", "AWS_REGION": ""}
    done = run(lake="s3://events/", database=database, AWS_ENDPOINT_URL="http://127.0.0.1:9", **settings)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "AWS_DEFAULT_REGION is set but empty; unset it, or set it to a region such as eu-west-1\n"


def test_verify_reads_and_shows_times(lake: Path, database: str) -> None:
    ingest_folder(lake, database, Plan())
    done = run("verify", lake=lake, database=database)
    assert "read 2019-02-15.tsv: 2 events, 1 line rejected" in done.stdout
    assert "counted" not in done.stdout
    execute(database, "update state.articles set title_at = title_at + 1")
    done = run("verify", "--json", lake=lake, database=database)
    assert "title_at is 2019-02-15 10:00:00.000001 UTC, should be 2019-02-15 10:00:00.000000 UTC" in done.stderr
    assert json.loads(done.stdout)["differences"] == 1
    assert done.stderr.splitlines()[-1].startswith("1 difference from")


def test_help_starts_quickly_and_every_command_has_one(tmp_path: Path) -> None:
    for arguments in (["--help"], ["status", "--help"]):
        command = [sys.executable, "-X", "importtime", str(ROOT / "run.py"), *arguments]
        done = subprocess.run(command, check=True, capture_output=True, encoding="utf-8", cwd=tmp_path)
        assert "example:" in done.stdout
        modules = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
        imported = {module.partition(".")[0] for module in modules}
        assert "argparse" in imported
        heavy = {"boto3", "psycopg2", "resvg_py", "orjson", "logging"}
        assert not heavy & imported
        assert "processor.output.console" not in modules
        assert {module for module in modules if module.startswith("state")} == {"state", "state.errors"}


def test_only_terminals_get_colours_unless_no_color_is_set(lake: Path, database: str, tmp_path: Path) -> None:
    ingest_folder(lake, database, Plan())
    command = [sys.executable, str(ROOT / "run.py"), "status"]
    environment = {**os.environ, "LAKE_URL": str(lake), "DATABASE_URL": database, "TERM": "xterm"}
    environment.pop("NO_COLOR", None)
    assert f"\x1b[1mLake      {lake}\x1b[0m" in on_a_terminal(command, environment, tmp_path)
    for plain in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        shown = on_a_terminal(command, environment | plain, tmp_path)
        assert "Lake " in shown
        assert "\x1b" not in shown
    assert "\x1b" not in run("status", lake=lake, database=database).stdout


@pytest.mark.parametrize("options", ["--dry-run", "--rebuild", "--prune", "--prune-all", "--since=2019"])
def test_an_option_of_the_main_command_is_refused_elsewhere(options: str, lake: Path, database: str) -> None:
    ingest_folder(lake, database, Plan())
    done = run(options, "forget", "2019-02-15.tsv", lake=lake, database=database)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    Model().check(database, contents(lake))


@pytest.mark.parametrize("arguments", [["--lake", "{lake}", "status"], ["status", "--lake", "{lake}"]])
def test_an_option_may_precede_or_follow_the_command(database: str, tmp_path: Path, arguments: list[str]) -> None:
    write_lake(tmp_path / "lake", {"a.tsv": HEADER})
    assert run(lake=tmp_path / "lake", database=database).returncode == 0
    done = run(*(word.format(lake=tmp_path / "lake") for word in arguments), lake=tmp_path / "none", database=database)
    assert (done.returncode, "1 file" in done.stdout) == (0, True)


def test_a_file_is_forgotten_once_even_if_the_answer_to_the_commit_is_lost(database: str, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    write_lake(lake, {"a.tsv": HEADER + CLICK})
    assert run(lake=lake, database=database).returncode == 0
    fault = LostAnswer(b"delete from lake_files")
    with closing(PostgresProxy(database, fault)) as proxy:
        done = run("forget", "a.tsv", lake=lake, database=proxy.url)
    assert fault.is_cut
    assert done.returncode == 0, done.stderr
    assert ask(database, "select key from state.lake_files") == []
    assert ask(database, "select files_forgotten from state.runs where command = 'forget'") == [(1,)]
