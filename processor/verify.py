"""Compares the tables with a fresh ingest of the whole lake."""

from collections.abc import Iterator

from processor.lake.base import Lake
from processor.listener import Listener
from processor.plan import Plan
from processor.rebuild import fill
from state.comparison import Difference
from state.store import Store


def verify(lake: Lake, store: Store, plan: Plan, listener: Listener) -> Iterator[Difference]:
    """Read the whole lake again and yield every row of the tables that differs from it. Nothing changes.

    Files that are missing, outside the plan's selection or unreadable are expected to contribute what they contributed
    when they were ingested; the unreadable ones are reported.

    lake: where the files are. store: the database. plan: how files are reduced, and which. listener: is informed of
    every result. Raises LakeError and DatabaseError.
    """
    known = store.reads.read_checkpoint()
    present = sorted(lake.list_files(known, plan.selection))
    with store.comparison_tables() as tables:
        fill(tables, lake, present, known, plan, listener)
        yield from tables.differences()
