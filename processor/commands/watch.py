"""`run.py watch`: ingests files as they arrive, until a signal ends it."""

from collections.abc import Callable

from processor.commands.drawing import draw
from processor.errors import DONE
from processor.formats import pluralize
from processor.lake.base import Lake
from processor.lake.notifications import open_notifications
from processor.output.console import Console
from processor.plan import Plan
from processor.reducing.reducer import OpenReducer
from processor.run_tally import RunTally
from processor.settings import Settings
from processor.signals import StopRequest
from processor.watch import Watch
from state.store import Store


def watch(
    lake: Lake,
    store: Store,
    settings: Settings,
    console: Console,
    tally: RunTally,
    open_reducer: OpenReducer,
    on_batch: Callable[[float], None] = lambda _: None,
) -> int:
    """Ingest the present files and those that arrive, until a signal; `on_batch` gets the seconds of each batch."""
    plan = Plan(open_reducer=open_reducer, limits=settings.limits, selection=settings.selection)
    watching = None
    try:
        notifications = open_notifications(lake, settings.queue_url, console.warn)
        watching = Watch(
            lake, store, notifications, plan, settings.interval_seconds, tally, lambda: draw(store, console), on_batch
        )
        watching.run()
    except StopRequest as signal_name:
        if watching is not None:
            watching.end()
        counted = f"{pluralize(tally.files_counted, 'file')} counted ({pluralize(tally.events, 'event')})"
        console.log(f"Stopped by {signal_name}: {counted}, {tally.files_failed:,} failed.")
    return DONE
