"""The log has one line of JSON for each event at or above its level, and is safe to read."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.event_files import CLICK, HEADER
from tests.support.hostile_text import ODD
from tests.support.postgres import as_role
from tests.support.program_runs import run


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """A lake of one good file with an odd name and one broken file."""
    (tmp_path / f"a{ODD}.tsv").write_bytes(HEADER + CLICK + b"bad\n")
    (tmp_path / "b.tsv.gz").write_bytes(b"no gzip")
    return tmp_path


def events(done: subprocess.CompletedProcess[str]) -> list[dict[str, object]]:
    """Return the events on standard error, which holds nothing else."""
    assert done.stderr.isascii()
    assert done.stderr.replace("\n", "").isprintable()
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    for line in lines:
        assert line.pop("time").endswith("+00:00")
    return lines


def test_each_event_is_a_line(lake: Path, database: str) -> None:
    done = run("--json", lake=lake, database=database, LOG_FORMAT="json")
    logged = events(done)
    assert logged.pop().pop("seconds") == json.loads(done.stdout)["seconds"]
    error = "its compression is broken (Not a gzipped file (b'no')); write it again"
    assert logged == [
        {"level": "info", "event": "begin", "files": 2, "bytes": len(HEADER + CLICK) + 4 + 7},
        {"level": "info", "event": "counted", "file": f"a{ODD}.tsv", "events": 1, "rejected": 1},
        {"level": "error", "event": "failed", "file": "b.tsv.gz", "error": error},
    ]
    forgotten = run("forget", f"a{ODD}.tsv", lake=lake, database=database, LOG_FORMAT="json")
    assert events(forgotten) == [{"level": "info", "event": "forgotten", "file": f"a{ODD}.tsv"}]
    assert forgotten.stdout == ""
    unknown = events(run("forget", "x", lake=lake, database=database, LOG_FORMAT="json"))
    assert [line["level"] for line in unknown] == ["error"]


@pytest.mark.parametrize(
    ("level", "wanted"),
    [
        ("debug", {"begin", "counted", "failed", "done", "report"}),
        ("info", {"begin", "counted", "failed", "done"}),
        ("warning", {"failed"}),
        ("error", {"failed"}),
    ],
)
def test_a_level_leaves_out_what_is_below(lake: Path, database: str, level: str, wanted: set[str]) -> None:
    logged = events(run(lake=lake, database=database, LOG_FORMAT="json", LOG_LEVEL=level))
    assert {line["event"] for line in logged} - {"said"} == wanted


def test_a_level_applies_to_text_too(lake: Path, database: str) -> None:
    done = run(lake=lake, database=database, LOG_LEVEL="error")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
    assert run("status", lake=lake, database=database, LOG_LEVEL="error").stdout.startswith("Lake ")


def test_differences_are_events(lake: Path, database: str) -> None:
    (lake / "b.tsv.gz").unlink()
    run(lake=lake, database=database)
    (lake / f"a{ODD}.tsv").write_bytes(HEADER + CLICK * 2)
    logged = events(run("verify", lake=lake, database=database, LOG_FORMAT="json", LOG_LEVEL="error"))
    tables = {line["table"] for line in logged if line["event"] == "difference"}
    assert {"article_performance", "user_performance", "lake_files"} <= tables
    assert logged[-1]["event"] == "error"


@pytest.mark.parametrize("setting", [{"LOG_FORMAT": "xml"}, {"LOG_LEVEL": "loud"}, {"LOG_LEVEL": ODD}])
def test_a_wrong_setting_is_reported(setting: dict[str, str], lake: Path, database: str) -> None:
    done = run(lake=lake, database=database, **setting)
    (line,) = done.stderr.splitlines()
    assert (done.returncode, done.stdout, next(iter(setting)) in line) == (2, "", True)


def test_a_wrong_option_and_a_wrong_database_are_events_without_the_password(lake: Path, database: str) -> None:
    secret = "h1dden"
    for arguments, url in (
        ([f"postgresql://u:{secret}@h/d"], database),
        ([], f"postgresql://u:{secret}@127.0.0.1:9/d"),
        (["status"], as_role(f"nobody:{secret}", database)),
    ):
        done = run(*arguments, lake=lake, database=url, LOG_FORMAT="json", LOG_LEVEL="debug", DATABASE_WAIT="0")
        assert {line["level"] for line in events(done)} == {"error"}
        assert done.returncode in (1, 2)
        assert secret not in done.stdout + done.stderr
