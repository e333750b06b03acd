"""The view `restatements`: which totals a run changed after they had been published, and which files did it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from processor import pipeline
from processor.batches import DEFAULT_BATCH_LIMITS, BatchLimits
from processor.lake.open_lake import open_lake
from processor.plan import Plan
from processor.rebuild import rebuild
from state.database import Database
from state.reads import Reads
from state.run import begin_run
from state.store import Store
from tests.support.database_queries import ask, execute
from tests.support.event_files import HEADER
from tests.support.ingest import SilentTally
from tests.support.oracle import expected
from tests.support.postgres import as_role
from tests.support.restatements import check_restatements, last_run
from tests.support.tables import tables

FRIDAY, SATURDAY = "2019-02-15", "2019-02-16"


def event(
    day: str, user: str, time: str = "12:00:00", attributes: str = '{"id":"a"}', session: str | None = None
) -> bytes:
    """Return a line; unless another session is given, the user's session is that of the day."""
    session = day if session is None else session
    return f"{day} {time}\t{session}\tarticle_viewed\t{user}\t{attributes}\n".encode()


class Scene:
    """A folder, the files that count, and a check of what each run restates."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url, self.time = folder, url, 1_550_000_000
        self.lake: dict[str, bytes] = {}
        self.counted: dict[str, bytes] = {}

    def put(self, key: str, *lines: bytes) -> None:
        self.time += 1
        self.lake[key] = HEADER + b"".join(lines)
        (self.folder / key).write_bytes(self.lake[key])
        os.utime(self.folder / key, (self.time, self.time))

    def remove(self, key: str) -> None:
        del self.lake[key]
        (self.folder / key).unlink()

    @contextmanager
    def a_run(self) -> Iterator[Store]:
        """Begin a run; once the block has ended, check what it restated, by the oracle."""
        run_before, before = last_run(self.url), dict(self.counted)
        with Database(self.url, wait_seconds=5) as db, begin_run(db, str(self.folder), relocated=True) as run:
            yield Store(run)
        check_restatements(self.url, run_before, before, self.counted)

    def ingest(self, plan: Plan | None = None, rebuilds: bool = False) -> list[tuple[object, ...]]:
        """Ingest the lake in a run of its own; return its restatements: day, files, clicks before and after."""
        with self.a_run() as store:
            lake, tally = open_lake(str(self.folder)), SilentTally()
            (rebuild if rebuilds else pipeline.run)(lake, store, plan or Plan(), tally)
            assert not tally.errors
            self.counted = dict(self.lake)
        return self.restated()

    def restated(self) -> list[tuple[object, ...]]:
        return ask(
            self.url,
            "select date::text, files, clicks_before, clicks_after from restatements"
            f" where run_id = {last_run(self.url)} order by date",
        )


@pytest.fixture
def scene(tmp_path: Path, database: str) -> Scene:
    """A lake of one file with a day and a session, which is ingested."""
    with Database(database):
        pass  # this makes the schema
    scene = Scene(tmp_path, database)
    scene.put("a.tsv", event(FRIDAY, "u"))
    assert scene.ingest() == []
    return scene


def test_a_late_file_restates_the_days_that_were_published(scene: Scene) -> None:
    scene.put("late.tsv", event(FRIDAY, "v"), event(SATURDAY, "v"))
    assert scene.ingest() == [(FRIDAY, ["late.tsv"], 1, 2)]
    assert scene.ingest() == []
    assert ask(scene.url, "select count(*) from restatements") == [(1,)]


@pytest.mark.parametrize("limits", [DEFAULT_BATCH_LIMITS, BatchLimits(rows=1)])
def test_the_transactions_of_a_run_restate_a_day_once(scene: Scene, limits: BatchLimits) -> None:
    """Days that the run itself publishes are none, nor are those that end as they were."""
    scene.put("b.tsv", event(SATURDAY, "u"))
    scene.ingest()
    scene.put("a.tsv")
    scene.put("b.tsv", event(SATURDAY, "u"), event(SATURDAY, "u", time="13:00:00"))
    scene.put("c.tsv", event("2019-02-17", "u"), event(FRIDAY, "u"), event(SATURDAY, "w"))
    scene.put("d.tsv", event("2019-02-17", "v"))
    assert scene.ingest(Plan(limits=limits)) == [(SATURDAY, ["b.tsv", "c.tsv"], 1, 3)]


@pytest.mark.parametrize("limits", [DEFAULT_BATCH_LIMITS, BatchLimits(rows=1)])
def test_a_day_that_an_earlier_transaction_of_the_run_emptied_names_later_files_too(
    scene: Scene, limits: BatchLimits
) -> None:
    scene.put("b.tsv", event(SATURDAY, "u"))
    scene.ingest()
    scene.put("b.tsv")
    scene.put("c.tsv", event(SATURDAY, "v"), event(SATURDAY, "w"))
    assert scene.ingest(Plan(limits=limits)) == [(SATURDAY, ["b.tsv", "c.tsv"], 1, 2)]


def test_deleted_forgotten_and_replaced_files_restate_days(scene: Scene) -> None:
    scene.put("b.tsv", event(FRIDAY, "v"))
    scene.put("c.tsv", event(FRIDAY, "w"))
    scene.ingest()
    scene.remove("b.tsv")
    assert scene.ingest(Plan(prunes=True)) == [(FRIDAY, ["b.tsv"], 3, 2)]
    scene.put("c.tsv", event(FRIDAY, "w"), event(FRIDAY, "w"))
    assert scene.ingest() == [(FRIDAY, ["c.tsv"], 2, 3)]
    with scene.a_run() as store:
        assert store.forget("a.tsv")
        del scene.counted["a.tsv"]
    assert scene.restated() == [(FRIDAY, ["a.tsv"], 3, 2)]
    with scene.a_run() as store:
        assert store.forget("c.tsv")
        del scene.counted["c.tsv"]
    assert scene.restated() == [(FRIDAY, ["c.tsv"], 2, 0)]
    scene.remove("a.tsv")
    scene.put("c.tsv", event(FRIDAY, "x"))
    assert scene.ingest() == []  # it was not published any more


def test_a_forgotten_user_restates_the_days_of_the_sessions_and_no_file_is_named(scene: Scene) -> None:
    scene.put("b.tsv", event(FRIDAY, "v"), event(SATURDAY, "v"), event(SATURDAY, "u"))
    scene.ingest()
    run_before = last_run(scene.url)
    with Database(scene.url) as db, begin_run(db, str(scene.folder), relocated=True) as run:
        assert Store(run).forget_users(["v", "nobody"])["sessions"] == 2
    check_restatements(scene.url, run_before, scene.counted, scene.counted, forgotten=((), ("v",)))
    assert scene.restated() == [(FRIDAY, [], 2, 2), (SATURDAY, [], 2, 2)]


def test_a_file_that_continues_a_session_restates_the_day_on_which_it_began(scene: Scene) -> None:
    scene.put("late.tsv", event(SATURDAY, "u", session=FRIDAY))
    assert scene.ingest() == [(FRIDAY, ["late.tsv"], 1, 1)]
    scene.put("early.tsv", event("2019-02-14", "x"))
    scene.ingest()
    scene.put("later.tsv", event("2019-02-14", "u", session=FRIDAY))
    assert scene.ingest() == [("2019-02-14", ["later.tsv"], 1, 2), (FRIDAY, ["later.tsv"], 1, 1)]
    with scene.a_run() as store:
        assert store.forget("later.tsv")
        del scene.counted["later.tsv"]
    assert scene.restated() == [("2019-02-14", ["later.tsv"], 2, 1), (FRIDAY, ["later.tsv"], 1, 1)]


@pytest.mark.parametrize("limits", [DEFAULT_BATCH_LIMITS, BatchLimits(rows=1)])
def test_a_day_without_articles_and_sessions_was_published_all_the_same(scene: Scene, limits: BatchLimits) -> None:
    bare = event(SATURDAY, "u", attributes="{}", session="")
    scene.put("bare.tsv", bare)
    assert scene.ingest() == []
    scene.put("b.tsv", event(SATURDAY, "v"))
    assert scene.ingest() == [(SATURDAY, ["b.tsv"], 0, 1)]
    scene.put("c.tsv", bare.replace(b"02-16", b"02-17"))
    scene.put("d.tsv", event("2019-02-17", "v"))
    assert scene.ingest(Plan(limits=limits)) == []  # this run published it


def test_at_most_twenty_files_are_named(scene: Scene) -> None:
    for number in range(25):
        scene.put(f"{number:02}.tsv", event(FRIDAY, f"u{number}"))
    ((_, files, _, _),) = scene.ingest()
    assert files == [f"{number:02}.tsv" for number in range(20)]
    assert ask(scene.url, "select file_count from restatements") == [(25,)]


def test_a_rebuild_restates_what_it_changes(scene: Scene) -> None:
    scene.put("b.tsv", event(SATURDAY, "v"))
    scene.ingest()
    assert scene.ingest(rebuilds=True) == []
    scene.put("a.tsv", event(FRIDAY, "u"), event(SATURDAY, "u"))
    scene.put("c.tsv", event(FRIDAY, "w"), event("2019-02-17", "w"))
    assert scene.ingest(rebuilds=True) == [(FRIDAY, ["a.tsv", "c.tsv"], 1, 2), (SATURDAY, ["a.tsv"], 1, 2)]
    scene.remove("c.tsv")
    assert scene.ingest(Plan(prunes=True), rebuilds=True) == [
        (FRIDAY, ["c.tsv"], 2, 1),
        ("2019-02-17", ["c.tsv"], 1, 0),
    ]


def test_numbers_that_no_file_changed_name_none(scene: Scene) -> None:
    """So it is where a rebuild counts other events, or puts damaged numbers right."""
    execute(scene.url, "update state.day_totals set clicks = 7; update article_performance set clicks = 7")
    with Database(scene.url) as db, begin_run(db, str(scene.folder), relocated=True) as run:
        rebuild(open_lake(str(scene.folder)), Store(run), Plan(), SilentTally())
    assert scene.restated() == [(FRIDAY, [], 7, 1)]
    assert ask(scene.url, "select file_count from restatements") == [(0,)]


def test_a_watch_is_one_run_whatever_others_do_meanwhile(scene: Scene) -> None:
    lake, tally = open_lake(str(scene.folder)), SilentTally()
    with Database(scene.url, is_shared=True) as db, begin_run(db, lake.url, relocated=True, command="watch") as run:
        store = Store(run)
        watch = last_run(scene.url)
        for number in (1, 2):
            scene.put("a.tsv", *[event(FRIDAY, "u")] * (2 * number))
            scene.put("new.tsv", *[event(SATURDAY, "u")] * number)
            pipeline.run(lake, store, Plan(), tally)
            store.release_lock()
            scene.counted = dict(scene.lake)
            if number == 1:
                scene.put("other.tsv", event(FRIDAY, "v"), event(SATURDAY, "v"))
                assert scene.ingest() == [(FRIDAY, ["other.tsv"], 2, 3), (SATURDAY, ["other.tsv"], 1, 2)]
            store.take_lock_again()
        (restated,) = store.reads.report.read_restatements_of_last_run(9)  # of the watch
        assert restated["clicks_before"] == 2
    columns = "date::text, files, file_count, clicks_before, clicks_after"
    rows = ask(scene.url, f"select {columns} from restatements where run_id = {watch}")
    assert rows == [(FRIDAY, ["a.tsv"], 1, 2, 5)]  # between its turns, the other run added a click
    assert tables(scene.url).article_performance == expected(scene.lake).article_performance


def test_a_run_that_only_publishes_days_is_the_last_one(scene: Scene) -> None:
    scene.put("late.tsv", event(FRIDAY, "v"))
    scene.ingest()
    with Database(scene.url) as db:
        assert len(Reads(db).report.read_restatements_of_last_run(9)) == 1
    scene.put("new.tsv", event(SATURDAY, "v"))
    scene.ingest()
    with Database(scene.url) as db:
        assert Reads(db).report.read_restatements_of_last_run(9) == []


def test_the_role_for_bi_reads_restatements_and_not_their_tables(scene: Scene) -> None:
    bi = as_role("bi", scene.url)
    assert ask(bi, "select count(*) from restatements") == [(0,)]


def test_a_recount_restates_what_it_repairs(scene: Scene) -> None:
    assert scene.ingest(Plan(recounts=True)) == []
    execute(
        scene.url,
        "update state.file_article_days set clicks = 7; update article_performance set clicks = 7;"
        " update state.day_totals set clicks = 7",
    )
    with Database(scene.url) as db, begin_run(db, str(scene.folder), relocated=True) as run:
        pipeline.run(open_lake(str(scene.folder)), Store(run), Plan(recounts=True), SilentTally())
    assert scene.restated() == [(FRIDAY, ["a.tsv"], 7, 1)]
