"""Files that failed are tried again after pauses that grow up to a limit; another version need not wait."""

from processor.lake.base import LakeFile
from processor.retries import Retries

FILE = LakeFile("a.tsv", "1", 9)


def test_a_pause_doubles_up_to_its_end() -> None:
    retries, now, pauses = Retries(0.5, 3.0), 100.0, list[float]()
    for _ in range(5):
        retries.postpone(FILE, now)
        pauses.append(retries[FILE.key].pause)
        assert retries[FILE.key].at == now + pauses[-1]
        now += 10
    assert pauses == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_a_version_waits_until_its_pause_is_over_and_another_does_not() -> None:
    retries = Retries(2.0, 9.0)
    assert not retries.must_wait(FILE, 100.0)
    retries.postpone(FILE, 100.0)
    assert [retries.must_wait(FILE, now) for now in (100.0, 101.9, 102.0)] == [True, True, False]
    assert not retries.must_wait(FILE._replace(fingerprint="2"), 100.0)
    assert not retries.must_wait(FILE._replace(key="b.tsv"), 100.0)


def test_files_are_due_when_their_pause_is_over() -> None:
    retries = Retries(2.0, 9.0)
    for number, key in enumerate("abc"):
        retries.postpone(FILE._replace(key=key), number)
    assert [retries.due(now) for now in (1.9, 2.0, 3.5, 4.0)] == [[], ["a"], ["a", "b"], ["a", "b", "c"]]
    del retries["b"]
    assert retries.due(9.0) == ["a", "c"]
