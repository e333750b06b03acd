"""Which files are counted, how they are reduced, and in which order they are committed."""

import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from processor.batches import LIMITS, Item, Limits, ReprievedError, batches
from processor.changes import EVERY_FILE, Selection, changes
from processor.lake import FileError, Lake, LakeFile
from processor.pool import LostWorkerError, Pool
from processor.reducers import CHUNK
from state.batch_writer import Failure, KnownFile, Recollection, Version
from state.database import DatabaseAwayError, DatabaseError
from state.shadow import Difference, Shadow
from state.staging import StagingLostError
from state.store import Store

if TYPE_CHECKING:
    from processor.engine import Engine
    from processor.spark import SparkPool

Result = Version | Exception | None  # what became of a file


class PruneError(Exception):
    """Pruning was refused; the message says why and what to do, and `outcome` what the run did before."""

    def __init__(self, message: str, outcome: "Outcome") -> None:
        """Why, and what was done."""
        super().__init__(message)
        self.outcome = outcome


class Listener(Protocol):
    """Who is told how a run goes on."""

    def begin(self, files: int, size: int) -> None:
        """So many files, of so many bytes, are to be counted."""

    def read(self, size: int) -> None:
        """So many bytes more were read."""

    def counted(self, version: Version) -> None:
        """A file was counted."""

    def committed(self, seconds: float) -> None:
        """A transaction that ingested files took so long."""

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
    limits: Limits = LIMITS  # of a batch
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
    with _pool(lake, todo, store, plan) as pool:
        for batch in batches(todo, pool, listener, plan.limits):
            failed.update(ingest(batch, store, listener, outcome))
    # A server that was failed over to a standby that lags, say, holds what it held before some commits.
    while store.connections != connections:
        connections = store.connections
        again = Outcome()  # where it is told what was done, the files are counted already
        missing = lost(present, store.files(), failed)
        for file in missing:
            listener.warn(f"the database lost what it had committed of {file.key}; it is counted again")
        for batch in batches(missing, Pool(lake, [], plan.chunk, 1), listener, plan.limits):
            failed.update(ingest(batch, store, listener, again))
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


def ingest(batch: list[Item], store: Store, listener: Listener, outcome: Outcome) -> list[str]:
    """Ingest a batch of files in one transaction and report what became of each; the keys of those that failed.

    Raises what hinders all files: DatabaseError, LakeError and BusyError. What was reported before stays.
    """
    failed = []
    for results in ingested(batch, store, listener):
        settle(results, store, listener, outcome)
        failed += [file.key for file, result in results if isinstance(result, Exception)]
    return failed


def ingested(
    batch: list[Item], into: "Store | Shadow", listener: Listener
) -> "Iterator[list[tuple[LakeFile, Result]]]":
    """What became of the files of a batch: the version, None where the content is the same, or why a file failed.

    That is one list for the transaction that takes them all. Where the database does not take them, each file has a
    transaction and a list of its own: what is recorded before the next one shows whether the database takes anything.
    Raises DatabaseAwayError, LakeError and BusyError.
    """
    begun = time.monotonic()
    good = [item for item in batch if item.error is None]
    found: dict[str, Result] = {item.file.key: item.error for item in batch if item.error is not None}
    try:
        if good:
            versions = into.ingest([item.read for item in good])
            listener.committed(time.monotonic() - begun)
            found |= {item.file.key: version for item, version in zip(good, versions, strict=True)}
    except (LostWorkerError, StagingLostError, ReprievedError) as error:
        for item in good:
            item.read_again(error)
        yield from ingested(batch, into, listener)
        return
    except DatabaseAwayError:
        raise
    except (FileError, DatabaseError) as error:  # only a file that is a batch of its own is read meanwhile
        if len(good) > 1:
            for item in batch:
                yield from ingested([item], into, listener)
            return
        found[good[0].file.key] = error
    yield [(item.file, found[item.file.key]) for item in batch]


def settle(results: "list[tuple[LakeFile, Result]]", store: Store, listener: Listener, outcome: Outcome) -> None:
    """Record why files failed, and report what became of all; raises DatabaseError."""
    failures = [Failure(file.key, str(result)) for file, result in results if isinstance(result, Exception)]
    if failures:
        store.fail(failures)
    report(results, listener, outcome)


def report(results: "Iterable[tuple[LakeFile, Result]]", listener: Listener, outcome: Outcome) -> None:
    """Report what became of files."""
    for file, result in results:
        if result is None:
            outcome.files_unchanged += 1
            listener.same(file.key)
        elif isinstance(result, Exception):
            _failed(outcome, listener, file.key, result)
        else:
            _counted(outcome, listener, result)


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
        _count_beside(_pool(lake, present, store, plan), present, known, shadow, listener, Outcome(), plan.limits)
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
        _count_beside(_pool(lake, present, store, plan), present, kept, shadow, listener, outcome, plan.limits)
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
    limits: Limits,
) -> None:
    listener.begin(len(present), sum(file.size for file in present))
    recalled = [
        Recollection(known[key], None)
        for key in known.keys() - {file.key for file in present}
        if known[key].fingerprint is not None
    ]
    with reducing as pool:
        for batch in batches(present, pool, listener, limits):
            for results in ingested(batch, shadow, listener):
                for file, result in results:
                    if isinstance(result, Exception):
                        before = known.get(file.key)
                        if before is not None and before.fingerprint is not None:
                            recalled.append(Recollection(before, str(result)))
                        else:
                            shadow.fail([Failure(file.key, str(result))])
                report(results, listener, outcome)
    if recalled:
        shadow.recall(recalled)
