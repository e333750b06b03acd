"""A watch on a clock of the test, with everything that it uses."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from processor.lake.base import ChangedError, LakeFile
from processor.lake.folder import FolderLake
from processor.lake.notifications import NoNotifications
from processor.lake.selection import EVERY_FILE, Selection
from processor.plan import Plan
from processor.signals import StopRequest
from processor.watch import Watch
from state.errors import DatabaseError
from state.files import FileVersion
from state.run import Run
from state.store import Store
from tests.support.event_files import events
from tests.support.ingest import SilentTally
from tests.support.lake_folders import write_lake

INTERVAL = 10.0


class Clock:
    """A clock that moves when somebody waits."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class ScriptedNotifications(NoNotifications):
    """Notifications that follow a script, one step for each wait; a signal comes at its end."""

    def __init__(self, clock: Clock, steps: list[Callable[[], list[str]] | None]) -> None:
        self._clock, self._steps = clock, iter(steps)
        self.waits: list[float] = []
        self.acknowledged: list[set[str]] = []
        self.is_closed = False

    def wait(self, seconds: float) -> list[str]:
        self.waits.append(round(seconds, 3))
        step = next(self._steps, stopped)
        if step is None:
            self._clock.now += seconds
            return []
        return step()

    def acknowledge(self, keys: Collection[str]) -> None:
        self.acknowledged.append(set(keys))

    def close(self) -> None:
        self.is_closed = True


def stopped() -> list[str]:
    raise StopRequest("SIGTERM")


class SlowTally(SilentTally):
    """A tally that records warnings, and takes some time for each ingested file."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.counts = Counter[str]()
        self.clock, self.file_seconds = clock, 0.0

    def warn(self, line: str) -> None:
        self.lines.append(line)

    def ingested(self, version: FileVersion) -> None:
        super().ingested(version)
        self.counts["counted"] += 1
        self.clock.now += self.file_seconds

    def failed(self, key: str, error: str) -> None:
        super().failed(key, error)
        self.counts[key] += 1


class RecordingStore(Store):
    """A store that records when the lock is taken and released."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.turns: list[str] = []
        self.errors: list[Exception] = []

    def take_lock_again(self) -> bool:
        if self.errors:
            raise self.errors.pop()
        self.turns.append("take")
        return super().take_lock_again()

    def release_lock(self, numbers: Any = None) -> None:
        self.turns.append("release")
        super().release_lock(numbers)


class FlakyLake(FolderLake):
    """A folder with files that cannot be read for a while."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self.changing = Counter[str]()
        self.opened = Counter[str]()
        self.looks: list[str] = []
        self.listings = 0
        self.errors: list[Exception] = []

    def list_files(self, known: Iterable[str] = (), selection: Selection = EVERY_FILE, /) -> Iterator[LakeFile]:
        self.listings += 1
        if self.errors:
            raise self.errors.pop()
        return super().list_files(known, selection)

    def find(self, path: str) -> LakeFile | None:
        self.looks.append(path)
        return super().find(path)

    def open(self, file: LakeFile, start: int = 0, stop: int | None = None) -> Any:
        self.opened[file.key] += 1
        if self.changing[file.key]:
            self.changing[file.key] -= 1
            raise ChangedError("it was replaced while it was read")
        return super().open(file, start, stop)


class Scene:
    """A watch of a folder, with everything that it uses."""

    def __init__(self, uri: str, clock: Clock, lake: FlakyLake, store: RecordingStore) -> None:
        self.uri, self.clock, self.lake, self.store = uri, clock, lake, store
        self.tally = SlowTally(clock)
        self.drawn: list[float] = []
        self.batches: list[float] = []
        self.drawing = 0.0
        self.drawing_fails = False

    def run(self, *steps: Callable[[], list[str]] | None, ends: type[BaseException] = StopRequest, **plan: Any) -> None:
        """Run the watch; `steps` are executed while it waits for notifications."""
        self.notifications = ScriptedNotifications(self.clock, list(steps))
        self.watch = Watch(
            self.lake, self.store, self.notifications, Plan(**plan), INTERVAL, self.tally, self.tally, self.draw,
            self.batches.append,
        )  # fmt: skip
        with pytest.raises(ends):
            self.watch.run()

    def draw(self) -> None:
        if self.drawing_fails:
            raise DatabaseError("no right")
        self.drawn.append(self.clock.now)
        self.clock.now += self.drawing

    def write(self, *names: str, lines: int = 9) -> Callable[[], list[str]]:
        """Return a step that writes files and notifies of them."""

        def step() -> list[str]:
            write_lake(Path(self.lake.url), {name: events(1, lines, "t") for name in names})
            return list(names)

        return step
