"""Ingests what is new or changed in the lake, or all of it: `run.py` and `run.py --rebuild`."""

import json
import shlex
from argparse import Namespace
from contextlib import suppress
from dataclasses import asdict

from processor import pipeline
from processor.commands.drawing import PAGE, PICTURE, draw
from processor.commands.messages import DONE, FAILED, nothing_there
from processor.lake.base import Lake
from processor.lake.location import describe_weak_fingerprints
from processor.output.console import Console
from processor.output.run_tally import Record
from processor.plan import Plan, PruneError
from processor.rebuild import rebuild
from processor.report.figure_process import Painter
from state.store import Store


def count(lake: Lake, store: Store, options: Namespace, console: Console, record: Record) -> int:
    """Count the lake, show what came of it and draw the report."""
    with Painter() as painter:
        record.before_last = painter.prepare
        return _count(lake, store, options, console, record, painter)


def _count(lake: Lake, store: Store, options: Namespace, console: Console, record: Record, painter: Painter) -> int:
    plan = Plan(
        options.prune,
        options.prune_all,
        options.workers,
        options.engine,
        limits=options.limits,
        selection=options.selection,
    )
    refusal = None
    try:
        outcome = (rebuild if options.command == "rebuild" else pipeline.run)(lake, store, plan, record)
    except PruneError as error:
        refusal, outcome = error, error.outcome
    record.did["files_unchanged"], record.seconds = outcome.files_unchanged, outcome.seconds
    console.end()
    console.summary(outcome)
    if refusal is None and not outcome.files_counted + outcome.files_unchanged + outcome.files_failed:
        console.warn(nothing_there(lake, options))
    if options.json:
        console.result(json.dumps(asdict(outcome)))
    elif console.shows_tables:
        for table, columns, rows in store.first_rows():
            console.say()
            console.table(f"The first rows of {table}:", columns, rows)
        console.say()
        psql = f"LAKE_URL={shlex.quote(lake.url)} make psql"
        console.say(f"Open them:  {psql if options.is_embedded else 'psql, with the same settings'}")
    draw(store, console, painter)
    with suppress(OSError):  # there is no current folder, as `draw` said
        console.report(str(PAGE.resolve()), str(PICTURE.resolve()))
    if (line := describe_weak_fingerprints(lake)) is not None:
        console.warn(line)
    if refusal:
        raise refusal
    return FAILED if outcome.files_failed else DONE
