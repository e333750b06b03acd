"""Which files are counted, how they are reduced, and in which order they are committed."""

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Protocol, TypeVar

from processor.changes import EVERY_FILE, Selection, changes
from processor.events import REASONS
from processor.lake import FileError, Lake, LakeFile
from processor.pool import LostWorkerError, Pool
from processor.reducers import CHUNK, Chunk, content_hash, newest
from processor.stretches import Reduced
from state.database import DatabaseAwayError, DatabaseError
from state.shadow import Difference, Shadow
from state.staging import Staged, StagingLostError
from state.store import Store
from state.writer import KnownFile, Reading, Version

if TYPE_CHECKING:
    from processor.engine import Engine
    from processor.spark import SparkPool

# After so many rejected lines a file that has fewer events is not written on, before it fills the database's disk.
HOPELESS = 1_000_000


T = TypeVar("T")


class PruneError(Exception):
    """Pruning was refused; the message says why and what to do, and `outcome` what the run did before."""

    def __init__(self, message: str, outcome: "Outcome") -> None:
        """Why, and what was done."""
        super().__init__(message)
        self.outcome = outcome


class ReprievedError(Exception):
    """A file had so many rejected lines on the way that it was not written on, and then turned out to be a good one."""


class Listener(Protocol):
    """Who is told how a run goes on."""

    def begin(self, files: int, size: int) -> None:
        """So many files, of so many bytes, are to be counted."""

    def read(self, size: int) -> None:
        """So many bytes more were read."""

    def counted(self, version: Version) -> None:
        """A file was counted."""

    def same(self, key: str) -> None:
        """A file was read again and holds the same."""

    def forgotten(self, key: str) -> None:
        """What a file gave was taken back."""

    def failed(self, key: str, error: str) -> None:
        """A file counts nowhere."""

    def warn(self, line: str) -> None:
        """Something went wrong that the run makes good."""


