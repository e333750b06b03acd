"""Histories of a lake and its runs, drawn by hypothesis and compared with the oracle after each run."""

import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import psycopg2
import pytest
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from psycopg2.extensions import cursor

from processor import pipeline
from processor.batches import DEFAULT_BATCH_LIMITS, BatchLimits
from processor.errors import FailedError
from processor.lake.base import Files, Lake, LakeFile, LakeSettings
from processor.lake.open_lake import open_lake
from processor.plan import Plan, PruneError
from processor.rebuild import rebuild
from processor.reducers.fold import CHUNK_BYTES
from processor.reducing.process_pool import open_local_reducer
from processor.reducing.reducer import Reducer
from processor.spark.application import SparkApplication
from processor.spark.reducer import SparkReducer
from processor.verify import verify
from state.database import Database
from state.errors import SupersededError
from state.run import Run, begin_run
from state.staging import Staging
from state.store import Store
from tests.support import strategies
from tests.support.database_queries import ask
from tests.support.definitions import definitions, of_the_program
from tests.support.ingest import SilentTally
from tests.support.lake_folders import write_lake
from tests.support.oracle import ASSIGNMENT, Definition, Unreadable, decompressed, expected, is_lake_file
from tests.support.restatements import check_restatements, last_run
from tests.support.tables import Model, Tables, clear, tables

PICKS = st.integers(0, 7)
PLANS = st.builds(
    lambda prunes, recounts: Plan(prunes=prunes, prunes_all=prunes, recounts=recounts), st.booleans(), st.booleans()
)
WORKERS = st.sampled_from([1, 1, 1, 1, 2, 3])
STATEMENTS = st.integers(1, 150)
MAX_TASKS = 50
CLOCK = 1_550_000_000_000_000_000


class Crash(BaseException):
    """The program ends at once, without any cleanup."""


class CrashingDatabase(Database):
    """A database whose nth statement or COMMIT kills the program, or one of its two connections."""

    def __init__(self, url: str, statement: int, victim: str) -> None:
        """Choose what is killed: "program", or the connection "work" or "lock"."""
        super().__init__(url, wait_seconds=5)
        self._url, self._left, self._victim = url, statement, victim

    @contextmanager
    def transaction(self) -> Iterator[cursor]:
        with super().transaction() as cur:
            yield cur
            self._count_statement(cur)

    def execute(self, cur: cursor, name: str, **parameters: object) -> None:
        self._count_statement(cur)
        super().execute(cur, name, **parameters)

    def _count_statement(self, cur: cursor) -> None:
        self._left -= 1
        if self._left == 0 and self._victim == "program":
            Histories.drawn["crashes"] += 1
            self.close()
            raise Crash
        if self._left == 0:
            Histories.drawn["lost connections"] += 1
            victim = (self.lock._holder if self._victim == "lock" else self._connection) or cur.connection
            end_connection(self._url, victim.info.backend_pid)


def end_connection(url: str, pid: int) -> None:
    """Let the server end a connection, as it does when it restarts."""
    admin = psycopg2.connect(url)
    with admin, admin.cursor() as cur:
        cur.execute("select pg_terminate_backend(%s, 5000)", (pid,))
    admin.close()


