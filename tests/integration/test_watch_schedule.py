"""When a watch lists, ingests, retries, draws and releases its lock: on a clock of the test, with a real database."""

from collections.abc import Callable, Iterator
from math import inf
from pathlib import Path
from types import SimpleNamespace

import pytest

from processor import backoff, watch
from processor.batches import BatchLimits
from processor.lake.base import LakeError
from processor.lake.selection import Selection
from state.connection import Connection
from state.database import Database
from state.errors import BusyError, DatabaseError, DatabaseUnavailableError, SupersededError
from state.reads import Reads
from state.run import begin_run
from tests.support.database_queries import execute
from tests.support.lake_folders import contents, write_lake
from tests.support.tables import Model
from tests.support.watch_scene import INTERVAL, Clock, FlakyLake, RecordingStore, Scene


@pytest.fixture
def scene(tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """A watch of an empty folder."""
    (tmp_path / "lake").mkdir()
    clock = Clock()
    monkeypatch.setattr(watch, "time", clock)
    monkeypatch.setattr(backoff, "time", clock)
    lake = FlakyLake(tmp_path / "lake")
    with Database(database, wait_seconds=5, is_shared=True) as db, begin_run(db, lake.url) as run:
        yield Scene(database, clock, lake, RecordingStore(run))


def test_the_lake_is_listed_at_intervals(scene: Scene) -> None:
    scene.run(None, None, None)
    assert scene.lake.listings == 3
    # The first report is drawn at once, and nothing is new after it.
    assert scene.notifications.waits == [0.0, INTERVAL, INTERVAL, INTERVAL]
    assert len(scene.drawn) == 1


def test_the_lock_is_released_while_idle(scene: Scene) -> None:
    scene.run(None, None, list)
    turns = scene.store.turns
    assert turns[0] == "release"  # it was held when the watch began
    assert turns[1::2] == ["take"] * (len(turns) // 2)
    assert turns[::2] == ["release"] * (len(turns) // 2 + 1)
    assert len(scene.batches) == len(turns) // 2


@pytest.mark.parametrize(
    ("seconds", "releases"), [(0.0, 0), (watch.HOLD_LOCK_SECONDS / 2, 1), (watch.HOLD_LOCK_SECONDS + 0.1, 3)]
)
def test_the_lock_is_offered_to_others_between_batches(scene: Scene, seconds: float, releases: int) -> None:
    scene.tally.file_seconds = seconds
    scene.write(*"abcd")
    scene.write("a.tsv", "b.tsv", "c.tsv", "d.tsv")()
    scene.run(limits=BatchLimits(rows=1))
    assert scene.clock.slept == [watch.RELEASE_SECONDS] * releases
    assert scene.store.turns[: 3 + 2 * releases] == ["release", "take", *["release", "take"] * releases, "release"]
    assert scene.tally.counts["counted"] == 4
    Model().check(scene.uri, contents(Path(scene.lake.url)))


def test_the_files_of_the_last_turn_that_ingested_any_are_new(scene: Scene) -> None:
    newest: list[list[str]] = []
    reads = Reads(Connection(scene.uri))

    def look() -> list[str]:
        newest.append(sorted(row["key"] for row in reads.report.read_files_of_last_run(9)))
        return []

    scene.tally.file_seconds = watch.HOLD_LOCK_SECONDS + 0.1  # so that the lock is offered within a turn
    scene.write("a.tsv", "b.tsv")()
    scene.run(
        look, scene.write("c.tsv"), look, scene.write("d.tsv", "e.tsv"), look, None, look, limits=BatchLimits(rows=1)
    )
    assert newest == [["a.tsv", "b.tsv"], ["c.tsv"], ["d.tsv", "e.tsv"], ["d.tsv", "e.tsv"]]


def test_a_changed_file_is_tried_at_its_time_and_then_acknowledged(scene: Scene) -> None:
    scene.lake.changing["a.tsv"] = 3
    scene.run(None, scene.write("a.tsv"), None, None, None, list)
    assert scene.notifications.waits[2:5] == [
        watch.CHANGED_PAUSE_SECONDS,
        2 * watch.CHANGED_PAUSE_SECONDS,
        4 * watch.CHANGED_PAUSE_SECONDS,
    ]
    assert scene.notifications.acknowledged == [set(), set(), set(), {"a.tsv"}]
    assert (scene.tally.counts["counted"], scene.tally.errors) == (1, {})
    assert scene.lake.listings == 1
    assert scene.watch._changed.next_at() == inf


def test_a_file_that_cannot_be_read_is_tried_at_the_next_listing_and_later_each_time(scene: Scene) -> None:
    write_lake(Path(scene.lake.url), {"a.tsv": b"no header\n"})
    tried: list[float] = []
    begun = scene.clock.now

    def note() -> None:
        if scene.tally.counts["a.tsv"] > len(tried):
            tried.append(scene.clock.now - begun)

    def step() -> list[str]:
        note()
        scene.clock.now = max(scene.clock.now, scene.watch._listing_at)
        return []

    scene.run(*[step] * 30)
    # At once, at the next listing, and then at the first listing after a pause that doubles each time.
    assert tried == [0, 10, 20, 40, 80, 160]
    assert scene.tally.counts == {"a.tsv": len(tried)}


def test_a_failed_file_is_tried_at_once_if_it_changed(scene: Scene) -> None:
    def broken(text: bytes) -> Callable[[], list[str]]:
        def step() -> list[str]:
            write_lake(Path(scene.lake.url), {"a.tsv": text})
            return ["a.tsv"]

        return step

    scene.run(broken(b"no\n"), lambda: ["a.tsv"], broken(b"none\n"), scene.write("a.tsv"), broken(b"x\n"))
    assert scene.tally.counts == {"a.tsv": 3, "counted": 1}
    assert scene.notifications.acknowledged == [{"a.tsv"}] * 5


def test_a_failure_is_forgotten_with_its_file(scene: Scene) -> None:
    path = Path(scene.lake.url, "a.tsv")
    write_lake(path.parent, {"a.tsv": b"no header\n"})

    def leave() -> list[str]:
        path.rename(path.with_name("kept"))
        scene.clock.now += INTERVAL
        return []

    def return_() -> list[str]:
        assert scene.watch._failed.next_at() == inf
        path.with_name("kept").rename(path)
        return ["a.tsv"]

    scene.run(leave, return_)
    assert scene.tally.counts == {"a.tsv": 2}


def test_an_ingested_file_is_no_longer_a_failure(scene: Scene) -> None:
    write_lake(Path(scene.lake.url), {"a.tsv": b"no header\n"})
    scene.run(scene.write("a.tsv"))
    assert scene.watch._failed.next_at() == scene.watch._changed.next_at() == inf


def test_files_outside_the_selection_are_ignored(scene: Scene) -> None:
    scene.write("2019-02-14.tsv", "2019-02-16.tsv")()
    scene.run(scene.write("2019-02-15.tsv", "2019-02-17.tsv"), selection=Selection("2019-02-16"))
    assert scene.lake.looks == ["2019-02-17.tsv"]
    assert scene.tally.counts == {"counted": 2}
    assert scene.notifications.acknowledged == [{"2019-02-15.tsv", "2019-02-17.tsv"}]


def test_two_notifications_of_a_file_find_it_once(scene: Scene) -> None:
    scene.run(None, lambda: scene.write("a.tsv")() * 2, lambda: ["no.tsv"])
    assert scene.lake.looks == ["a.tsv", "no.tsv"]
    assert scene.notifications.acknowledged == [{"a.tsv"}, {"no.tsv"}]


def test_the_report_is_drawn_while_idle_and_at_most_once_in_an_interval(scene: Scene) -> None:
    begun = scene.clock.now
    scene.run(None, scene.write("a.tsv"), None, scene.write("b.tsv"), None, None)
    assert [at - begun for at in scene.drawn] == [0, INTERVAL, 2 * INTERVAL]


def test_the_report_of_a_lake_that_is_never_idle_is_drawn_too(scene: Scene) -> None:
    begun = scene.clock.now

    def busy() -> list[str]:
        scene.clock.now += INTERVAL / 4
        return scene.write(f"{scene.clock.now}.tsv")()

    scene.run(*[busy] * 30)
    assert len(scene.drawn) >= 2
    gaps = [after - before for before, after in zip(scene.drawn, scene.drawn[1:], strict=False)]
    assert all(INTERVAL <= gap <= 3 * INTERVAL for gap in gaps), (begun, scene.drawn)


@pytest.mark.parametrize(
    ("drawing", "draws"), [(0.0, 2), (watch.LAST_DRAWING_SECONDS - 0.1, 2), (watch.LAST_DRAWING_SECONDS, 1)]
)
def test_the_report_is_drawn_at_the_end_unless_that_takes_long(scene: Scene, drawing: float, draws: int) -> None:
    scene.drawing = drawing
    scene.run(list, scene.write("a.tsv"))
    assert len(scene.drawn) == 1
    scene.watch.end()
    assert (len(scene.drawn), scene.notifications.is_closed) == (draws, True)
    scene.watch.end()
    assert len(scene.drawn) == draws  # nothing is new


@pytest.mark.parametrize(
    "error", [BusyError("busy", "wait"), DatabaseError("refused"), DatabaseUnavailableError("unreachable")]
)
def test_a_report_that_cannot_be_drawn_at_the_end_is_skipped(scene: Scene, error: Exception) -> None:
    scene.run(scene.write("a.tsv"))
    before = len(scene.drawn)
    scene.store.errors.append(error)
    scene.watch.end()
    assert len(scene.drawn) == before


@pytest.mark.parametrize("error", [LakeError("no bucket"), DatabaseError("no right"), BusyError("busy", "wait")])
def test_an_error_before_the_first_listing_ends_a_watch(scene: Scene, error: Exception) -> None:
    if isinstance(error, LakeError):
        scene.lake.errors.append(error)
    else:
        scene.store.errors.append(error)
    scene.run(ends=type(error))
    assert scene.tally.lines == []


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (LakeError("the bucket is unavailable; look"), "the bucket is unavailable; look; watch waits"),
        (DatabaseError("the database is unavailable"), "the database is unavailable; watch waits"),
        (BusyError("another run", "it stops"), "another run; watch waits"),
    ],
)
def test_a_later_error_is_reported_and_waited_for(scene: Scene, error: Exception, line: str) -> None:
    def fails() -> list[str]:
        if isinstance(error, LakeError):
            scene.lake.errors.append(error)
            scene.clock.now += INTERVAL
            return []
        scene.store.errors.append(error)
        return scene.write("a.tsv")()

    scene.run(fails, list)
    assert scene.tally.lines == [line, "watch continues"]
    assert len(scene.clock.slept) == 1
    assert 0 < scene.clock.slept[0] <= backoff.FIRST_SECONDS
    # The lake is listed at once, which finds the files of missed notifications.
    assert scene.lake.listings == (3 if isinstance(error, LakeError) else 2)
    assert scene.tally.counts["counted"] == (0 if isinstance(error, LakeError) else 1)


def test_a_run_that_took_the_database_over_ends_a_watch(scene: Scene) -> None:
    def fails() -> list[str]:
        scene.store.errors.append(SupersededError("another lake"))
        scene.clock.now += INTERVAL
        return []

    scene.run(fails, ends=SupersededError)
    assert scene.tally.lines == []


def test_a_turn_that_fails_releases_the_lock_and_is_not_counted(scene: Scene) -> None:
    scene.drawing_fails = True
    scene.run(list, list)
    assert scene.store.turns.count("take") == scene.store.turns.count("release") - 1
    assert len(scene.batches) == scene.lake.listings


def test_metrics_that_fail_release_the_lock(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    errors = [DatabaseError("no right")]

    def fails(_seconds: float) -> None:
        if errors:
            raise errors.pop()

    monkeypatch.setattr(scene, "batches", SimpleNamespace(append=fails))
    scene.run(list, list)
    assert scene.store.turns[-1] == "release"
    assert scene.store.turns.count("take") == scene.store.turns.count("release") - 1


def test_an_outage_is_reported_once_and_waits_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, lines = Clock(), list[str]()
    monkeypatch.setattr(backoff, "time", clock)
    monkeypatch.setattr("random.uniform", lambda low, high: (low + high) / 2)
    outage = backoff.Backoff(lines.append, "back")
    outage.end()
    assert lines == []
    for _ in range(9):
        outage.report("unavailable")
        outage.wait()
    assert clock.slept == [0.75 * min(backoff.FIRST_SECONDS * 2**n, backoff.MAX_SECONDS) for n in range(9)]
    outage.wait(0.1)
    assert clock.slept[-1] == 0.1
    outage.end()
    outage.end()
    assert lines == ["unavailable", "back"]
    outage.report("again")
    outage.wait()
    assert (lines[-1], clock.slept[-1]) == ("again", 0.75 * backoff.FIRST_SECONDS)
    backoff.Backoff(lines.append, "back").wait()
    assert clock.slept[-1] == 0.75 * backoff.FIRST_SECONDS


def test_a_watch_ends_if_a_newer_program_migrated_the_schema(scene: Scene) -> None:
    def newer() -> list[str]:
        execute(scene.uri, "insert into state.steps (step) values (9999)")
        return scene.write("a.tsv")()

    scene.run(newer, ends=SupersededError)
    assert scene.tally.counts == {}
    assert execute(scene.uri, "select count(*) from state.lake_files") == [(0,)]
    scene.watch.end()
    assert scene.tally.counts == {}
