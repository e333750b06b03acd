"""Stays up and ingests files: at once when a notification names them, and at intervals when a listing finds them."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

from processor.backoff import Backoff
from processor.batches import make_batches
from processor.ingest_batch import Results, ingest_batch, record_results
from processor.lake.base import ChangedError, Lake, LakeError, LakeFile
from processor.lake.keys import escape_unstorable
from processor.lake.notifications import Notifications
from processor.listener import Listener
from processor.pipeline import clear_stale_errors
from processor.plan import Plan, find_changes
from processor.postponed_files import PostponedFiles
from processor.reducing.reducer import Reducer
from processor.run_tally import RunTally
from state.errors import BusyError, DatabaseError, SupersededError
from state.store import Store

# The watch keeps the lock for no longer than this and the batch that is being ingested, and then offers it to others.
HOLD_LOCK_SECONDS = 1.0
RELEASE_SECONDS = 0.2
# A file that changes while it is read is tried again after this pause, which doubles each time.
CHANGED_PAUSE_SECONDS, MAX_CHANGED_PAUSE_SECONDS = 0.5, 60.0
# A file that cannot be read is tried again at the next listing, and later each time, unless it changed.
MAX_FAILED_PAUSE_SECONDS = 3600.0
# At the end, the report is drawn once more unless the last drawing took longer than this.
LAST_DRAWING_SECONDS = 3.0


class Watch:
    """Ingests the files of a lake and those that arrive, taking turns with other runs, until it is stopped.

    Once the lake was listed for the first time, the watch waits for a lake, database or queue that is unavailable.
    """

    def __init__(
        self,
        lake: Lake,
        store: Store,
        notifications: Notifications,
        plan: Plan,
        interval: float,
        tally: RunTally,
        listener: Listener,
        draw: Callable[[], None],
        after_turn: Callable[[float], None],
    ) -> None:
        """Prepare a watch whose run lock is held.

        lake: where the files are. store: the database. notifications: name files that arrive. plan: how files are
        reduced, and which.
        interval: seconds between two listings of the whole lake, and the fewest seconds between two drawings.
        tally: what the run did until now, which the database records whenever the lock is released.
        listener: is informed of everything, and informs the tally. draw: draws the report.
        after_turn: called with the seconds that a turn took, when its work is done and the lock is still held.
        """
        self._lake, self._store, self._notifications, self._plan = lake, store, notifications, plan
        self._interval, self._tally, self._listener = interval, tally, listener
        self._draw, self._after_turn = draw, after_turn
        self._backoff = Backoff(listener.warn, "watch continues")
        self._locked_at = time.monotonic()
        self._listing_at = self._drawing_at = 0.0
        self._listed: list[str] = []
        self._has_started = False
        self._is_drawn, self._drawing_seconds = False, 0.0
        self._changed = PostponedFiles(CHANGED_PAUSE_SECONDS, MAX_CHANGED_PAUSE_SECONDS)
        self._failed = PostponedFiles(interval / 2, MAX_FAILED_PAUSE_SECONDS)

    def run(self) -> NoReturn:
        """Ingest the present files and those that arrive.

        Raises SupersededError; before the first listing is done also LakeError, DatabaseError and BusyError.
        """
        self._store.release_lock()
        with self._store.redirect_warnings(self._backoff.report):
            while True:
                self._ingest_next()

    def end(self) -> None:
        """Draw the report if it is out of date, unless drawing takes long or something is unavailable."""
        self._notifications.close()
        if not self._is_drawn and self._drawing_seconds < LAST_DRAWING_SECONDS:
            with self._store.redirect_warnings(lambda _: None), suppress(DatabaseError, BusyError):
                self._draw_report()

    def _ingest_next(self) -> None:
        """Ingest what a listing finds if one is due, or else what notifications name; wait if that is impossible."""
        try:
            if time.monotonic() >= self._listing_at:
                self._ingest_listed()
            else:
                self._ingest_notified()
        except SupersededError:
            raise
        except (LakeError, DatabaseError, BusyError) as error:
            if not self._has_started:
                raise
            line = error.happened if isinstance(error, BusyError) else str(error)
            self._backoff.report(f"{line}; watch waits")
            self._listing_at = 0  # the listing finds the files whose notifications were missed
            self._backoff.wait()

    def _ingest_listed(self) -> None:
        """Ingest all that a listing finds new or changed."""
        self._notifications.restart()
        selection = self._plan.selection
        present = list(self._lake.list_files(self._listed, selection))
        self._listed = [file.key for file in present]
        with self._hold_lock():
            known = selection.of(self._store.reads.read_checkpoint())
            self._has_started = True
            changes = find_changes(present, known)
            self._listener.listed(unchanged=len(changes.unchanged))
            clear_stale_errors(changes, known, self._store)
            self._ingest(changes.to_ingest)
        self._failed.keep({file.key for file in changes.to_ingest})
        self._listing_at = time.monotonic() + self._interval

    def _ingest_notified(self) -> None:
        """Ingest files as soon as a notification names them or their pause is over; meanwhile draw the report."""
        now = time.monotonic()
        due = [self._listing_at, self._changed.next_at()]
        if not self._is_drawn:
            due.append(self._drawing_at)
        names = self._notifications.wait(max(0.0, min(due) - now))
        now = time.monotonic()
        names += self._changed.due(now)
        if names:
            self._ingest_named(list(dict.fromkeys(names)))
        # If files arrive all the time, the report is drawn, too, but later.
        if not self._is_drawn and now >= self._drawing_at + (self._interval if names else 0):
            self._draw_report()

    def _ingest_named(self, names: list[str]) -> None:
        keys = set(map(escape_unstorable, names))
        before = {key: self._changed.find(key) for key in keys}
        found = (self._lake.find(name) for name in names if self._plan.selection.includes(escape_unstorable(name)))
        present = [file for file in found if file is not None]
        if present:
            with self._hold_lock():
                self._ingest(self._find_changed(present))
        for key in keys:
            if self._changed.find(key) is before[key]:  # it did not change once more while it was read
                self._changed.remove(key)
        self._notifications.acknowledge({key for key in keys if self._changed.find(key) is None})

    def _ingest(self, files: list[LakeFile]) -> None:
        """Ingest files, except those whose pause is not over; the lock is held."""
        files = [file for file in files if not self._failed.must_wait(file, time.monotonic())]
        while files:
            # After another run had the lock, what was read ahead may be out of date, so a new reducer reads it again.
            with self._plan.open_reducer(self._lake, files) as reducer:
                files = self._ingest_until_interrupted(reducer, files)

    def _ingest_until_interrupted(self, reducer: Reducer, files: list[LakeFile]) -> list[LakeFile]:
        """Ingest files until another run had the lock; return those that are new or changed after that run."""
        done = 0
        for batch in make_batches(files, reducer, self._listener, self._plan.limits):
            if done and time.monotonic() > self._locked_at + HOLD_LOCK_SECONDS and self._offer_lock():
                return self._find_changed(files[done:])
            for results in ingest_batch(batch, self._store, self._listener):
                self._record(results)
            done += len(batch)
        return []

    def _record(self, results: Results) -> None:
        """Record and report the results of a transaction; files that changed while they were read are tried again."""
        changed = [file for file, result in results if isinstance(result, ChangedError)]
        settled = [(file, result) for file, result in results if not isinstance(result, ChangedError)]
        for file in changed:
            self._changed.postpone(file, time.monotonic())
        record_results(settled, self._store, self._listener)
        for file, result in settled:
            if isinstance(result, Exception):
                self._failed.postpone(file, time.monotonic())
            else:
                self._is_drawn = False
                self._failed.remove(file.key)
            self._changed.remove(file.key)

    def _find_changed(self, files: list[LakeFile]) -> list[LakeFile]:
        """Return those of the files that are new or changed."""
        known = self._store.reads.read_checkpoint([file.key for file in files])
        changes = find_changes(files, known)
        clear_stale_errors(changes, known, self._store)
        return changes.to_ingest

    @contextmanager
    def _hold_lock(self) -> Iterator[None]:
        """Hold the lock while the context lasts, and record at its end what the run did until now."""
        begun = time.monotonic()
        self._take_lock()
        self._store.begin_turn()
        try:
            yield
            self._after_turn(time.monotonic() - begun)
        except BaseException:
            self._store.release_lock()
            raise
        self._release_lock()
        self._backoff.end()

    def _offer_lock(self) -> bool:
        """Release the lock for a moment; return whether another run took it."""
        self._release_lock()
        time.sleep(RELEASE_SECONDS)
        return self._take_lock()

    def _take_lock(self) -> bool:
        """Take the lock; return whether another run had it meanwhile."""
        others = self._store.take_lock_again()
        self._locked_at = time.monotonic()
        self._is_drawn = self._is_drawn and not others
        return others

    def _release_lock(self) -> None:
        self._store.release_lock(self._tally.columns())

    def _draw_report(self) -> None:
        begun = time.monotonic()
        with self._hold_lock():
            self._draw()
        self._is_drawn, self._drawing_seconds = True, time.monotonic() - begun
        self._drawing_at = begun + self._interval
