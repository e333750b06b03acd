"""`forget --user` and `forget --users` forget users for good, and no output, table or process shows their ids."""

import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.database_queries import ask, everything
from tests.support.event_files import events
from tests.support.lake_folders import write_lake
from tests.support.paths import ROOT
from tests.support.program_runs import read_result, run
from tests.support.proxies import LostAnswer, PostgresProxy
from tests.support.tables import Model

USER = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
BAD = f"yesterday\ts\tarticle_viewed\t{USER}\t{{}}\n".encode()
LAKE = {
    "a.tsv": events(10, 30, "a").replace(b"\tu0\t", f"\t{USER}\t".encode()) + BAD,
    "b.tsv": events(0, 12, "b").replace(b"\tu0\t", f"\t{USER}\t".encode()),
}


@pytest.fixture
def lake(tmp_path: Path, database: str) -> Path:
    """A lake that the database has ingested."""
    write_lake(tmp_path / "lake", LAKE)
    assert run(lake=tmp_path / "lake", database=database).returncode == 0
    return tmp_path / "lake"


def test_a_user_is_forgotten_for_good(lake: Path, database: str) -> None:
    before = everything(database)
    done = run("forget", "--user", USER, "--dry-run", lake=lake, database=database)
    said = "forgot{}ten 1 user: 1 row of user_performance, 4 sessions, 1 rejected line emptied\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, said.replace("forgot{}ten", "would forget"), "")
    assert everything(database) == before
    done = run("forget", "--user", USER, lake=lake, database=database)
    assert (done.returncode, done.stdout, done.stderr) == (0, said.replace("{}", ""), "")
    model = Model()
    model.forgotten = {USER}
    model.check(database, LAKE)
    assert ask(database, "select command, exit_code, error from state.runs order by run_id desc limit 1") == [
        ("forget", 0, None)
    ]
    done = run("forget", "--user", USER, lake=lake, database=database)
    assert done.stdout == (
        "forgotten 1 user: 0 rows of user_performance, 0 sessions, 0 rejected lines emptied\n"
        "1 of them was forgotten before\n"
    )
    for words in (["verify"], ["--rebuild"], ["verify"]):
        done = run(*words, lake=lake, database=database)
        assert done.returncode == 0
        assert USER not in done.stdout + done.stderr
        model.check(database, LAKE)


def test_a_user_that_no_line_carried_yet_is_forgotten_too(lake: Path, database: str) -> None:
    done = run("forget", "--user=-later", lake=lake, database=database)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1] == "1 of them in no counted line; lines that come later count for no user either"
    later = {**LAKE, "c.tsv": LAKE["b.tsv"].replace(USER.encode(), b"-later")}
    write_lake(lake, later)
    assert run(lake=lake, database=database).returncode == 0
    model = Model()
    model.forgotten = {"-later"}
    model.check(database, later)


def test_a_file_names_many_users(lake: Path, database: str) -> None:
    ids = lake.parent / "ids"
    ids.write_text(f"{USER}\r\n\nu1\nnobody\nu1\n", encoding="utf-8")
    wanted = {"users": 3, "users_new": 3, "users_found": 2, "rows": 2, "sessions": 8, "rejected_lines": 1}
    done = run("forget", "--users", str(ids), "--dry-run", "--json", lake=lake, database=database)
    assert json.loads(done.stdout) == wanted
    done = run("forget", "--users", str(ids), "--json", lake=lake, database=database)
    assert wanted.items() <= read_result(done).items()
    model = Model()
    model.forgotten = {USER, "u1", "nobody"}
    model.check(database, LAKE)


def test_standard_input_names_users_and_no_process_shows_them(lake: Path, database: str) -> None:
    environment = {**os.environ, "LAKE_URL": str(lake), "DATABASE_URL": database}
    done = subprocess.run(
        [sys.executable, str(ROOT / "run.py"), "forget", "--users", "-", "--json"],
        cwd=lake.parent, env=environment, input=f"{USER}\nu1", capture_output=True, encoding="utf-8", check=True,
    )  # fmt: skip
    assert json.loads(done.stdout)["users_found"] == 2


def test_status_and_explain_say_that_users_are_forgotten(lake: Path, database: str) -> None:
    def status() -> str:
        return run("status", lake=lake, database=database).stdout

    def status_json() -> object:
        return json.loads(run("status", "--json", lake=lake, database=database).stdout)["users_forgotten"]

    def explained(*words: str) -> subprocess.CompletedProcess[str]:
        return run("explain", "--user", *words, lake=lake, database=database)

    assert "Forgotten" not in status()
    assert status_json() == 0
    assert json.loads(explained("u1", "--json").stdout)["forgotten_at"] is None
    run("forget", "--user", USER, lake=lake, database=database)
    run("forget", "--user", "nobody\x1b[31m", lake=lake, database=database)
    assert "\nForgotten 2 users, whose lines count for no user\n" in status()
    assert status_json() == 2
    done = explained(USER)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"user {USER} was forgotten at 2")
    assert "\\x1b[31m was forgotten" in explained("nobody\x1b[31m").stdout
    found = json.loads(explained(USER, "2019-02-15", "--json").stdout)
    assert found["forgotten_at"].startswith("2")
    assert (found["rows"], found["parts"], found["sessions"]) == ([], [], [])
    assert explained("somebody").returncode == 1


@pytest.mark.parametrize("words", [["--user", ""], ["--user", "x" * 1001], ["--user", "a\tb"], ["--users", "/none"]])
def test_a_wrong_id_is_refused(words: list[str], tmp_path: Path) -> None:
    done = run("forget", *words, lake=tmp_path, database="postgresql://127.0.0.1:9/none")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert "xx" not in line


def test_the_log_counts_what_is_gone_and_shows_no_id(lake: Path, database: str) -> None:
    done = run("forget", "--user", USER, lake=lake, database=database, LOG_FORMAT="json", LOG_LEVEL="debug")
    logged = [json.loads(line) for line in done.stderr.splitlines()]
    (line,) = (line for line in logged if line["event"] == "users forgotten")
    assert (line["level"], line["users"], line["rows"], line["sessions"]) == ("info", 1, 1, 4)
    assert USER not in done.stdout + done.stderr


def test_a_user_is_forgotten_once_even_if_the_answer_to_the_commit_is_lost(lake: Path, database: str) -> None:
    fault = LostAnswer(b"insert into forgotten_users")
    with closing(PostgresProxy(database, fault)) as proxy:
        done = run("forget", "--user", USER, lake=lake, database=proxy.url)
    assert fault.is_cut
    assert (done.returncode, done.stdout) == (
        0, "forgotten 1 user: 1 row of user_performance, 4 sessions, 1 rejected line emptied\n"
    )  # fmt: skip


def test_the_report_is_drawn_again(lake: Path, database: str) -> None:
    environment = {**os.environ, "LAKE_URL": str(lake), "DATABASE_URL": database}
    pages = []
    for words in ([], ["forget", "--user", USER], ["forget", "--user", USER]):
        subprocess.run(
            [sys.executable, str(ROOT / "run.py"), *words],
            cwd=lake.parent, env=environment, capture_output=True, check=True,
        )  # fmt: skip
        pages.append((lake.parent / "report" / "index.html").read_bytes())
    assert pages[0] != pages[1] == pages[2]