@dataclass(slots=True)
class Outcome:
    """What a run did, as `--json` prints it: numbers of files, events and rejected lines; seconds."""

    files_counted: int = 0
    files_unchanged: int = 0
    files_failed: int = 0
    files_forgotten: int = 0
    events: int = 0
    rejected: int = 0
    seconds: float = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is asked for besides counting what is new or changed."""

    prune: bool = False
    prune_all: bool = False
    workers: int = 1
    engine: "Engine | None" = None  # reduces instead of the workers
    chunk: int = CHUNK
    selection: Selection = EVERY_FILE  # files outside are neither counted nor taken for gone


def run(lake: Lake, store: Store, plan: Plan, listener: Listener) -> Outcome:
    """Count all new and changed files, each in its own transaction, then prune if asked to.

    A file that cannot be read is told to the listener and recorded; the others count. Raises LakeError,
    DatabaseError, BusyError, PruneError; what was committed before stays.
    """
    begun = time.monotonic()
    outcome = Outcome()
    connections = store.connections
    present = {file.key: file for file in lake.files() if plan.selection.holds(file.key)}
    known = {key: file for key, file in store.files().items() if plan.selection.holds(key)}
    todo = to_count(present.values(), known, store, outcome)
    listener.begin(len(todo), sum(file.size for file in todo))
    failed = set[str]()

    def count_or_fail(pool: "Pool | SparkPool", file: LakeFile, outcome: Outcome) -> None:
        try:
            count(pool, store, listener, outcome, file)
        except DatabaseAwayError:
            raise
        except (FileError, DatabaseError) as error:
            failed.add(file.key)
            fail(store, listener, outcome, file, error)

    with _pool(lake, todo, store, plan) as pool:
        for file in todo:
            count_or_fail(pool, file, outcome)
    # A server that was failed over to a standby that lags, say, holds what it held before some commits.
    while store.connections != connections:
        connections = store.connections
        for file in lost(present, store.files(), failed):
            listener.warn(f"the database lost what it had committed of {file.key}; it is counted again")
            again = Outcome()  # where it is told what was done, the file is counted already
            count_or_fail(Pool(lake, [], plan.chunk, 1), file, again)
            outcome.files_failed += again.files_failed
    if plan.prune or plan.prune_all:
        outcome.seconds = round(time.monotonic() - begun, 3)
        pruned = to_prune(plan, present, store.files(), outcome)
        for key in pruned:
            store.forget(key)
            outcome.files_forgotten += 1
            listener.forgotten(key)
        while store.connections != connections:
            connections = store.connections
            for key in store.files().keys() & pruned:
                store.forget(key)
    outcome.seconds = round(time.monotonic() - begun, 3)
    return outcome


def lost(present: Mapping[str, LakeFile], known: Mapping[str, KnownFile], failed: Collection[str]) -> list[LakeFile]:
    """The present files that a run counted, or found counted, and that the database does not know so any more."""
    found = changes(present.values(), known)
    return sorted(file for file in found.new + found.changed if file.key not in failed)


def _pool(lake: Lake, files: list[LakeFile], store: Store, plan: Plan) -> "Pool | SparkPool":
    """Who reduces these files, which are asked for in this order."""
    if plan.engine is None:
        return Pool(lake, files, plan.chunk, plan.workers)
    from processor.spark import SparkPool

    return SparkPool(plan.engine, lake, files, plan.chunk, store.staging())


def to_count(
    present: Iterable[LakeFile], known: Mapping[str, KnownFile], store: Store, outcome: Outcome
) -> list[LakeFile]:
    """The present files that are new or changed, in order; the errors of versions that are present no more go."""
    found = changes(present, known)
    outcome.files_unchanged += len(found.unchanged)
    for counted in [known[file.key] for file in found.unchanged] + found.gone:
        if counted.error is not None:
            store.clear_error(counted)
    for key in known.keys() - {file.key for file in found.new + found.changed + found.unchanged}:
        if known[key].fingerprint is None:
            store.forget(key)  # it is gone and never counted: only its error goes
    return sorted(found.new + found.changed)


def count(pool: "Pool | SparkPool", store: Store, listener: Listener, outcome: Outcome, file: LakeFile) -> None:
    """Count one file in its transaction and tell of it; raises FileError, DatabaseError, and nothing has changed then.

    Raises LakeError and BusyError, too, which are not the file's.
    """

    def attempt(hopeless: float) -> Version | None:
        return store.count(file.key, lambda: reading(file, pool.results(file), listener, hopeless))

    version = _at_last(attempt, listener)
    if version is None:
        outcome.files_unchanged += 1
        listener.same(file.key)
    else:
        _counted(outcome, listener, version)


def fail(store: Store, listener: Listener, outcome: Outcome, file: LakeFile, error: Exception) -> None:
    """Record and tell why a file counts nowhere; raises DatabaseError."""
    store.fail(file.key, str(error))
    _failed(outcome, listener, file.key, error)


def _at_last(count: Callable[[float], T], listener: Listener) -> T:
    """What counting gives, which is told after how many rejected lines a file looks hopeless."""
    hopeless: float = HOPELESS
    while True:  # a file that is asked for again is reduced in this process, which loses nothing
        try:
            return count(hopeless)
        except (LostWorkerError, StagingLostError) as error:
            listener.warn(f"{error}; its file is reduced without it")
        except ReprievedError:
            hopeless = inf


def _counted(outcome: Outcome, listener: Listener, version: Version) -> None:
    outcome.files_counted += 1
    outcome.events += version.events
    outcome.rejected += version.rejected
    listener.counted(version)


def _failed(outcome: Outcome, listener: Listener, key: str, error: Exception) -> None:
    outcome.files_failed += 1
    listener.failed(key, str(error))


def to_prune(plan: Plan, present: Collection[str], known: dict[str, KnownFile], outcome: Outcome) -> list[str]:
    """The keys of the counted files to prune, in order; raises PruneError where so many can hardly be right."""
    counted = {key for key, file in known.items() if file.fingerprint is not None and plan.selection.holds(key)}
    gone = counted.difference(present)
    if not present and not plan.prune_all:
        raise PruneError("nothing was pruned: the lake's listing is empty; say --prune-all if that is right", outcome)
    if 2 * len(gone) > len(counted) and not plan.prune_all:
        raise PruneError(
            f"nothing was pruned: {len(gone)} of {len(counted)} counted files are gone, more than half; "
            "look at LAKE_URL, and say --prune-all if that is right",
            outcome,
        )
    return sorted(gone)


def verify(lake: Lake, store: Store, plan: Plan, listener: Listener) -> Iterator[Difference]:
    """Read the whole lake again; every row of the tables that is not what it gives. Nothing changes.

    Files that are gone, outside the plan's selection or cannot be read count as what they gave when they were counted;
    the listener is told of the last. Raises LakeError, DatabaseError.
    """
    present, known = sorted(file for file in lake.files() if plan.selection.holds(file.key)), store.files()
    with store.shadow() as shadow:
        _count_beside(_pool(lake, present, store, plan), present, known, shadow, listener, Outcome())
        yield from shadow.differences()


def rebuild(lake: Lake, store: Store, plan: Plan, listener: Listener) -> Outcome:
    """Count the whole lake anew, in one transaction: readers see the old tables until all of it is done.

    Files that cannot be read keep what they gave, and so do those that are gone, unless the plan prunes them. Raises
    LakeError, DatabaseError, BusyError, PruneError; nothing has changed then.
    """
    begun = time.monotonic()
    outcome = Outcome()
    present, known = sorted(lake.files()), store.files()
    pruned = to_prune(plan, {file.key for file in present}, known, outcome) if plan.prune or plan.prune_all else []
    with store.shadow() as shadow:
        kept = {key: known[key] for key in known.keys() - set(pruned)}
        _count_beside(_pool(lake, present, store, plan), present, kept, shadow, listener, outcome)
        shadow.take_over()
    for key in pruned:
        outcome.files_forgotten += 1
        listener.forgotten(key)
    outcome.seconds = round(time.monotonic() - begun, 3)
    return outcome


def _count_beside(
    reducing: "Pool | SparkPool",
    present: list[LakeFile],
    known: dict[str, KnownFile],
    shadow: Shadow,
    listener: Listener,
    outcome: Outcome,
) -> None:
    listener.begin(len(present), sum(file.size for file in present))
    with reducing as pool:
        for file in present:

            def count(hopeless: float, file: LakeFile = file) -> Version:
                return shadow.count(reading(file, pool.results(file), listener, hopeless))

            try:
                version = _at_last(count, listener)
            except FileError as error:
                shadow.fail(file.key, str(error), known.get(file.key))
                _failed(outcome, listener, file.key, error)
            else:
                _counted(outcome, listener, version)
    for gone in known.keys() - {file.key for file in present}:
        if known[gone].fingerprint is not None:
            shadow.recall(known[gone])


def reading(file: LakeFile, results: Iterator[Reduced], listener: Listener, hopeless: float = HOPELESS) -> Reading:
    """What a file gives, as it is asked for, and then its version; raises FileError.

    After so many rejected lines, more than events, no more rows come; raises ReprievedError where all the lines then
    say otherwise.
    """
    chunks: dict[int, Chunk] = {}
    counts, reasons = Counter(events=0, empty=0), Counter[str]()
    newest_at: int | None = None

    def rows() -> Iterator[dict[str, bytes] | Staged]:
        nonlocal newest_at
        is_hopeless = False
        try:
            for result in results:
                listener.read(result.size)
                chunks.update(result.chunks)
                counts.update(events=result.events, empty=result.empty)
                reasons.update(result.reasons)
                newest_at = newest(newest_at, result.newest_at)
                is_hopeless = is_hopeless or reasons.total() > max(hopeless, counts["events"])
                if not is_hopeless:
                    yield result.rows
        except FileError as error:
            listener.read(error.size)
            raise
        events, rejected = counts["events"], reasons.total()
        if rejected > events:
            reason, _ = reasons.most_common(1)[0]
            raise FileError(
                f"{rejected} of its {events + rejected} lines were rejected, more than half, most often because "
                f"{REASONS[reason]}; write it again"
            )
        if is_hopeless:
            raise ReprievedError

    def version() -> Version:
        lines = sum(chunk.lines for chunk in chunks.values()) - 1  # but the header
        return Version(
            file.key,
            file.fingerprint,
            file.size,
            content_hash(chunks),
            lines,
            rejected=reasons.total(),
            newest_at=newest_at,
            reasons=reasons,
            **counts,
        )

    return Reading(rows(), version)
