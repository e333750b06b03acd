"""`run.py watch`: ingests what is there and what comes, until a signal ends it."""

from argparse import Namespace
from collections.abc import Callable

from processor.commands.drawing import redraw
from processor.commands.messages import DONE
from processor.lake.base import Lake
from processor.lake.notifications import open_notifications
from processor.output.console import Console
from processor.output.formats import pluralize
from processor.plan import Plan
from processor.run_tally import RunTally
from processor.signals import StopRequest
from processor.watch import Watch
from state.store import Store


def watch(
    lake: Lake,
    store: Store,
    options: Namespace,
    console: Console,
    tally: RunTally,
    done: Callable[[float], None] = lambda _: None,
) -> int:
    """Count what is there and what comes, until a signal ends it; `done` is told of each batch how long it took."""
    plan = Plan(open_reducer=options.open_reducer, limits=options.limits, selection=options.selection)
    watching = None
    try:
        notifications = open_notifications(lake, options.queue, console.warn)
        watching = Watch(
            lake, store, notifications, plan, options.interval, tally, lambda: redraw(store, console), done
        )
        watching.run()
    except StopRequest as signal_name:
        if watching is not None:
            watching.end()
        counted = f"{pluralize(tally.files_counted, 'file')} counted ({pluralize(tally.events, 'event')})"
        console.log(f"Stopped by {signal_name}: {counted}, {tally.files_failed:,} failed.")
    return DONE
