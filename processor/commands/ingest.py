"""Ingests what is new or changed in the lake, or all of it: `run.py` and `run.py --rebuild`."""

import json
import shlex
from contextlib import suppress

from processor import pipeline
from processor.commands.context import RunContext
from processor.commands.draw_report import PAGE, PICTURE, draw_report
from processor.commands.messages import describe_empty_lake
from processor.errors import DONE, FAILED
from processor.plan import PruneError
from processor.rebuild import rebuild


def run(context: RunContext) -> int:
    """Ingest the lake, show the result and draw the report."""
    settings, console, tally = context.settings, context.console, context.tally
    refusal = None
    try:
        (rebuild if settings.rebuilds else pipeline.run)(context.lake, context.store, context.plan, context.listener)
    except PruneError as error:
        refusal = error
    tally.stop_clock()
    console.end()
    console.log_summary(tally)
    if refusal is None and not tally.files_counted + tally.files_unchanged + tally.files_failed:
        console.warn(describe_empty_lake(context.lake, settings))
    if settings.prints_json:
        console.print_result(json.dumps(tally.summary()))
    else:
        psql = f"LAKE_URL={shlex.quote(context.lake.url)} make psql"
        console.log_first_rows(
            context.store.reads.read_first_rows(), psql if settings.is_embedded else "psql, with the same settings"
        )
    draw_report(context.store, console)
    with suppress(OSError):  # the current folder was deleted, as `draw_report` reported
        console.log_report(str(PAGE.resolve()), str(PICTURE.resolve()))
    if (line := context.lake.describe_weak_fingerprints()) is not None:
        console.warn(line)
    if refusal:
        raise refusal
    return FAILED if tally.files_failed else DONE
