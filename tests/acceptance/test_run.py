"""The main command as a process: its output, its exit code, and the tables."""

import os
import subprocess
import sys
from pathlib import Path

import boto3
import psycopg2
import pytest

from tests.support import made_lake
from tests.support.database_queries import ask
from tests.support.event_files import CLICK, HEADER
from tests.support.lake_folders import contents
from tests.support.paths import ROOT, SHARED
from tests.support.program_runs import read_result, run
from tests.support.tables import Model


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """A lake of two small files."""
    folder = tmp_path / "lake"
    (folder / "2019").mkdir(parents=True)
    (folder / "2019" / "a.tsv").write_bytes(HEADER + CLICK * 2 + b"bad\n")
    (folder / "b.tsv").write_bytes(HEADER + CLICK)
    return folder


def test_new_files_are_ingested_and_reported(lake: Path, database: str) -> None:
    done = run("--json", lake=lake, database=database)
    assert done.returncode == 0
    assert read_result(done) == {
        "files_counted": 2,
        "files_unchanged": 0,
        "files_failed": 0,
        "files_forgotten": 0,
        "events": 3,
        "rejected": 1,
    }
    Model().check(database, contents(lake))
    again = run("--json", lake=lake, database=database)
    assert again.returncode == 0
    assert read_result(again)["files_unchanged"] == 2
    assert "Nothing new" in again.stderr


def test_a_run_prints_for_people_what_it_did(lake: Path, database: str) -> None:
    done = run(lake=lake, database=database)
    assert done.returncode == 0
    assert "counted 2019/a.tsv: 2 events, 1 line rejected" in done.stdout
    assert "The first rows of article_performance:" in done.stdout
    assert "The first rows of user_performance:" in done.stdout
    assert done.stderr == ""
    assert done.stdout.rstrip().endswith("report/click_through_rate.png")


@pytest.mark.parametrize("option", ["", "--json"])
def test_a_run_continues_if_nobody_reads_its_output(lake: Path, database: str, tmp_path: Path, option: str) -> None:
    command = f"'{sys.executable}' '{ROOT / 'run.py'}' {option} | true"
    environment = {**os.environ, "LAKE_URL": str(lake), "DATABASE_URL": database}
    done = subprocess.run(
        ["/bin/sh", "-c", command], check=False, capture_output=True, encoding="utf-8", cwd=tmp_path, env=environment
    )
    assert "Error" not in done.stderr
    Model().check(database, contents(lake))


def test_the_real_lines_are_counted(database: str) -> None:
    sample = SHARED / "lake_sample"
    if not sample.is_dir():
        pytest.skip("the real lines are not part of the repository")
    done = run("--json", lake=sample, database=database)
    assert (done.returncode, read_result(done)["events"], read_result(done)["rejected"]) == (0, 30, 0)
    Model().check(database, contents(sample))


def test_a_made_lake_is_counted_as_the_oracle_says(tmp_path: Path, database: str) -> None:
    made_lake.write(tmp_path / "lake", days=2, lines=2000, compress=True)
    assert run(lake=tmp_path / "lake", database=database).returncode == 0
    Model().check(database, contents(tmp_path / "lake"))


def test_the_error_of_a_file_is_cleared_when_the_file_is_as_before(lake: Path, database: str) -> None:
    model, before = Model(), (lake / "b.tsv").read_bytes()
    assert run(lake=lake, database=database).returncode == 0
    model.check(database, contents(lake))
    (lake / "b.tsv").write_bytes(b"no header\n")
    assert run(lake=lake, database=database).returncode == 1
    assert model.check(database, contents(lake)).failed == {"b.tsv"}
    (lake / "b.tsv").write_bytes(before)
    os.utime(lake / "b.tsv", (1, 1))
    assert run(lake=lake, database=database).returncode == 0
    assert model.check(database, contents(lake)).failed == set()
    query = "select error, failed_at from state.lake_files"
    assert set(ask(database, query)) == {(None, None)}


def test_an_unreadable_file_is_reported_and_the_others_are_ingested(lake: Path, database: str) -> None:
    (lake / "broken.tsv.gz").write_bytes(b"no gzip")
    done = run("--json", lake=lake, database=database)
    assert done.returncode == 1
    assert read_result(done)["files_failed"] == 1
    assert [line for line in done.stderr.splitlines() if "broken.tsv.gz" in line] == [
        "not counted broken.tsv.gz: its compression is broken (Not a gzipped file (b'no')); write it again"
    ]
    Model().check(database, contents(lake))
    (lake / "broken.tsv.gz").unlink()
    assert run(lake=lake, database=database).returncode == 0
    Model().check(database, contents(lake))


def test_forget_prune_and_verify(lake: Path, database: str) -> None:
    run(lake=lake, database=database)
    assert run("forget", "no/such.tsv", lake=lake, database=database).returncode == 1
    assert read_result(run("forget", "b.tsv", "--json", lake=lake, database=database))["files_forgotten"] == 1
    Model().check(database, {key: data for key, data in contents(lake).items() if key != "b.tsv"})
    missing = run("verify", lake=lake, database=database)
    assert missing.returncode == 1
    assert "b.tsv" in missing.stdout
    run(lake=lake, database=database)
    assert run("verify", lake=lake, database=database).returncode == 0
    (lake / "b.tsv").unlink()
    assert read_result(run("--json", lake=lake, database=database))["files_forgotten"] == 0
    assert run("verify", lake=lake, database=database).returncode == 0
    assert read_result(run("--prune", "--json", lake=lake, database=database))["files_forgotten"] == 1
    Model().check(database, contents(lake))
    (lake / "2019" / "a.tsv").unlink()
    refused = run("--prune", lake=lake, database=database)
    assert (refused.returncode, "--prune-all" in refused.stderr) == (1, True)
    assert run("--prune-all", lake=lake, database=database).returncode == 0
    Model().check(database, {})


