"""`run.py check` as a process: its lines, its JSON and its exit code, beside a run at work."""

import json
from pathlib import Path

import pytest

from state.database import Database
from state.run import begin_run
from tests.support.event_files import CLICK, HEADER
from tests.support.program_runs import run

DISPLAY = CLICK.replace(b"article_viewed", b"top_news_card_viewed")


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """A lake of one day."""
    (tmp_path / "a.tsv").write_bytes(HEADER + (CLICK + DISPLAY) * 10)
    return tmp_path


def test_a_check_beside_a_run_at_work_prints_a_line_each_and_changes_nothing(lake: Path, database: str) -> None:
    run(lake=lake, database=database)
    with Database(database) as at_work, begin_run(at_work, str(lake)):
        done = run("check", lake=lake, database=database)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) == 9
    assert all(line.startswith("ok   ") for line in lines)
    found = json.loads(run("check", "--json", lake=lake, database=database).stdout)
    assert (found["ok"], [check["check"] for check in found["checks"]]) == (True, [line.split()[1] for line in lines])
    assert all(check["ok"] and check["findings"] == [] for check in found["checks"])


def test_what_is_wrong_is_named_with_its_day_and_ends_with_1(lake: Path, database: str) -> None:
    hidden = CLICK.replace(b'"a1"', rb'"hidden\u001b[31m"')
    next_day = ((CLICK + DISPLAY) * 10 + hidden).replace(b"-15", b"-16")
    (lake / "b.tsv").write_bytes(HEADER + hidden + next_day)
    run(lake=lake, database=database)
    done = run("check", lake=lake, database=database)
    (line,) = (line for line in done.stdout.splitlines() if not line.startswith("ok"))
    assert (done.returncode, done.stderr) == (1, "")
    assert line.startswith("bad  displays   2019-02-16 has 1 click of 11 on articles without a display on that day")
    assert r"most on hidden\x1b[31m: " in line
    assert line.endswith("; and 1 more, which --json shows")
    found = run("check", "--json", lake=lake, database=database)
    checks = {check["check"]: check for check in json.loads(found.stdout)["checks"]}
    assert (found.returncode, found.stderr, checks["displays"]["ok"]) == (1, "", False)
    assert [finding["day"] for finding in checks["displays"]["findings"]] == ["2019-02-16", "2019-02-15"]
    assert run("check", lake=lake, database=database, CHECK_UNDISPLAYED_PERCENT="100").returncode == 0


def test_without_a_counted_file_there_is_nothing_to_check(lake: Path, database: str) -> None:
    done = run("check", lake=lake, database=database)
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
