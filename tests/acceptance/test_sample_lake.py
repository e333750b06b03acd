"""The line that counts a sample lake with nothing but Docker, and the errors that name this line."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from processor.commands.messages import ASSIGNMENT_LAKE, SAMPLE_COMMAND
from tests.support.database_queries import ask
from tests.support.lake_folders import contents
from tests.support.paths import ROOT
from tests.support.program_runs import run
from tests.support.tables import Model

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
COMPOSE = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_stage_of_the_image_makes_the_lake_that_the_line_names(tmp_path: Path, database: str) -> None:
    """Run the stage's command on exactly the files that the build gets."""
    rules = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for name in (rule[1:] for rule in rules if rule.startswith("!tests/")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (command,) = re.findall(r"^RUN (python -m .* /sample_lake)$", DOCKERFILE, re.MULTILINE)
    words = [str(tmp_path / "app" / "sample_lake") if word == "/sample_lake" else word for word in shlex.split(command)]
    subprocess.run([sys.executable, *words[1:]], check=True, cwd=tmp_path)
    (named,) = re.findall(r"^LAKE_URL=(\S+) ", SAMPLE_COMMAND)
    assert f"COPY --from=sample /sample_lake {named}/" in DOCKERFILE
    lake = tmp_path / "app" / named
    assert run(lake=lake, database=database).returncode == 0
    Model().check(database, contents(lake))
    assert ask(database, "select count(*) from public.daily_overview") == [(3,)]


@pytest.mark.parametrize("document", ["README.md", "docker-compose.yml", "CHANGELOG.md"])
def test_the_documents_show_the_line(document: str) -> None:
    assert SAMPLE_COMMAND in (ROOT / document).read_text(encoding="utf-8")


def test_compose_counts_the_lake_of_the_assignment_by_default() -> None:
    assert f"LAKE_URL=${{LAKE_URL:-{ASSIGNMENT_LAKE}}}" in COMPOSE


@pytest.mark.usefixtures("bucket")
@pytest.mark.parametrize("command", [(), ("--dry-run",), ("verify",)])
def test_the_error_names_the_line_where_the_bucket_of_the_assignment_is_missing(
    command: tuple[str, ...], database: str
) -> None:
    done = run(*command, lake=ASSIGNMENT_LAKE, database=database)
    assert done.returncode == 2
    line = done.stderr.splitlines()[-1]
    assert line.startswith("there is no bucket upday-data-assignment: ")
    assert line.endswith(f"; without that bucket, {SAMPLE_COMMAND} counts a sample lake")


def test_the_error_names_the_line_where_the_bucket_cannot_be_reached(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    done = run(lake=ASSIGNMENT_LAKE, database=database)
    assert done.returncode == 1
    assert done.stderr.rstrip().endswith(f"{SAMPLE_COMMAND} counts a sample lake")


@pytest.mark.usefixtures("bucket")
def test_other_lakes_and_other_errors_do_not_name_it(database: str, tmp_path: Path) -> None:
    for lake, url in (("s3://none/lake/", database), (tmp_path / "none", database), (ASSIGNMENT_LAKE, "x://y")):
        done = run(lake=lake, database=url)
        assert done.returncode == 2
        assert "sample" not in done.stderr


@pytest.mark.usefixtures("bucket")
def test_a_bucket_that_refuses_leaves_the_database_to_the_sample_lake(database: str, tmp_path: Path) -> None:
    assert run(lake=ASSIGNMENT_LAKE, database=database).returncode == 2
    (tmp_path / "sample_lake").mkdir()
    assert run(lake=tmp_path / "sample_lake", database=database).returncode == 0
