"""Compares the tables with what the whole lake gives."""

from collections.abc import Iterator

from processor.lake.base import Lake
from processor.pipeline import _pool
from processor.plan import Plan
from processor.rebuild import _count_beside
from processor.run_tally import Listener, Outcome
from state.comparison import Difference
from state.store import Store


def verify(lake: Lake, store: Store, plan: Plan, listener: Listener) -> Iterator[Difference]:
    """Read the whole lake again; every row of the tables that is not what it gives. Nothing changes.

    Files that are gone, outside the plan's selection or cannot be read count as what they gave when they were counted;
    the listener is told of the last. Raises LakeError, DatabaseError.
    """
    present, known = sorted(file for file in lake.list_files() if plan.selection.includes(file.key)), store.files()
    with store.shadow() as shadow:
        _count_beside(_pool(lake, present, store, plan), present, known, shadow, listener, Outcome(), plan.limits)
        yield from shadow.differences()
