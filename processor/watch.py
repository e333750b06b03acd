"""The loop that stays up and counts what comes: told files at once, and all that a listing finds at intervals."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple, NoReturn

from processor import pipeline
from processor.backoff import Backoff
from processor.batches import Item, batches
from processor.lake.base import ChangedError, Lake, LakeError, LakeFile, escape_unstorable
from processor.lake.notifications import Notifications
from processor.output.run_tally import Record
from processor.plan import Plan, to_count
from processor.reducing.process_pool import Pool
from processor.run_tally import Outcome
from state.connection import BusyError, DatabaseError, SupersededError
from state.store import Store

# The lock is kept for no longer than this and the file that is being counted, and then left for others to take.
SPELL = 1.0
BREATH = 0.2
# A file that changes while it is read is left alone for so many seconds, and longer each time.
AGAIN, AGAIN_MOST = 0.5, 60.0
# A file that cannot be read is tried again at the next listing, and later each time, unless it changed.
FAILED_MOST = 3600.0
# The report is drawn at the end, too, where that takes no longer.
LAST_DRAWING = 3.0


class Later(NamedTuple):
    """When to try a file again: from when on, how long that is after the last time, and which version failed."""

    at: float
    pause: float
    fingerprint: str


class Watch:
    """Counts what is in a lake and what comes, under the lock by turns, until it is stopped.

    What is away is waited for, once the lake was listed. `done` is told at the end of each batch how many seconds it
    took; the lock is still held.
    """

    def __init__(
        self,
        lake: Lake,
        store: Store,
        arrivals: Notifications,
        plan: Plan,
        interval: float,
        record: Record,
        draw: Callable[[], None],
        done: Callable[[float], None],
    ) -> None:
        """A watch that lists the lake each `interval` seconds, and draws no more often; the lock is held."""
        self._lake, self._store, self._arrivals, self._plan = lake, store, arrivals, plan
        self._interval, self._record, self._draw, self._done = interval, record, draw, done
        self._backoff = Backoff(record.warn, "watch goes on")
        self._begun = self._turn_at = time.monotonic()
        self._listing_at = self._drawing_at = 0.0
        self._is_up = False
        self._is_drawn, self._drawing = False, 0.0
        self._changed: dict[str, Later] = {}
        self._failed: dict[str, Later] = {}

    def go_on(self) -> NoReturn:
        """Count what is there and what comes; raises SupersededError, and before all is up LakeError, DatabaseError."""
        self._store.end_turn()
        self._store.say_to(self._backoff.report)
        while True:
            try:
                if time.monotonic() >= self._listing_at:
                    self._count_all()
                else:
                    self._count_told()
            except SupersededError:
                raise
            except (LakeError, DatabaseError, BusyError) as error:
                if not self._is_up:
                    raise
                # A run that lost its lock would say that it stops.
                line = str(error).rpartition(";")[0] if isinstance(error, BusyError) else str(error)
                self._backoff.report(f"{line}; watch waits")
                self._listing_at = 0  # what was told meanwhile is found by it
                self._backoff.wait()

    def end(self) -> None:
        """Draw what is not drawn yet, unless it takes long or something is away."""
        self._store.say_to(lambda _: None)
        self._arrivals.close()
        if not self._is_drawn and self._drawing < LAST_DRAWING:
            with suppress(DatabaseError, BusyError):
                self._draw_now()

    def _count_all(self) -> None:
        """Count all that a listing finds new or changed."""
        self._arrivals.restart()
        holds = self._plan.selection.includes
        present = [file for file in self._lake.list_files() if holds(file.key)]
        with self._turn():
            known = {key: file for key, file in self._store.files().items() if holds(key)}
            self._is_up = True
            found = Outcome()
            todo = to_count(present, known, self._store, found)
            self._count(todo)
        self._record.did["files_unchanged"] = found.files_unchanged
        for key in self._failed.keys() - {file.key for file in todo}:
            del self._failed[key]
        self._listing_at = time.monotonic() + self._interval

    def _count_told(self) -> None:
        """Count what was told, as soon as there is something; else draw what is not drawn yet."""
        now = time.monotonic()
        due = [self._listing_at, *(later.at for later in self._changed.values())]
        if not self._is_drawn:
            due.append(self._drawing_at)
        names = self._arrivals.wait(max(0.0, min(due) - now))
        now = time.monotonic()
        names += [key for key, later in self._changed.items() if later.at <= now]
        if names:
            self._count_named(list(dict.fromkeys(names)))
        # A lake in which something comes all the time is drawn, too, if later.
        if not self._is_drawn and now >= self._drawing_at + (self._interval if names else 0):
            self._draw_now()

    def _count_named(self, names: list[str]) -> None:
        keys = set(map(escape_unstorable, names))
        before = {key: self._changed.get(key) for key in keys}
        looked = (self._lake.find(name) for name in names if self._plan.selection.includes(escape_unstorable(name)))
        present = [file for file in looked if file is not None]
        if present:
            with self._turn():
                self._count(self._uncounted(present))
        for key in keys:
            if self._changed.get(key) is before[key]:  # it did not change once more while it was read
                self._changed.pop(key, None)
        self._arrivals.acknowledge(keys - self._changed.keys())

    def _count(self, todo: list[LakeFile]) -> None:
        """Count files, unless they are to be tried later; the lock is held."""
        todo = [file for file in todo if not self._is_early(file)]
        while todo:
            # After another run's turn what was read ahead is let go of: the file may have been pruned or replaced.
            with Pool(self._lake, todo, self._plan.chunk, self._plan.workers) as pool:
                todo = self._count_by(pool, todo)

    def _count_by(self, pool: Pool, todo: list[LakeFile]) -> list[LakeFile]:
        """Count files until another run had the lock; those that are left to count then."""
        done = 0
        for batch in batches(todo, pool, self._record, self._plan.limits):
            if done and time.monotonic() > self._turn_at + SPELL and self._breathe():
                return self._uncounted(todo[done:])
            self._count_batch(batch)
            done += len(batch)
        return []

    def _count_batch(self, batch: list[Item]) -> None:
        """Count a batch of files; those that changed while they were read are tried again later."""
        for results in pipeline.ingested(batch, self._store, self._record):
            self._settle(results)

    def _settle(self, results: list[tuple[LakeFile, pipeline.Result]]) -> None:
        changed = [file for file, result in results if isinstance(result, ChangedError)]
        settled = [(file, result) for file, result in results if not isinstance(result, ChangedError)]
        for file in changed:
            self._changed[file.key] = self._later(self._changed.get(file.key), file, AGAIN, AGAIN_MOST)
        pipeline.settle(settled, self._store, self._record, Outcome())
        for file, result in settled:
            if isinstance(result, Exception):
                self._failed[file.key] = self._later(self._failed.get(file.key), file, self._interval / 2, FAILED_MOST)
            else:
                self._is_drawn = False
                self._failed.pop(file.key, None)
            self._changed.pop(file.key, None)

    def _is_early(self, file: LakeFile) -> bool:
        later = self._failed.get(file.key)
        return later is not None and later.fingerprint == file.fingerprint and time.monotonic() < later.at

    def _uncounted(self, files: list[LakeFile]) -> list[LakeFile]:
        known = self._store.known([file.key for file in files])
        return to_count(files, known, self._store, Outcome())

    @staticmethod
    def _later(before: Later | None, file: LakeFile, least: float, most: float) -> Later:
        pause = least if before is None else min(2 * before.pause, most)
        return Later(time.monotonic() + pause, pause, file.fingerprint)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Hold the lock, and record what was done."""
        begun = time.monotonic()
        self._take()
        try:
            yield
        except BaseException:
            self._store.end_turn()
            raise
        self._done(time.monotonic() - begun)
        self._give()
        self._backoff.end()

    def _breathe(self) -> bool:
        """Leave the lock for others for a moment; whether one took it."""
        self._give()
        time.sleep(BREATH)
        return self._take()

    def _take(self) -> bool:
        others = self._store.take_turn(self._lake.url)
        self._turn_at = time.monotonic()
        self._is_drawn = self._is_drawn and not others
        return others

    def _give(self) -> None:
        self._store.end_turn(self._record.end(time.monotonic() - self._begun))

    def _draw_now(self) -> None:
        begun = time.monotonic()
        with self._turn():
            self._draw()
        self._is_drawn, self._drawing = True, time.monotonic() - begun
        self._drawing_at = begun + self._interval
