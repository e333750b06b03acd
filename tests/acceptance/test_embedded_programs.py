"""PostgreSQL's programs for the embedded server: the package's, or else those of the machine."""

import importlib.util
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from state import embedded, embedded_programs
from state.embedded_programs import PACKAGE_MAJOR, find_programs
from state.errors import EmbeddedError
from tests.support.database_queries import ask
from tests.support.event_files import CLICK, HEADER
from tests.support.lake_folders import contents, write_lake
from tests.support.program_runs import run
from tests.support.tables import Model

NONE = Path("/no/data")


@pytest.fixture
def home() -> Iterator[Path]:
    """The folder of a server, which is stopped in the end."""
    # Not in pytest's folder: when another pytest starts, it removes the access of the account that runs Postgres.
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder, "server")
        embedded.stop(Path(folder, "server"))


@pytest.fixture
def no_package(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The package is missing."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    return monkeypatch


@pytest.fixture
def nothing(no_package: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """Neither the package nor the machine has PostgreSQL."""
    no_package.setattr(embedded_programs, "FOLDERS", (f"{str(tmp_path)[1:]}/opt/postgresql*/bin",))
    no_package.setenv("PATH", "/no/programs")
    return no_package


def install(folder: Path, version: str, names: tuple[str, ...] = ("initdb", "postgres", "psql")) -> Path:
    """Make programs that say they are of a version."""
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {version}'\n", encoding="utf-8")
        (folder / name).chmod(0o755)
    return folder


def test_the_package_comes_first() -> None:
    programs = find_programs(NONE)
    assert programs.major == PACKAGE_MAJOR
    assert programs.package is not None
    assert programs.folder.is_relative_to(programs.package)


@pytest.mark.usefixtures("nothing")
def test_one_line_says_what_to_do_without_programs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install(tmp_path / "opt" / "postgresql@14" / "bin", "14.9")
    install(tmp_path / "opt" / "postgresql@17" / "bin", "17.2", ("initdb", "psql"))
    line = (
        "PostgreSQL 15 or newer is missing: "
        "pip install -r requirements/embedded.txt, or name another database in DATABASE_URL"
    )
    monkeypatch.setattr(embedded, "HOME", tmp_path / "home")
    assert embedded.main(["--find"]) == 1
    assert capsys.readouterr().err == f"error: {line}\n"
    with pytest.raises(EmbeddedError, match=line), embedded.open_server("a", tmp_path / "server"):
        pass


@pytest.mark.usefixtures("nothing")
def test_the_newest_programs_of_the_machine_come_next(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(install(tmp_path / "programs", "16.4 (Homebrew)")))
    assert find_programs(NONE) == (tmp_path / "programs", 16, None)
    install(tmp_path / "opt" / "postgresql@9" / "bin", "9.6.1")
    newest = install(tmp_path / "opt" / "postgresql@19" / "bin", "19beta1")
    assert find_programs(NONE) == (newest, 19, None)
    monkeypatch.setattr(embedded, "HOME", tmp_path / "home")
    assert embedded.main(["--find"]) == 0
    assert capsys.readouterr().out == f"{newest}\n"


@pytest.mark.usefixtures("nothing")
def test_data_keeps_its_version(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(install(tmp_path / "programs", "16.4")))
    install(tmp_path / "opt" / "postgresql@17" / "bin", "17.2")
    (tmp_path / "PG_VERSION").write_bytes(b"16\n")
    assert find_programs(tmp_path).major == 16
    (tmp_path / "PG_VERSION").write_bytes(b"15\n")
    with pytest.raises(EmbeddedError, match=r"PostgreSQL 15, .*: install it; or run make clean, which deletes "):
        find_programs(tmp_path)
    (tmp_path / "PG_VERSION").write_text(f"{PACKAGE_MAJOR}\n", encoding="utf-8")
    with pytest.raises(EmbeddedError, match=f"PostgreSQL {PACKAGE_MAJOR} is missing: pip install"):
        find_programs(tmp_path)


def test_the_machine_s_own_programs_serve_a_lake(home: Path, tmp_path: Path, no_package: pytest.MonkeyPatch) -> None:
    try:
        major = find_programs(NONE).major
    except EmbeddedError:
        pytest.skip("no PostgreSQL is installed here")
    write_lake(tmp_path, {"a.tsv": HEADER + CLICK})
    with embedded.open_server("a", home) as uri:
        assert ask(uri, "select current_setting('server_version_num')::int / 10000") == [(major,)]
        assert run(lake=tmp_path, database=uri).returncode == 0
        Model().check(uri, contents(tmp_path))
    no_package.undo()
    with embedded.open_server("a", home) as uri:
        assert ask(uri, "select current_setting('server_version_num')::int / 10000") == [(major,)]
