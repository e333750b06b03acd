"""Which files are counted, how they are reduced, and in which order they are committed."""

import time
from typing import TYPE_CHECKING

from processor.batches import Item, ReprievedError, batches
from processor.lake.base import FileError, Lake, LakeFile
from processor.plan import Plan, lost, to_count, to_prune
from processor.reducing.process_pool import LostWorkerError, Pool
from processor.run_tally import Listener, Outcome
from state.batch_writer import Failure, Version
from state.connection import DatabaseAwayError, DatabaseError
from state.staging import StagingLostError
from state.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from processor.spark.reducer import SparkPool
    from state.comparison import Shadow

Result = Version | Exception | None  # what became of a file


def run(lake: Lake, store: Store, plan: Plan, listener: Listener) -> Outcome:
    """Count all new and changed files, each in its own transaction, then prune if asked to.

    A file that cannot be read is told to the listener and recorded; the others count. Raises LakeError,
    DatabaseError, BusyError, PruneError; what was committed before stays.
    """
    begun = time.monotonic()
    outcome = Outcome()
    connections = store.connections
    present = {file.key: file for file in lake.list_files() if plan.selection.includes(file.key)}
    known = {key: file for key, file in store.files().items() if plan.selection.includes(key)}
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


def _pool(lake: Lake, files: list[LakeFile], store: Store, plan: Plan) -> "Pool | SparkPool":
    """Who reduces these files, which are asked for in this order."""
    if plan.engine is None:
        return Pool(lake, files, plan.chunk, plan.workers)
    from processor.spark.reducer import SparkPool

    return SparkPool(plan.engine, lake, files, plan.chunk, store.staging())


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
