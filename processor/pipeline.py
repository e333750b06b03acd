"""The main job: list, plan, ingest, prune."""

from collections.abc import Collection, Mapping

from processor.batches import make_batches
from processor.formats import pluralize
from processor.ingest_batch import ingest_batch, record_results
from processor.lake.base import Lake, LakeFile
from processor.listener import Listener
from processor.plan import Changes, Plan, find_changes, find_keys_to_prune
from state.errors import DatabaseError
from state.files import KnownFile
from state.store import Store


def run(lake: Lake, store: Store, plan: Plan, listener: Listener) -> None:
    """Ingest all new and changed files of the lake, then prune if the plan says so.

    A file that cannot be read is reported and recorded, and the other files are ingested.

    lake: where the files are. store: the database. plan: what else to do, and how. listener: is informed of everything.
    Raises LakeError, DatabaseError, BusyError and PruneError; what was committed before stays.
    """
    connection_count = store.connections

    checkpoint = store.reads.read_checkpoint()
    present = {file.key: file for file in lake.list_files(checkpoint, plan.selection)}

    known = plan.selection.of(checkpoint)
    changes = find_changes(present.values(), known, plan.recounts)
    listener.listed(unchanged=len(changes.unchanged))
    clear_stale_errors(changes, known, store)

    failed = ingest(changes.to_ingest, lake, store, plan, listener)
    pruned = prune(present, store, plan, listener) if plan.prunes else []

    if store.connections != connection_count:
        expected = [file for key, file in present.items() if key not in failed]
        check_commits(expected, pruned, store)


def ingest(files: list[LakeFile], lake: Lake, store: Store, plan: Plan, listener: Listener) -> set[str]:
    """Ingest files in batches and report the result of each; return the keys of those that failed.

    files: in the order of their keys. lake: where they are. store: the database. plan: how they are reduced, and the
    limits of a batch. listener: is informed of every result.
    Raises LakeError, DatabaseError and BusyError; what was committed before stays.
    """
    failed = set[str]()
    listener.started(len(files), sum(file.size for file in files))
    with plan.open_reducer(lake, files) as reducer:
        for batch in make_batches(files, reducer, listener, plan.limits):
            for results in ingest_batch(batch, store, listener, plan.recounts):
                record_results(results, store, listener)
                failed.update(file.key for file, result in results if isinstance(result, Exception))
    return failed


def prune(present: Collection[str], store: Store, plan: Plan, listener: Listener) -> list[str]:
    """Retract and forget the missing files; return their keys. Raises PruneError and DatabaseError.

    present: the keys of the lake's files. store: the database. plan: which files to prune. listener: is informed of
    each forgotten file.
    """
    keys = find_keys_to_prune(plan, present, store.reads.read_checkpoint())
    for key in keys:
        store.forget(key)
        listener.forgotten(key)
    return keys


def clear_stale_errors(changes: Changes, known: Mapping[str, KnownFile], store: Store) -> None:
    """Clear the errors of versions that are not in the lake any more.

    A file that was never ingested and is missing now has nothing but an error, so it is forgotten.

    changes: how the lake differs from the checkpoint. known: the checkpoint, by key. store: the database.
    Raises DatabaseError.
    """
    for file in changes.missing:
        if file.error is not None:
            store.clear_error(file)
    present = {file.key for file in changes.to_ingest + changes.unchanged}
    for key in known.keys() - present:
        if known[key].fingerprint is None:
            store.forget(key)


def check_commits(ingested: list[LakeFile], pruned: list[str], store: Store) -> None:
    """Raise DatabaseError if the database lost commits of this run or of earlier ones.

    After a failover to a standby that lags, the server holds less than was committed. The next run ingests that again.

    ingested: files that the checkpoint must name. pruned: keys that it must not name. store: the database.
    """
    known = store.reads.read_checkpoint()
    lost = [file.key for file in find_changes(ingested, known).to_ingest] + [key for key in pruned if key in known]
    if lost:
        raise DatabaseError(f"the database lost what it had committed of {pluralize(len(lost), 'file')}; run again")
