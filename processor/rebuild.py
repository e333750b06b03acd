"""Ingests the whole lake anew into tables beside the true ones, and takes them over."""

import time
from typing import TYPE_CHECKING

from processor.batches import Limits, batches
from processor.lake.base import Lake, LakeFile
from processor.pipeline import _pool, ingested, report
from processor.plan import Plan, to_prune
from processor.run_tally import Listener, Outcome
from state.batch_writer import Failure, KnownFile, Recollection
from state.comparison import Shadow
from state.store import Store

if TYPE_CHECKING:
    from processor.reducing.process_pool import Pool
    from processor.spark.reducer import SparkPool


def rebuild(lake: Lake, store: Store, plan: Plan, listener: Listener) -> Outcome:
    """Count the whole lake anew, in one transaction: readers see the old tables until all of it is done.

    Files that cannot be read keep what they gave, and so do those that are gone, unless the plan prunes them. Raises
    LakeError, DatabaseError, BusyError, PruneError; nothing has changed then.
    """
    begun = time.monotonic()
    outcome = Outcome()
    present, known = sorted(lake.list_files()), store.files()
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
