"""Files that failed are tried again after pauses that grow up to a limit; another version need not wait."""

from math import inf

from processor.lake.base import LakeFile
from processor.postponed_files import PostponedFiles

FILE = LakeFile("a.tsv", "1", 9)


def test_a_pause_doubles_up_to_its_end() -> None:
    postponed, now, pauses = PostponedFiles(0.5, 3.0), 100.0, list[float]()
    for _ in range(5):
        postponed.postpone(FILE, now)
        found = postponed.find(FILE.key)
        assert found is not None
        pauses.append(found.pause)
        assert found.at == postponed.next_at() == now + pauses[-1]
        now += 10
    assert pauses == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_a_version_waits_until_its_pause_is_over_and_another_does_not() -> None:
    postponed = PostponedFiles(2.0, 9.0)
    assert not postponed.must_wait(FILE, 100.0)
    postponed.postpone(FILE, 100.0)
    assert [postponed.must_wait(FILE, now) for now in (100.0, 101.9, 102.0)] == [True, True, False]
    assert not postponed.must_wait(FILE._replace(fingerprint="2"), 100.0)
    assert not postponed.must_wait(FILE._replace(key="b.tsv"), 100.0)


def test_files_are_due_when_their_pause_is_over() -> None:
    postponed = PostponedFiles(2.0, 9.0)
    for number, key in enumerate("abc"):
        postponed.postpone(FILE._replace(key=key), number)
    assert [postponed.due(now) for now in (1.9, 2.0, 3.5, 4.0)] == [[], ["a"], ["a", "b"], ["a", "b", "c"]]
    assert postponed.next_at() == 2.0
    postponed.remove("b")
    postponed.remove("b")
    assert postponed.due(9.0) == ["a", "c"]
    postponed.keep({"b", "c"})
    assert (postponed.due(9.0), postponed.next_at()) == (["c"], 4.0)
    postponed.keep(set())
    assert (postponed.due(9.0), postponed.next_at()) == ([], inf)
