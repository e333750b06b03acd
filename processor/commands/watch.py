"""`run.py watch`: ingests files as they arrive, until a signal ends it."""

from processor.commands.context import RunContext
from processor.commands.draw_report import draw_report
from processor.errors import DONE
from processor.formats import pluralize
from processor.signals import StopRequest
from processor.watch import Watch


def run(context: RunContext) -> int:
    """Ingest the present files and those that arrive, until a signal."""
    settings, console, tally = context.settings, context.console, context.tally
    watching = None
    try:
        notifications = context.lake.open_notifications(settings.queue_url, console.warn)
        watching = Watch(
            context.lake,
            context.store,
            notifications,
            context.plan,
            settings.interval_seconds,
            tally,
            context.listener,
            lambda: draw_report(context.store, console),
            context.record_turn,
        )
        watching.run()
    except StopRequest as signal_name:
        if watching is not None:
            watching.end()
        counted = f"{pluralize(tally.files_counted, 'file')} counted ({pluralize(tally.events, 'event')})"
        console.log(f"Stopped by {signal_name}: {counted}, {tally.files_failed:,} failed.")
    return DONE
