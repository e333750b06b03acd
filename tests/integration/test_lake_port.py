"""What every lake promises: the same cases for a folder, for S3, and for S3 that is read ahead."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import boto3
import pytest

from processor.lake.base import ChangedError, Files, Lake, LakeFile, LakeSettingError, Stream
from processor.lake.open_lake import open_lake
from processor.lake.read_ahead import ReadAhead
from tests.support.proxies import put

DATA = bytes(range(256)) * 4096
OTHER = DATA[::-1]
BLOCK_BYTES = 100_000
ODD_NAMES = ["ä ö.tsv", "a+b &=%41.tsv", "year=2019/'q\"<>.tsv.gz", "x/~!*().tsv.zst", "日本/ü.tsv"]
# Of these, only the last two are lake files.
HIDDEN_NAMES = ["_a.tsv", ".a.tsv", "_temporary/0/a.tsv", "x/.b/a.tsv", "lost+found/a.tsv", "a.csv", "tsv", "a.tsv.bz2"]
NEARLY_HIDDEN_NAMES = ["a_.tsv", "x/found+lost/a.tsv"]


@dataclass
class Place:
    """The place of a lake's files."""

    lake: Lake
    reader: Files  # how its files are opened
    write: Callable[[str, bytes], None]
    delete: Callable[[str], None]

    def files(self) -> dict[str, LakeFile]:
        """Return the lake's files by their keys."""
        files = list(self.lake.list_files())
        assert len({file.key for file in files}) == len(files)
        if isinstance(self.reader, ReadAhead):
            self.reader.expect(files)
        return {file.key: file for file in files}


def folder_place(folder: Path) -> Place:
    """A lake in a folder."""

    def write(name: str, data: bytes) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            time.sleep(0.02)  # longer than the resolution of modification times
        path.write_bytes(data)

    folder.mkdir()
    lake = open_lake(str(folder))
    return Place(lake, lake, write, lambda name: (folder / name).unlink())


def s3_place(endpoint: str) -> Place:
    """A lake in S3."""

    def delete(name: str) -> None:
        boto3.client("s3", endpoint_url=endpoint).delete_object(Bucket="events", Key=f"lake/{name}")

    put(endpoint, "lake2/outside.tsv", DATA)
    lake = open_lake("s3://events/lake/")
    return Place(lake, lake, lambda name, data: put(endpoint, f"lake/{name}", data), delete)