def test_verify_fails_on_a_file_that_cannot_be_read(lake: Path, database: str) -> None:
    run(lake=lake, database=database)
    (lake / "b.tsv").write_bytes(b"garbage")
    done = run("verify", lake=lake, database=database)
    assert (done.returncode, "could not be compared" in done.stderr) == (1, True)


def test_a_lake_that_cannot_be_listed_is_not_recorded(lake: Path, database: str) -> None:
    assert run(lake="/no/such/lake", database=database).returncode == 2
    assert run(lake=lake, database=database).returncode == 0
    assert run("--relocated", lake="/no/such/lake", database=database).returncode == 2
    assert run(lake=lake, database=database).returncode == 0


def test_a_refused_prune_reports_what_was_ingested(lake: Path, database: str) -> None:
    run(lake=lake, database=database)
    (lake / "b.tsv").unlink()
    (lake / "2019" / "a.tsv").rename(lake / "c.tsv")
    done = run("--prune", "--json", lake=lake, database=database)
    assert (done.returncode, read_result(done)["files_counted"]) == (1, 1)
    assert "--prune-all" in done.stderr


def test_another_lake_is_refused_unless_it_is_the_same_at_a_new_place(lake: Path, database: str) -> None:
    run(lake=lake, database=database)
    moved = lake.rename(lake.with_name("moved"))
    refused = run(lake=moved, database=database)
    assert (refused.returncode, "--relocated" in refused.stderr) == (2, True)
    done = run("--relocated", "--json", lake=moved, database=database)
    assert (done.returncode, read_result(done)["files_unchanged"]) == (0, 2)
    assert run(lake=moved, database=database).returncode == 0


@pytest.mark.parametrize(
    ("lake_url", "url", "code", "words"),
    [
        ("", None, 2, "set LAKE_URL"),
        ("/no/such/folder", None, 2, "/no/such/folder"),
        ("http://example.org/", None, 2, "LAKE_URL"),
        ("s3:///prefix", None, 2, "s3://bucket/prefix/"),
        (".", "no uri at all", 2, "DATABASE_URL"),
        (".", "postgresql://user:se%ZZcret@127.0.0.1:1/x", 2, "DATABASE_URL"),
        (".", "postgresql://user:secret@127.0.0.1:1/x", 1, "look at DATABASE_URL"),
    ],
)
def test_a_wrong_setting_is_one_line(database: str, lake_url: str, url: str | None, code: int, words: str) -> None:
    done = run(lake=lake_url, database=url or database, DATABASE_WAIT="0")
    (line,) = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (code, "")
    assert words in line
    assert "cret" not in line


def test_a_wrong_option_is_reported(database: str, lake: Path) -> None:
    assert run("--no-such-option", lake=lake, database=database).returncode == 2


def test_s3_is_counted_and_only_what_the_url_names(lake: Path, database: str, bucket: str) -> None:
    client = boto3.client("s3", endpoint_url=bucket)
    for key, data in contents(lake).items():
        client.put_object(Bucket="events", Key=f"lake/{key}", Body=data)
    client.put_object(Bucket="events", Key="lake2/other.tsv", Body=HEADER + CLICK)
    assert read_result(run("--json", lake="s3://events/lake", database=database))["files_counted"] == 2
    Model().check(database, contents(lake))
    assert read_result(run("--json", lake="s3://events/lake/", database=database))["files_unchanged"] == 2
    client.put_object(Bucket="events", Key="lake/b.tsv", Body=HEADER + CLICK * 5)
    assert read_result(run("--json", lake="s3://events/lake/", database=database))["files_counted"] == 1
    Model().check(database, {**contents(lake), "b.tsv": HEADER + CLICK * 5})
    missing = run(lake="s3://no-such-bucket/lake/", database=database)
    assert (missing.returncode, len(missing.stderr.splitlines())) == (2, 1)


def test_every_table_and_column_has_a_comment(lake: Path, database: str) -> None:
    run(lake=lake, database=database)
    with psycopg2.connect(database) as connection, connection.cursor() as cur:
        cur.execute(
            "select relname, attname from pg_class"
            " join pg_namespace on pg_namespace.oid = relnamespace and nspname in ('public', 'state')"
            " join pg_attribute on attrelid = pg_class.oid and attnum >= 0 and not attisdropped"
            " where relkind in ('r', 'v') and col_description(pg_class.oid, attnum) is null"
            " union all select relname, null from pg_class"
            " join pg_namespace on pg_namespace.oid = relnamespace and nspname in ('public', 'state')"
            " where relkind in ('r', 'v') and obj_description(pg_class.oid) is null"
        )
        assert cur.fetchall() == []
    connection.close()