class Histories(RuleBasedStateMachine):
    """A lake whose files arrive, change and disappear, with runs of every kind and crashes between them."""

    url: str
    engine: ClassVar[SparkApplication | None] = None  # reduces in some of the histories, instead of processes
    drawn: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        """Begin with an empty lake and an empty database."""
        super().__init__()
        clear(self.url)
        self._place = tempfile.TemporaryDirectory()
        self.folder = Path(self._place.name)
        self.clock = CLOCK
        self.lake: dict[str, bytes] = {}
        self.times: dict[str, int] = {}
        self.gone: list[tuple[str, bytes, int]] = []
        self.versions: dict[tuple[str, str], bytes] = {}
        self.model = Model()
        self.checked: tuple[int, dict[str, bytes], Definition, set[str]] = last_run(self.url), {}, ASSIGNMENT, set()
        self.counted = True
        self.chunk, self.workers, self.reducing = CHUNK_BYTES, 1, self.engine
        self.drawn["histories"] += 1

    def teardown(self) -> None:
        """Ingest what was not ingested yet, and delete the folder."""
        try:
            if not self.counted:
                self.run(Plan())
        finally:
            self._place.cleanup()

    # The lake

    def _write(self, key: str, data: bytes, time: int | None = None) -> None:
        if (self.workers > 1 or self.reducing) and len(data) > MAX_TASKS * self.chunk:
            return  # a long line would take thousands of tasks of a few bytes each, for minutes
        if time is None:
            self.clock += 1_000_000_000
            time = self.clock
        write_lake(self.folder, {key: data})
        os.utime(self.folder / key, ns=(time, time))
        self.lake[key], self.times[key], self.counted = data, time, False
        self.versions[key, f"{time}-{len(data)}"] = data

    def _pick(self, pick: int) -> str:
        keys = sorted(self.lake)
        return keys[pick % len(keys)]

    def _text(self, key: str) -> bytes:
        try:
            return decompressed(self.lake[key], key)
        except Unreadable:
            assume(False)
            raise

    def _take(self, key: str) -> bytes:
        (self.folder / key).unlink()
        data = self.lake.pop(key)
        self.gone.append((key, data, self.times.pop(key)))
        self.counted = False
        return data

    @initialize(
        chunk=st.sampled_from([CHUNK_BYTES, 1, 100, 1000, 10_000]),
        workers=WORKERS,
        engine=st.sampled_from([False, False, False, True]),
        limits=st.sampled_from(
            [
                DEFAULT_BATCH_LIMITS,
                BatchLimits(rows=1),
                BatchLimits(rows=12),
                BatchLimits(text_bytes=400),
                BatchLimits(seconds=0),
            ]
        ),
        lake=strategies.lakes(),
        definition=st.just(ASSIGNMENT) | definitions(),
    )
    def begin(
        self,
        chunk: int,
        workers: int,
        engine: bool,
        limits: BatchLimits,
        lake: dict[str, bytes],
        definition: Definition,
    ) -> None:
        self.limits, self.model.definition = limits, definition
        self.reducing = self.engine if engine else None
        # a process or a task for each byte would take too long
        self.chunk, self.workers = (max(chunk, 100) if workers > 1 or self.reducing else chunk), workers
        for key, data in lake.items():
            self._write(key, data)

    @rule(file=strategies.named_files())
    def put(self, file: tuple[str, bytes]) -> None:
        self._write(*file)

    @precondition(lambda self: self.lake)
    @rule(pick=PICKS, text=strategies.files())
    def replace(self, pick: int, text: bytes) -> None:
        key = self._pick(pick)
        self._write(key, strategies.packed(text, key))

    @precondition(lambda self: self.lake)
    @rule(pick=PICKS, lines=st.integers(0, 16))
    def cut(self, pick: int, lines: int) -> None:
        key = self._pick(pick)
        self._write(key, strategies.packed(b"\n".join(self._text(key).split(b"\n")[:lines]), key))

    @precondition(lambda self: self.lake)
    @rule(pick=PICKS, share=st.floats(0, 1))
    def tear(self, pick: int, share: float) -> None:
        key = self._pick(pick)
        self._write(key, self.lake[key][: int(share * len(self.lake[key]))])

    @precondition(lambda self: self.lake)
    @rule(pick=PICKS, lines=st.lists(strategies.good_lines(), min_size=1, max_size=4))
    def grow(self, pick: int, lines: list[bytes]) -> None:
        key = self._pick(pick)
        self._write(key, strategies.packed(b"\n".join([self._text(key).rstrip(b"\r\n"), *lines]), key))

    @precondition(lambda self: len(self.lake) > 1)
    @rule(pick=PICKS, other=PICKS, line=st.integers(1, 16))
    def move_line(self, pick: int, other: int, line: int) -> None:
        source, target = self._pick(pick), self._pick(other)
        lines, its = self._text(source).split(b"\n"), self._text(target).split(b"\n")
        assume(source != target and line < len(lines))
        its.insert(1, lines.pop(line))
        self._write(source, strategies.packed(b"\n".join(lines), source))
        self._write(target, strategies.packed(b"\n".join(its), target))

    @precondition(lambda self: len(self.lake) > 1)
    @rule(pick=PICKS, other=PICKS)
    def swap(self, pick: int, other: int) -> None:
        a, b = self._pick(pick), self._pick(other)
        one, two = self.lake[a], self.lake[b]
        self._write(a, two)
        self._write(b, one)

    @precondition(lambda self: self.lake)
    @rule(pick=PICKS, key=strategies.keys())
    def rename(self, pick: int, key: str) -> None:
        old = self._pick(pick)
        time = self.times[old]
        self._write(key, self._take(old), time)

    @precondition(lambda self: any(key.endswith(".tsv") for key in self.lake))
    @rule(pick=PICKS, suffix=st.sampled_from([".gz", ".zst"]))
    def compress(self, pick: int, suffix: str) -> None:
        plain = sorted(key for key in self.lake if key.endswith(".tsv"))
        key = plain[pick % len(plain)] + suffix
        self._write(key, strategies.packed(self._take(key.removesuffix(suffix)), key))

    @precondition(lambda self: self.lake)
    @rule(pick=PICKS)
    def touch(self, pick: int) -> None:
        key = self._pick(pick)
        self._write(key, self.lake[key])

    @precondition(lambda self: self.lake)
    @rule(pick=PICKS)
    def recompress(self, pick: int) -> None:
        key = self._pick(pick)
        self._write(key, strategies.packed(self._text(key), key, level=9))

    @precondition(lambda self: self.lake)
    @rule(pick=PICKS)
    def remove(self, pick: int) -> None:
        self._take(self._pick(pick))

    @precondition(lambda self: self.gone)
    @rule(pick=PICKS, as_it_was=st.booleans())
    def restore(self, pick: int, as_it_was: bool) -> None:
        key, data, time = self.gone[-1 - pick % len(self.gone)]
        self._write(key, data, time if as_it_was else None)

    # The program

    def _plans(self, plan: Plan, db: Database) -> Plan:
        def open_reducer(lake: Files, files: Sequence[LakeFile]) -> Reducer:
            if self.reducing is None:
                return open_local_reducer(lake, files, self.workers, self.chunk)
            return SparkReducer(lake, files, self.reducing, Staging.of(db), self.chunk)

        return replace(plan, open_reducer=open_reducer, limits=self.limits)

    def _open(self, definition: Definition | None = None) -> Lake:
        meaning = of_the_program(self.model.definition if definition is None else definition)
        return open_lake(str(self.folder), LakeSettings(definition=meaning))

    def _begin_run(self, db: Database, lake: Lake, redefines: bool = False) -> AbstractContextManager[Run]:
        definition = lake.settings.definition.overrides()
        return begin_run(db, lake.url, relocated=True, definition=definition, redefines=redefines)

    def _failing(self, definition: Definition | None = None) -> set[str]:
        """Return the keys of the lake's files that cannot be read under a definition."""
        return expected(self._listed(), definition=definition or self.model.definition).failed

    def _listed(self) -> dict[str, bytes]:
        return {key: data for key, data in self.lake.items() if is_lake_file(key)}

    def _changed(self) -> set[str]:
        """Return the keys of files whose present text is not ingested."""
        listed = self._listed()
        return {
            key
            for key in listed.keys() - self._failing()
            if key not in self.model.counting
            or decompressed(self.model.counting[key], key) != decompressed(listed[key], key)
        }

    def _check_restatements(self) -> None:
        run_before, before, old, forgotten = self.checked
        check_restatements(
            self.url,
            run_before,
            before,
            self.model.counting,
            old,
            self.model.definition,
            forgotten=(forgotten, self.model.forgotten),
        )
        self.checked = last_run(self.url), dict(self.model.counting), self.model.definition, self.model.forgotten

    def _check(self, pruned: bool) -> Tables:
        found = self.model.check(self.url, self.lake, pruned)
        self._check_restatements()
        present = {key: f"{self.times[key]}-{len(data)}" for key, data in self._listed().items()}
        for key in present.keys() - found.failed:
            assert found.counting[key].fingerprint == present[key]
        self.counted = True
        return found

    def _run(self, db: Database, plan: Plan) -> None:
        listed = self._listed()
        counted = self.model.counting.keys() | (listed.keys() - self._failing())
        gone = counted - listed.keys()
        changed = listed.keys() - self._failing() if plan.recounts else self._changed()
        prune = plan.prunes and (plan.prunes_all or (bool(listed) and 2 * len(gone) <= len(counted)))
        self.drawn["runs" if self.reducing is None else "runs on Spark"] += 1
        lake = self._open()
        with db, self._begin_run(db, lake) as run:
            tally = SilentTally()
            try:
                pipeline.run(lake, Store(run), self._plans(plan, db), tally)
            except PruneError:
                assert plan.prunes
                assert not prune
                self._check(False)
                return
        assert prune or not plan.prunes
        found = self._check(prune)
        assert tally.files_failed == len(found.failed)
        assert tally.files_forgotten == (len(gone) if prune else 0)
        assert tally.files_counted == len(changed)
        assert tally.files_counted + tally.files_unchanged + tally.files_failed == len(listed)
        assert tally.events == sum(found.counting[key].events for key in changed)
        assert tally.rejected == sum(found.counting[key].rejected for key in changed)

    @rule(plan=st.builds(Plan, prunes=st.booleans(), prunes_all=st.booleans(), recounts=st.booleans()))
    def run(self, plan: Plan) -> None:
        self._run(Database(self.url, wait_seconds=5), plan)

    @rule(
        plan=PLANS,
        statement=STATEMENTS,
        victim=st.sampled_from(["work", "lock"]),
    )
    def run_and_lose_a_connection(self, plan: Plan, statement: int, victim: str) -> None:
        self._run(CrashingDatabase(self.url, statement, victim), plan)

    @rule(plan=PLANS, statement=STATEMENTS, rebuilds=st.booleans(), definition=definitions() | st.none())
    def crash(self, plan: Plan, statement: int, rebuilds: bool, definition: Definition | None) -> None:
        definition = definition if rebuilds else None
        lake = self._open(definition)
        before = dict(self.model.counting)
        try:
            with (
                CrashingDatabase(self.url, statement, "program") as db,
                self._begin_run(db, lake, redefines=rebuilds) as run,
            ):
                (rebuild if rebuilds else pipeline.run)(lake, Store(run), self._plans(plan, db), SilentTally())
        except Crash:
            pass
        except FailedError:
            assert definition is not None
        if definition is not None and ask(self.url, "select definition from state.lake") == [
            (lake.settings.definition.overrides(),)
        ]:
            self.model.definition = definition
        self.counted = False
        self.model.counting = {}
        for key, file in tables(self.url).counting.items():
            data = self.versions[key, file.fingerprint]
            assert data in (before.get(key), self.lake.get(key))
            self.model.counting[key] = data
        assert before.keys() - self.model.counting.keys() <= (
            before.keys() - self.lake.keys() if plan.prunes else set()
        )
        self.model.compare(self.url)
        self._check_restatements()

    @rule(plan=PLANS)
    def rebuild(self, plan: Plan) -> None:
        lake = self._open()
        with Database(self.url, wait_seconds=5) as db, self._begin_run(db, lake) as run:
            rebuild(lake, Store(run), self._plans(plan, db), SilentTally())
        self._check(plan.prunes)
        self.drawn["rebuilds"] += 1

    @rule(plan=PLANS, definition=definitions())
    def redefine(self, plan: Plan, definition: Definition) -> None:
        lake, old = self._open(definition), self._open()
        counting = self.model.counting.keys()
        unread = counting & self._failing(definition) | (set() if plan.prunes else counting - self._listed().keys())
        with Database(self.url, wait_seconds=5) as db:
            if counting and lake.settings.definition != old.settings.definition:
                with pytest.raises(SupersededError), self._begin_run(db, lake):
                    pass
            try:
                with self._begin_run(db, lake, redefines=True) as run:
                    rebuild(lake, Store(run), self._plans(plan, db), SilentTally())
            except FailedError:
                assert unread
                self.model.compare(self.url)
                self._check_restatements()
                self.drawn["refused definitions"] += 1
                return
        assert not unread or lake.settings.definition == old.settings.definition
        self.model.definition = definition
        self._check(plan.prunes)
        self.drawn["definitions"] += 1

    @precondition(lambda self: self.model.counting)
    @rule(pick=PICKS)
    def forget(self, pick: int) -> None:
        keys = sorted(self.model.counting)
        key = keys[pick % len(keys)]
        with Database(self.url, wait_seconds=5) as db, self._begin_run(db, self._open()) as run:
            assert Store(run).forget(key)
        del self.model.counting[key]
        self.counted = False
        self.model.compare(self.url)
        self._check_restatements()

    @rule(
        users=st.lists(strategies.forgettable_ids(), min_size=1, max_size=2, unique=True),
        statement=st.just(0) | st.integers(1, 60),
        victim=st.sampled_from(["program", "work", "lock"]),
    )
    def forget_users(self, users: list[str], statement: int, victim: str) -> None:
        before, after = set(self.model.forgotten), self.model.forgotten | {*users}
        self.model.forgotten = after
        try:
            with CrashingDatabase(self.url, statement, victim) as db, self._begin_run(db, self._open()) as run:
                counts = Store(run).forget_users(users)
                assert (counts["users"], counts["users_new"]) == (len(users), len(after - before))
        except Crash:
            (hashes,) = ask(self.url, "select count(*) from state.forgotten_users")[0]
            assert hashes in (len(before), len(after))
            self.model.forgotten = after if hashes == len(after) else before
        self.drawn["forgotten users"] += len(self.model.forgotten - before)
        self.model.compare(self.url)
        self._check_restatements()

    @precondition(lambda self: self.counted)
    @rule()
    def verify(self) -> None:
        lake = self._open()
        with Database(self.url, wait_seconds=5) as db, self._begin_run(db, lake) as run:
            assert not list(verify(lake, Store(run), self._plans(Plan(), db), SilentTally()))
        self.model.compare(self.url)
        self._check_restatements()
