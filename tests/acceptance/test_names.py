"""Files, folders and lakes with odd names are ingested or reported, and nothing outside the lake is read."""

import os
import stat
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from processor.formats import make_printable
from processor.lake.base import LakeError, LakeSettingError
from processor.lake.keys import escape_unstorable, is_lake_file
from processor.lake.open_lake import open_lake
from processor.lake.text import read_text
from tests.support.accounts import as_nobody
from tests.support.event_files import CLICK, HEADER
from tests.support.lake_folders import contents, write_lake
from tests.support.program_runs import read_result, run
from tests.support.tables import Model

ODD_NAMES = [
    "a b+c",
    "100%",
    "%41",
    "%s%(key)s",
    "'; drop table lake_files; --",
    'a"b',
    "$(touch x)`",
    ":smile: [red]",
    "<b>&amp;",
    "a\\b",
    "~",
    "..",
    "a?b#c",
    "\ufeff\u202etsv.",
    "\U0001f600é e\u0301",
    "\x01\x1b[31m\x7f\x9b",
    "\r",
    "\ufffe",
    "-rf",
    "k" * 240,
]


HIDDEN = [
    ".a.tsv",
    "_a.tsv",
    ".hidden/a.tsv",
    "_temporary/0/a.tsv",
    "2019/_temporary/a.tsv",
    "2019/.a/b/a.tsv",
    "lost+found/a.tsv",
    "2019/lost+found/b/a.tsv",
]
NEARLY_HIDDEN = ["a.b/a.tsv", "a_/a.tsv", "lost+found.tsv", "lost+found2/a.tsv", "Lost+Found/a.tsv"]


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], object]]:
    """A function that puts an object into a bucket of an S3 server; the settings name the server."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    client, name = boto3.client("s3", region_name="us-east-1"), f"lake-{uuid.uuid4().hex}"
    client.create_bucket(Bucket=name)
    monkeypatch.setenv("LAKE_URL", f"s3://{name}/p/")
    yield lambda key: client.put_object(Bucket=name, Key=f"p/{key}", Body=HEADER + CLICK)
    server.stop()


def test_files_of_any_name_are_ingested_and_forgotten(tmp_path: Path, database: str) -> None:
    lake = tmp_path / "lake 100% 'x'"
    deep = "d" * 200 + "/"
    keys = [f"{name}.tsv" for name in [*ODD_NAMES, "a\nb"]] + [f"{deep * 15}a.tsv", "t../a_/-b/a.tsv", *HIDDEN]
    for key in keys:
        (lake / key).parent.mkdir(parents=True, exist_ok=True)
        (lake / key).write_bytes(HEADER + CLICK)
    done = run(lake=lake, database=database)
    assert done.returncode == 0
    assert done.stdout.replace("\n", "").isprintable()
    hidden = {"...tsv", *HIDDEN}
    Model().check(database, contents(lake))
    for key in keys:
        assert (f"counted {make_printable(key)}: 1 event\n" in done.stdout) is (key not in hidden)
    key = "\x01\x1b[31m\x7f\x9b.tsv"
    forgotten = run("forget", "--", key, lake=lake, database=database)
    assert (forgotten.returncode, forgotten.stdout) == (0, f"forgotten {make_printable(key)}\n")


def test_objects_of_any_name_are_ingested(s3: Callable[[str], object], database: str) -> None:
    keys = [f"{name}.tsv" for name in [*ODD_NAMES, "/d", "e//e", "\ufffe"]] + ["k" * 1015 + ".tsv"]
    for key in (*keys, "../x.tsv", "y/../y.tsv", "./z.tsv"):
        s3(key)
    done = run(lake=os.environ["LAKE_URL"], database=database)
    assert (done.returncode, done.stderr) == (0, "")
    Model().check(database, dict.fromkeys(keys, HEADER + CLICK))


def test_an_object_whose_name_contains_a_nul_is_reported(s3: Callable[[str], object], database: str) -> None:
    for key in ("n\0l.tsv", "a.tsv"):
        s3(key)
    done = run("--json", lake=os.environ["LAKE_URL"], database=database)
    assert (done.returncode, read_result(done)["files_counted"], read_result(done)["files_failed"]) == (1, 1, 1)
    assert r"not counted n\x00l.tsv (escaped): its name contains a NUL or is not valid UTF-8; rename it" in done.stderr


def test_a_name_that_is_not_utf8_is_reported(tmp_path: Path, database: str) -> None:
    name = os.fsdecode(b"\xff\xfe.tsv")
    for path in (tmp_path / name, tmp_path / "a.tsv"):
        path.write_bytes(HEADER + CLICK)
    line = r"not counted \udcff\udcfe.tsv (escaped): its name contains a NUL or is not valid UTF-8; rename it"
    for counted in (1, 0):
        done = run("--json", lake=tmp_path, database=database)
        result = read_result(done)
        assert (done.returncode, result["files_counted"], result["files_failed"]) == (1, counted, 1)
        assert line in done.stderr
    assert run("verify", lake=tmp_path, database=database).returncode == 1
    assert run("forget", name, lake=tmp_path, database=database).returncode == 0
    (tmp_path / name).rename(tmp_path / "b.tsv")
    assert run(lake=tmp_path, database=database).returncode == 0
    Model().check(database, contents(tmp_path))


def test_a_folder_whose_name_is_not_utf8_hides_no_other(tmp_path: Path) -> None:
    for folder in ("fine", os.fsdecode(b"\xff")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.tsv").write_bytes(HEADER)
    assert {file.key: file.error is None for file in open_lake(str(tmp_path)).list_files()} == {
        "fine/a.tsv": True,
        escape_unstorable(os.fsdecode(b"\xff/a.tsv")): False,
    }


def test_links_are_not_followed_out_of_the_lake(tmp_path: Path) -> None:
    lake, outside = tmp_path / "lake", tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.tsv").write_bytes(HEADER)
    lake.mkdir()
    (lake / "a.tsv").write_bytes(HEADER)
    (lake / "inside.tsv").symlink_to("a.tsv")
    (lake / "outside.tsv").symlink_to(outside / "secret.tsv")
    (lake / "above.tsv").symlink_to("../outside/secret.tsv")
    (tmp_path / "lake2").mkdir()
    (tmp_path / "lake2" / "secret.tsv").write_bytes(HEADER)
    (lake / "beside.tsv").symlink_to("../lake2/secret.tsv")
    (lake / "folder").symlink_to(outside)
    (lake / "loop").symlink_to(lake)
    (lake / "itself.tsv").symlink_to("itself.tsv")
    (lake / "nowhere.tsv").symlink_to("nowhere")
    (lake / "folder.tsv").mkdir()
    os.mkfifo(lake / "pipe.tsv")
    assert sorted(file.key for file in open_lake(str(lake)).list_files()) == ["a.tsv", "inside.tsv"]


def test_a_lake_may_be_deeper_than_python_recurses(open_folder: Path) -> None:
    before = Path.cwd()
    os.chdir(open_folder)
    try:
        for _ in range(1500):
            Path("d").mkdir()
            os.chdir("d")
        Path("a.tsv").write_bytes(HEADER)
        (file,) = open_lake(str(open_folder)).list_files()
        assert b"".join(read_text(open_lake(str(open_folder)), file)) == HEADER
    finally:
        os.chdir(before)


@pytest.mark.parametrize("above", ["lake", ".lake", "_lake/lost+found"])
def test_hidden_files_are_ignored_but_a_lake_below_a_hidden_folder_is_not(tmp_path: Path, above: str) -> None:
    write_lake(tmp_path / above, dict.fromkeys(HIDDEN + NEARLY_HIDDEN, HEADER))
    (tmp_path / "outside.tsv").write_bytes(HEADER)
    lake = open_lake(str(tmp_path / above))
    assert lake.find(str(tmp_path / "outside.tsv")) is None
    assert sorted(file.key for file in lake.list_files()) == sorted(NEARLY_HIDDEN)
    assert [key for key in HIDDEN + NEARLY_HIDDEN if lake.find(key)] == NEARLY_HIDDEN


def test_hidden_objects_are_ignored_but_a_lake_below_a_hidden_prefix_is_not(s3: Callable[[str], object]) -> None:
    for key in HIDDEN + NEARLY_HIDDEN:
        s3(f"_x/.y/lost+found/{key}")
    lake = open_lake(f"{os.environ['LAKE_URL']}_x/.y/lost+found/")
    assert sorted(file.key for file in lake.list_files()) == sorted(NEARLY_HIDDEN)
    assert [key for key in HIDDEN + NEARLY_HIDDEN if lake.find(key)] == NEARLY_HIDDEN


@pytest.mark.parametrize("name", [".shut", "_shut", "lost+found", "a/lost+found"])
def test_a_hidden_folder_is_not_even_listed(name: str, open_folder: Path) -> None:
    (open_folder / name).mkdir(mode=0, parents=True)
    (open_folder / "a.tsv").write_bytes(HEADER)
    with as_nobody():
        assert [file.key for file in open_lake(str(open_folder)).list_files()] == ["a.tsv"]


@pytest.mark.parametrize(
    ("key", "is_one"),
    [
        ("a.tsv", True), ("a/b.tsv.gz", True), ("a/b.tsv.zst", True), ("a.tsv.bz2", False), ("a.txt", False),
        ("", False), ("tsv", False), ("a.TSV", False), ("_a/b.tsv", False), ("a/.b.tsv", False),
        ("a/lost+found/b.tsv", False),
    ],
)  # fmt: skip
def test_a_lake_file_has_a_suffix_and_no_hidden_part(key: str, is_one: bool) -> None:
    assert is_lake_file(key) == is_one


def test_a_fingerprint_distinguishes_a_nanosecond_and_a_byte(tmp_path: Path) -> None:
    found = set()
    for data, time in ((b"a", 1), (b"b", 2), (b"ab", 1), (b"a", 1_000_000_001)):
        (tmp_path / "a.tsv").write_bytes(data)
        os.utime(tmp_path / "a.tsv", ns=(time, time))
        found.add(next(open_lake(str(tmp_path)).list_files()).fingerprint)
    assert len(found) == 4


def test_a_lake_may_be_below_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write_lake(tmp_path, {"é/a.tsv": HEADER})
    lake = open_lake("~/é")
    assert (lake.url, [file.key for file in lake.list_files()]) == (f"{tmp_path}/é", ["a.tsv"])


@pytest.mark.parametrize("mode", [0, stat.S_IXUSR])
def test_a_folder_that_cannot_be_listed_ends_the_listing(mode: int, open_folder: Path) -> None:
    (open_folder / "shut").mkdir(mode=mode)
    with as_nobody(), pytest.raises(LakeError, match=r"shut cannot be listed \(Permission denied\); make it readable"):
        list(open_lake(str(open_folder)).list_files())


def test_a_folder_that_is_deleted_while_it_is_listed_is_ignored(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.tsv").write_bytes(HEADER)
    files = open_lake(str(tmp_path)).list_files()
    first = next(files).key
    other = tmp_path / ("b" if first.startswith("a") else "a")
    (other / "x.tsv").unlink()
    other.rmdir()
    assert list(files) == []


def test_a_file_that_cannot_be_opened_is_reported(open_folder: Path) -> None:
    (open_folder / "a.tsv").write_bytes(HEADER)
    (open_folder / "a.tsv").chmod(0)
    with as_nobody():
        lake = open_lake(str(open_folder))
        (file,) = lake.list_files()
        with pytest.raises(Exception, match=r"it cannot be opened \(Permission denied\); make it readable"):
            list(read_text(lake, file))


WRONG_LAKES = [
    "",
    "s3://",
    "s3:///a/",
    "s3://[",
    "s3://a b/",
    "s3://lake?x",
    "S3://lake/",
    "ftp://user:hidden@host/",
    "s3://AKIA:hidden@lake/",
    "postgresql://user:hidden@host/db",
    "https://lake.s3.amazonaws.com/?X-Amz-Signature=hidden",
    "~nobody-of-this-name/x",
    "x" * 300,
    "x/" * 3000,
    "/no/such/folder",
    os.fsdecode(b"/tmp/\xff"),
    "/dev/null",
]


@pytest.mark.parametrize("url", WRONG_LAKES, ids=range(len(WRONG_LAKES)))
def test_an_impossible_lake_is_a_wrong_setting(url: str) -> None:
    with pytest.raises(LakeSettingError) as raised:
        list(open_lake(url).list_files())
    assert "hidden" not in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("url", ["s3://lake/a?b", "s3://lake/a#b", "s3://l", "s3://la ke/a", "s3://-lake/", "s3:///a"])
def test_an_s3_url_is_a_bucket_and_a_prefix(url: str) -> None:
    with pytest.raises(LakeSettingError, match="LAKE_URL must have the form s3://bucket/prefix/"):
        open_lake(url)
    assert open_lake("s3://Lake.0-_x/a b").url == "s3://Lake.0-_x/a b/"


def test_a_run_over_an_empty_lake_succeeds(tmp_path: Path, database: str) -> None:
    done = run("--json", lake=tmp_path, database=database)
    assert (done.returncode, read_result(done)["files_counted"]) == (0, 0)
