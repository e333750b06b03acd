"""The same lake gives the same tables in every locale, time zone, umask and current folder."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from processor.environment import decode_utf8, encode_utf8
from processor.lake.base import LakeSettingError
from processor.lake.open_lake import open_lake
from state import embedded
from tests.support.database_queries import ask
from tests.support.event_files import CLICK, HEADER
from tests.support.lake_folders import contents, write_lake
from tests.support.paths import ROOT
from tests.support.program_runs import Run, read_result
from tests.support.tables import Model
from tests.support.waiting import wait_until

Settings = dict[str, str]

# Locales of cron, of containers and of old systems; the last two are built here, as few systems have them.
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
LOCALES: dict[str, Settings] = {
    "utf-8": {"LC_ALL": "C.UTF-8"},
    "ascii": ASCII,
    "de_DE.ISO-8859-1": {"LC_ALL": "de_DE.ISO-8859-1"},
    "ja_JP.EUC-JP": {"LC_ALL": "ja_JP.EUC-JP"},
}
KEY = "2019/été I\U0001f600日.tsv"


@pytest.fixture(scope="module")
def made_locales(tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    """A folder with locales that are not UTF-8, or None if they cannot be made."""
    folder = tmp_path_factory.mktemp("locales")
    if shutil.which("localedef") is None:
        return None
    for name in LOCALES:
        language, _, encoding = name.partition(".")
        if encoding:
            command = ["localedef", "-i", language, "-f", encoding, str(folder / name)]
            if subprocess.run(command, check=False, capture_output=True).returncode > 1:  # 1 is a warning
                return None
    return folder


@pytest.fixture(params=LOCALES)
def surroundings(request: pytest.FixtureRequest, made_locales: Path | None) -> Settings:
    """The settings of one locale."""
    settings = LOCALES[request.param]
    if "." in request.param:
        if made_locales is None:
            pytest.skip("the locale cannot be made here")
        return {**settings, "LOCPATH": str(made_locales), "PYTHONUTF8": "0"}
    return settings


def run(
    *arguments: str, cwd: Path, settings: Settings, lake: str, database: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run the command with these settings; its output must be UTF-8."""
    named = {"LAKE_URL": lake, "DATABASE_URL": database, "DATABASE_WAIT": "5", **settings}
    done = subprocess.run(
        [sys.executable, str(ROOT / "run.py"), *arguments],
        check=False, capture_output=True, encoding="utf-8", cwd=cwd, env={**os.environ, **named},
    )  # fmt: skip
    assert "Traceback" not in done.stdout + done.stderr
    return done


@pytest.mark.slow
def test_a_file_has_one_key_in_every_locale(tmp_path: Path, database: str, surroundings: Settings) -> None:
    lake, bad = tmp_path / "läke", "é\t日\n".encode()
    write_lake(lake, {KEY: HEADER + CLICK * 3 + bad, "b.tsv": HEADER + CLICK, "ü.tsv.gz": b"no gzip"})
    before = run("--json", cwd=tmp_path, settings=LOCALES["utf-8"], lake=str(lake), database=database)
    assert (before.returncode, read_result(before)["files_counted"]) == (1, 2)
    for place, name in ((lake, "."), (tmp_path, "läke"), (tmp_path, f"{tmp_path}/läke/")):
        done = run("--json", cwd=place, settings=surroundings, lake=name, database=database)
        assert (done.returncode, read_result(done)["files_unchanged"]) == (1, 2)
        assert done.stderr.startswith("not counted ü.tsv.gz: ")
    (lake / "ü.tsv.gz").unlink()
    shutil.rmtree(lake / "report")

    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        return run(*arguments, cwd=tmp_path, settings=surroundings, lake="läke", database=database)

    assert command("verify").returncode == 0
    assert f"{lake}" in command("status").stdout
    assert KEY in command("explain", "a1").stdout
    listed = command("rejected", KEY, "--tsv").stdout
    printed = subprocess.run(["printf", "%b", listed.splitlines()[1].split("\t")[3]], check=True, capture_output=True)
    assert (listed.count(KEY), printed.stdout + b"\n") == (1, bad)
    forgotten = command("forget", KEY)
    assert (forgotten.returncode, forgotten.stdout) == (0, f"forgotten {KEY}\n")
    some = command("--json", "--until", "2019/étd")
    assert (some.returncode, read_result(some)["files_counted"]) == (0, 0)
    again = command("--workers", "2", "--lake", "läke", "--since", "2019/été", "--until", "2019/été I")
    assert (again.returncode, again.stderr) == (0, "")
    assert f"counted {KEY}: 3 events, 1 line rejected\n" in again.stdout
    assert command("--rebuild", "--metrics", "é\U0001f600日.prom").returncode == 0
    assert (tmp_path / "é\U0001f600日.prom").exists()
    Model().check(database, contents(lake))