@pytest.fixture(params=["folder", "s3", "s3, read ahead"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """An empty lake of each kind."""
    if request.param == "folder":
        yield folder_place(tmp_path / "lake")
        return
    place = s3_place(request.getfixturevalue("bucket"))
    if request.param == "s3":
        yield place
        return
    with closing(ReadAhead(place.lake)) as place.reader:
        yield place


def read_all(stream: Stream) -> bytes:
    """Return all bytes of a stream, read in blocks."""
    with closing(stream):
        blocks = list(iter(lambda: stream.read(BLOCK_BYTES), b""))
        assert stream.read(BLOCK_BYTES) == b""
    assert all(len(block) <= BLOCK_BYTES for block in blocks)
    return b"".join(blocks)


def test_an_empty_lake_lists_no_files(place: Place) -> None:
    assert place.files() == {}
    assert place.lake.find("a.tsv") is None


def test_every_lake_file_is_listed_with_its_size_and_found(place: Place) -> None:
    names = ["a.tsv", "b.tsv.gz", "c.tsv.zst", "x/a.tsv", "x/y/z/a.tsv", "x-a.tsv", "empty.tsv"]
    for name in names:
        place.write(name, DATA[: 10 * len(name)] if name != "empty.tsv" else b"")
    files = place.files()
    assert {key: file.size for key, file in files.items()} == {
        name: 10 * len(name) if name != "empty.tsv" else 0 for name in names
    }
    assert [place.lake.find(name) for name in names] == [files[name] for name in names]
    assert all(file.error is None and file.fingerprint for file in files.values())
    assert [place.lake.find(name) for name in ("b.tsv", "x", "x/", "x/y/a.tsv", "a.tsv/b.tsv", "outside.tsv")] == [
        None
    ] * 6


def test_hidden_files_and_other_files_are_ignored(place: Place) -> None:
    for name in HIDDEN_NAMES + NEARLY_HIDDEN_NAMES:
        place.write(name, b"x")
    assert set(place.files()) == set(NEARLY_HIDDEN_NAMES)
    assert [name for name in HIDDEN_NAMES + NEARLY_HIDDEN_NAMES if place.lake.find(name)] == NEARLY_HIDDEN_NAMES


def test_odd_names_are_keys_as_they_are(place: Place) -> None:
    for name in ODD_NAMES:
        place.write(name, name.encode())
    files = place.files()
    assert set(files) == set(ODD_NAMES)
    for name in ODD_NAMES:
        assert place.lake.find(name) == files[name]
        assert read_all(place.reader.open(files[name])) == name.encode()


def test_a_fingerprint_changes_with_the_content_and_only_then(place: Place) -> None:
    for name in ("a.tsv", "b.tsv"):
        place.write(name, DATA)
    first = place.files()
    assert place.files() == first
    place.write("a.tsv", OTHER)
    second = place.files()
    assert second["a.tsv"].fingerprint != first["a.tsv"].fingerprint
    assert second["b.tsv"] == first["b.tsv"]
    assert place.lake.find("a.tsv") == second["a.tsv"]
    place.delete("b.tsv")
    assert set(place.files()) == {"a.tsv"}
    assert place.lake.find("b.tsv") is None


def test_any_byte_range_is_read(place: Place) -> None:
    place.write("a.tsv", DATA)
    file, end = place.files()["a.tsv"], len(DATA)
    for start, stop in (
        (0, None),
        (0, 1),
        (300_001, 700_003),
        (end - 1, None),
        (5, 5),
        (end - 9, 2 * end),
        (end, None),
    ):
        assert read_all(place.reader.open(file, start, stop)) == DATA[start:stop]
        with closing(place.reader.open(file, start, stop)) as stream:
            assert stream.read(0) == b""
            assert DATA[start:stop].startswith(stream.read(10))


def test_an_empty_file_has_no_bytes(place: Place) -> None:
    place.write("a.tsv", b"")
    assert read_all(place.reader.open(place.files()["a.tsv"])) == b""


def test_a_stream_may_be_closed_early_and_twice(place: Place) -> None:
    place.write("a.tsv", DATA)
    file = place.files()["a.tsv"]
    unread, begun = place.reader.open(file), place.reader.open(file)
    assert DATA.startswith(begun.read(10))
    for stream in (unread, begun, begun):
        stream.close()


@pytest.mark.parametrize("change", ["same size", "grown", "cut", "deleted"])
def test_another_version_than_the_listed_one_is_refused(place: Place, change: str) -> None:
    place.write("a.tsv", DATA)
    (file,) = place.lake.list_files()  # read ahead would already have fetched the listed version
    if change == "deleted":
        place.delete("a.tsv")
    else:
        place.write("a.tsv", {"same size": OTHER, "grown": DATA + DATA, "cut": DATA[:1000]}[change])
    for start, stop in ((0, None), (10, 20)):
        with pytest.raises(ChangedError):
            read_all(place.reader.open(file, start, stop))


@pytest.mark.parametrize("change", ["same size", "grown", "cut", "deleted"])
def test_no_bytes_of_two_versions_are_mixed_while_a_file_is_read(place: Place, change: str) -> None:
    place.write("a.tsv", DATA)
    file = place.files()["a.tsv"]
    with closing(place.reader.open(file)) as stream:
        found = stream.read(BLOCK_BYTES)
        if change == "deleted":
            place.delete("a.tsv")
        else:
            place.write("a.tsv", {"same size": OTHER, "grown": DATA + DATA, "cut": DATA[:1000]}[change])
        try:
            while block := stream.read(BLOCK_BYTES):
                found += block
        except ChangedError:
            assert DATA.startswith(found)
        else:
            assert found == DATA


def test_a_replaced_file_is_read_once_it_is_listed_again(place: Place) -> None:
    place.write("a.tsv", DATA)
    place.files()
    place.write("a.tsv", OTHER)
    assert read_all(place.reader.open(place.files()["a.tsv"])) == OTHER


def test_files_are_read_side_by_side(place: Place) -> None:
    for name, data in (("a.tsv", DATA), ("b.tsv", OTHER)):
        place.write(name, data)
    files = place.files()
    with closing(place.reader.open(files["a.tsv"])) as first, closing(place.reader.open(files["b.tsv"])) as second:
        assert first.read(1) == DATA[:1]
        assert read_all(place.reader.open(files["a.tsv"])) == DATA
        assert second.read(1) == OTHER[:1]
        assert DATA[1:].startswith(first.read(1000))


def test_the_url_opens_the_same_lake_again(place: Place) -> None:
    place.write("x/a.tsv", DATA)
    again = open_lake(place.lake.url)
    assert again.url == place.lake.url
    assert list(again.list_files()) == list(place.lake.list_files())
    assert os.sep in again.url


def test_a_lake_says_how_it_is_read_and_whether_that_is_safe(place: Place) -> None:
    place.write("a.tsv", DATA)
    place.files()
    assert place.lake.describe_access().startswith("read ")
    assert place.lake.describe_weak_fingerprints() is None
    assert place.reader.is_remote is place.lake.is_remote is place.lake.url.startswith("s3://")
    assert (place.reader.url, place.reader.settings) == (place.lake.url, place.lake.settings)


def test_a_lake_notifies_in_its_own_way_and_refuses_what_cannot_notify(place: Place) -> None:
    warned: list[str] = []
    with closing(place.lake.open_notifications("", warned.append)) as notifications:
        notifications.restart()
        assert notifications.wait(0) == []
        notifications.acknowledge({"a.tsv"})
    assert warned == []
    with pytest.raises(LakeSettingError, match="QUEUE_URL"):
        place.lake.open_notifications("no-queue", warned.append)
