"""Small objects are fetched ahead, up to a limit; an error is raised where the object is opened."""

import io
import threading
from contextlib import closing

import pytest

from processor.lake.base import ChangedError, LakeFile, LakeSettings, Stream
from processor.lake.open_lake import open_lake
from processor.lake.read_ahead import MAX_OBJECT_BYTES, ReadAhead
from tests.support.waiting import wait_until

FILES = [LakeFile(f"{n:02}.tsv", "1-1", 10) for n in range(40)]


class Objects:
    """Files of a lake that records which were opened, and answers once it may."""

    url, settings, is_remote = "s3://made/", LakeSettings(objects_ahead=5), True

    def __init__(self) -> None:
        self.opened: list[str] = []
        self.may_answer = threading.Event()
        self.may_answer.set()

    def open(self, file: LakeFile, start: int = 0, stop: int | None = None) -> Stream:
        self.opened.append(file.key)
        self.may_answer.wait()
        if file.key == "07.tsv":
            raise ChangedError("it was replaced")
        return io.BytesIO(f"{file.key} {start} {stop}".encode())


@pytest.fixture
def objects() -> Objects:
    return Objects()


def test_expected_objects_are_fetched_at_once_up_to_the_setting(objects: Objects) -> None:
    objects.may_answer.clear()
    with closing(ReadAhead(objects)) as ahead:
        ahead.expect(FILES)
        wait_until(lambda: len(objects.opened) == 5)
        assert sorted(objects.opened) == [file.key for file in FILES[:5]]
        objects.may_answer.set()
        assert ahead.open(FILES[0]).read() == b"00.tsv 0 None"
        wait_until(lambda: len(objects.opened) == 6)
        assert objects.opened[5] == "05.tsv"


def test_every_object_is_fetched_once(objects: Objects) -> None:
    with closing(ReadAhead(objects)) as ahead:
        ahead.expect(FILES)
        for file in FILES:
            if file.key == "07.tsv":
                with pytest.raises(ChangedError):
                    ahead.open(file)
            else:
                assert ahead.open(file).read() == f"{file.key} 0 None".encode()
        assert sorted(objects.opened) == [file.key for file in FILES]


def test_skipped_objects_make_room(objects: Objects) -> None:
    with closing(ReadAhead(objects)) as ahead:
        ahead.expect(FILES)
        for file in FILES[4::5]:
            assert ahead.open(file).read() == f"{file.key} 0 None".encode()
        wait_until(lambda: len(objects.opened) == len(FILES))


def test_ranges_large_objects_and_unexpected_objects_are_read_directly(objects: Objects) -> None:
    with closing(ReadAhead(objects)) as ahead:
        large = LakeFile("large.tsv", "1-1", MAX_OBJECT_BYTES + 1)
        ahead.expect([large, FILES[1]])
        wait_until(lambda: objects.opened == ["01.tsv"])
        assert ahead.open(large).read() == b"large.tsv 0 None"
        assert ahead.open(FILES[1], 3, 5).read() == b"01.tsv 3 5"
        assert ahead.open(FILES[2]).read() == b"02.tsv 0 None"
        assert ahead.open(FILES[1]._replace(fingerprint="2-2")).read() == b"01.tsv 0 None"
        assert objects.opened.count("01.tsv") == 3


def test_a_folder_is_not_read_ahead(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("lake")
    (folder / "a.tsv").write_bytes(b"a")
    (file,) = (lake := open_lake(str(folder))).list_files()
    ahead = ReadAhead(lake)
    ahead.expect([file])
    (folder / "a.tsv").unlink()
    with pytest.raises(ChangedError):
        ahead.open(file)
