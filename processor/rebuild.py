"""Ingests the whole lake again beside the tables, and then puts the result in their place."""

from processor.batches import make_batches
from processor.errors import FailedError
from processor.formats import pluralize
from processor.ingest_batch import ingest_batch, report_results
from processor.lake.base import Lake, LakeFile
from processor.listener import Listener
from processor.plan import Plan, find_keys_to_prune
from state.comparison import ComparisonTables
from state.files import Failure, KeptFile, KnownFile
from state.store import Store


def rebuild(lake: Lake, store: Store, plan: Plan, listener: Listener) -> None:
    """Ingest the whole lake again, in one transaction: readers see the old tables until it commits.

    Failed files keep their contributions, and so do missing files, unless the plan prunes them. But if the definition
    changes, it is unknown what they would contribute under the new one: such a file then raises FailedError.

    lake: where the files are. store: the database. plan: how files are reduced, and whether to prune. listener: is
    informed of every result.
    Raises LakeError, DatabaseError, BusyError, PruneError and FailedError; nothing has changed then.
    """
    known = store.reads.read_checkpoint()
    present = sorted(lake.list_files(known))
    pruned = find_keys_to_prune(plan, {file.key for file in present}, known)
    with store.comparison_tables() as tables:
        kept = {key: known[key] for key in known.keys() - set(pruned)}
        fill(tables, lake, present, kept, plan, listener, keeps=not store.is_redefined)
        tables.apply()
    for key in pruned:
        listener.forgotten(key)


def fill(
    tables: ComparisonTables,
    lake: Lake,
    present: list[LakeFile],
    known: dict[str, KnownFile],
    plan: Plan,
    listener: Listener,
    keeps: bool = True,
) -> None:
    """Ingest files of the lake into the comparison tables, and report the result of each.

    Files of the checkpoint that are not present, or that cannot be read, contribute what they contributed when they
    were ingested.

    tables: the comparison tables. lake: where the files are. present: the files to read, in the order of their keys.
    known: the checkpoint, by key. plan: how files are reduced. listener: is informed of every result.
    keeps: whether files may contribute what they did; otherwise the first that must raises FailedError.
    Raises LakeError, DatabaseError and BusyError.
    """
    listener.started(len(present), sum(file.size for file in present))
    kept = [
        KeptFile(known[key], None)
        for key in known.keys() - {file.key for file in present}
        if known[key].fingerprint is not None
    ]
    _check_kept(kept, keeps)
    with plan.open_reducer(lake, present) as reducer:
        for batch in make_batches(present, reducer, listener, plan.limits):
            for results in ingest_batch(batch, tables, listener):
                for file, result in results:
                    if isinstance(result, Exception):
                        before = known.get(file.key)
                        if before is not None and before.fingerprint is not None:
                            kept.append(KeptFile(before, str(result)))
                        else:
                            tables.fail([Failure(file.key, str(result))])
                report_results(results, listener)
                _check_kept(kept, keeps)
    if kept:
        tables.keep(kept)


def _check_kept(kept: list[KeptFile], keeps: bool) -> None:
    if kept and not keeps:
        key = min(file.file.key for file in kept)
        raise FailedError(
            f"{pluralize(len(kept), 'counted file')} cannot be counted with another lake.toml, such as {key}, as "
            "it is missing or cannot be read: put it back, or delete it and pass --rebuild --prune; nothing has changed"
        )