def test_a_watch_names_files_by_the_same_keys(tmp_path: Path, database: str, surroundings: Settings) -> None:
    lake = tmp_path / "läke"
    write_lake(lake, {"b.tsv": HEADER + CLICK})
    with Run("watch", "--interval", "9999", lake=lake, database=database, **surroundings) as running:
        count = "select count(*) from state.lake_files where fingerprint is not null"
        wait_until(lambda: ask(database, "select to_regclass('state.lake_files')") != [(None,)])
        wait_until(lambda: ask(database, count) == [(1,)])
        write_lake(lake, {KEY: HEADER + CLICK})
        wait_until(lambda: ask(database, count) == [(2,)])
        running.process.terminate()
        assert running.end() == 0
    Model().check(database, contents(lake))


def test_a_name_that_is_not_utf8_is_reported_in_every_locale(
    tmp_path: Path, database: str, surroundings: Settings
) -> None:
    (tmp_path / os.fsdecode(b"\xe9.tsv")).write_bytes(HEADER)
    (tmp_path / "é.tsv").write_bytes(HEADER)
    done = run("--json", cwd=tmp_path, settings=surroundings, lake=".", database=database)
    assert (done.returncode, read_result(done)["files_counted"], read_result(done)["files_failed"]) == (1, 1, 1)
    assert done.stderr.startswith(r"not counted \udce9.tsv (escaped): its name contains a NUL or is not valid UTF-8")


def test_the_database_is_named_in_utf8(tmp_path: Path, database: str, surroundings: Settings) -> None:
    wrong = re.sub("/test_[0-9a-f]+", "/ä日", database)
    for settings, words in (({"DATABASE_URL": wrong}, ()), ({}, ("--database", wrong))):
        done = run(*words, cwd=tmp_path, settings={**surroundings, **settings}, lake=".", database=database)
        assert 'database "ä日" does not exist' in done.stderr


@pytest.mark.parametrize("words", [["--help"], ["watch", "--help"], ["é"], ["--since", "é"]])
def test_output_never_fails_with_a_traceback(words: list[str], tmp_path: Path) -> None:
    for settings in (ASCII, LOCALES["utf-8"]):
        done = run(*words, cwd=tmp_path, settings=settings, lake="é")
        assert done.returncode == (2 if "é" in words else 0)
        assert done.stdout + done.stderr


@pytest.mark.parametrize("zone", ["America/New_York", "Pacific/Kiritimati", "XXX+13", "nowhere"])
def test_days_are_utc_in_every_time_zone(zone: str, tmp_path: Path, database: str) -> None:
    lines = CLICK.replace(b"10:00:00", b"00:00:00") + CLICK.replace(b"10:00:00", b"23:59:59")
    write_lake(tmp_path / "lake", {"2019-02-15.tsv": HEADER + lines})
    settings = {"TZ": zone, "PGTZ": "Asia/Tokyo", "PGDATESTYLE": "German"}
    done = run("--json", cwd=tmp_path, settings=settings, lake="lake", database=database)
    assert done.returncode == 0
    Model().check(database, contents(tmp_path / "lake"))
    status = run("status", "--json", cwd=tmp_path, settings=settings, lake="lake", database=database).stdout
    assert "+00:00" in status
    assert "+09:00" not in status


@pytest.mark.parametrize("mask", [0o077, 0o027, 0o000])
def test_a_run_works_under_every_umask(mask: int, tmp_path: Path, database: str) -> None:
    write_lake(tmp_path / "lake", {"a.tsv": HEADER + CLICK})
    before = os.umask(mask)
    try:
        done = run("--workers", "2", cwd=tmp_path, settings={}, lake="lake", database=database)
    finally:
        os.umask(before)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "report" / "index.html").stat().st_mode & 0o777 == 0o666 & ~mask


def test_modules_in_the_current_folder_are_not_imported(tmp_path: Path, database: str) -> None:
    write_lake(tmp_path / "lake", {f"{n}.tsv": HEADER + CLICK for n in range(4)})
    for name in ("signal", "orjson", "tempfile", "pickle", "processor", "state"):
        (tmp_path / f"{name}.py").write_text("import os\nos.mkdir('taken')\n", encoding="utf-8")
    done = run("--workers", "2", cwd=tmp_path, settings={}, lake="lake", database=database)
    assert (done.returncode, done.stderr) == (0, "")
    assert not (tmp_path / "taken").exists()
    assert (tmp_path / "report" / "click_through_rate.png").exists()


def test_a_deleted_current_folder_is_a_wrong_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    before = Path.cwd()
    monkeypatch.chdir(gone)
    gone.rmdir()
    try:
        with pytest.raises(LakeSettingError, match="LAKE_URL is not a path to a folder"):
            open_lake("lake")
    finally:
        os.chdir(before)


def test_a_run_in_a_deleted_current_folder_ingests_without_a_report(tmp_path: Path, database: str) -> None:
    write_lake(tmp_path / "lake", {"a.tsv": HEADER + CLICK})
    gone = tmp_path / "gone"
    gone.mkdir()
    words = ["sh", "-c", 'rmdir "$PWD" && exec "$@"', "sh", sys.executable, str(ROOT / "run.py")]
    settings = {**os.environ, "LAKE_URL": str(tmp_path / "lake"), "DATABASE_URL": database}
    settings |= {"METRICS": "m.prom"}
    for command in ([], ["forget", "a.tsv"], ["doctor"]):
        gone.mkdir(exist_ok=True)
        done = subprocess.run(
            [*words, *command], cwd=gone, env=settings, check=False, capture_output=True, encoding="utf-8"
        )
        assert (done.returncode, "Traceback" in done.stderr) == (int(command == ["doctor"]), False), done.stderr
        if command != ["forget", "a.tsv"]:
            assert re.search("report cannot be written|the current folder cannot be", done.stderr + done.stdout)


def test_a_relative_lake_below_a_folder_that_is_not_utf8_is_a_wrong_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = tmp_path / os.fsdecode(b"\xe9")
    (odd / "lake").mkdir(parents=True)
    monkeypatch.chdir(odd)
    with pytest.raises(LakeSettingError, match="path is not valid UTF-8; rename the folder"):
        open_lake("lake")


def test_bytes_become_text_and_the_same_bytes() -> None:
    for raw in (b"", "é日\U0001f600".encode(), b"\xff\xe9", bytes(range(1, 256))):
        assert encode_utf8(decode_utf8(raw)) == raw
    assert decode_utf8("é".encode()) == "é"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A folder for an embedded server, below one whose name is not ASCII."""
    folder = Path(f"/tmp/évents-{os.getpid()}")  # noqa: S108 sockets need a short path that other accounts can enter
    folder.mkdir(mode=0o755)
    yield folder / "home"
    embedded.stop(folder / "home")
    shutil.rmtree(folder)
    del tmp_path


EMBEDDED = """
import sys
from pathlib import Path
import psycopg2
from state import embedded
with embedded.open_server(sys.argv[2], Path(sys.argv[1])) as uri:
    connection = psycopg2.connect(uri)
    cursor = connection.cursor()
    cursor.execute("select current_database(), shobj_description(oid, 'pg_database') from pg_database"
        " where datname = current_database()")
    print(ascii(cursor.fetchone()))
"""


def test_an_embedded_server_is_found_in_every_locale(home: Path, made_locales: Path | None) -> None:
    latin = {
        "LC_ALL": "de_DE.ISO-8859-1",
        "LOCPATH": str(made_locales),
        "PYTHONUTF8": "0",
        "PGCLIENTENCODING": "LATIN1",
    }
    said = set()
    with embedded.open_server("s3://lake/x/", home):  # other processes find it running
        for settings in (LOCALES["utf-8"], ASCII, *([latin] if made_locales else [])):
            done = subprocess.run(
                [sys.executable, "-c", EMBEDDED, str(home), "s3://lake/x/"],
                check=False, capture_output=True, encoding="utf-8", cwd=ROOT, env={**os.environ, **settings},
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            said.add(done.stdout)
    assert len(said) == 1


def test_the_interpreter_warns_if_text_is_read_by_the_locale(tmp_path: Path) -> None:
    for words in ("open('x', 'w')", "from pathlib import Path; Path('x').write_text('x')"):
        command = [sys.executable, "-c", words]
        done = subprocess.run(command, check=False, capture_output=True, encoding="utf-8", cwd=tmp_path)
        assert (done.returncode, "EncodingWarning" in done.stderr) == (1, True)
