"""Commands that change the database, each under its lock, or that need the lock to read it whole."""

import json
import shlex
import time
from argparse import Namespace
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from processor import pipeline
from processor.arrivals import arrivals_of
from processor.console import Console, several
from processor.lake import Lake, caution, storable
from processor.painter import Painter
from processor.pipeline import Outcome, Plan, PruneError
from processor.record import Record
from processor.stop import Stopped
from processor.told import DONE, FAILED, FailedError, nothing_there, unknown
from processor.watch import Watch
from state.store import Store

PAGE, PICTURE = Path("report", "index.html"), Path("report", "click_through_rate.png")


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
        outcome = (pipeline.rebuild if options.command == "rebuild" else pipeline.run)(lake, store, plan, record)
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
    if (line := caution(lake)) is not None:
        console.warn(line)
    if refusal:
        raise refusal
    return FAILED if outcome.files_failed else DONE


def watch(
    lake: Lake,
    store: Store,
    options: Namespace,
    console: Console,
    record: Record,
    done: Callable[[float], None] = lambda _: None,
) -> int:
    """Count what is there and what comes, until a signal ends it; `done` is told of each batch how long it took."""
    plan = Plan(workers=options.workers, limits=options.limits, selection=options.selection)
    watching = None
    try:
        arrivals = arrivals_of(lake, options.queue, console.warn)
        watching = Watch(lake, store, arrivals, plan, options.interval, record, lambda: redraw(store, console), done)
        watching.go_on()
    except Stopped as signal_name:
        if watching is not None:
            watching.end()
        did = record.did
        counted = f"{several(did['files_counted'], 'file')} counted ({several(did['events'], 'event')})"
        console.say(f"Stopped by {signal_name}: {counted}, {did['files_failed']:,} failed.")
    return DONE


def draw(store: Store, console: Console, painter: Painter) -> None:
    """Draw the picture and the page where they show another state; that they cannot be written fails no run."""
    from processor import overview, page
    from processor.report import write

    try:
        if page.state_of(PAGE) == store.report_state() and PICTURE.exists() and PICTURE.with_suffix(".svg").exists():
            return
        seen = overview.read(store)
        with painter.drawing(seen.summary, PICTURE):
            html = page.html(seen)
        write(PAGE, html.encode())  # the last one, as it says what both show
    except OSError as error:
        console.error(f"the report in {PAGE.parent} cannot be written ({error.strerror}); make its folder writable")


def redraw(store: Store, console: Console) -> None:
    """Draw as `draw` does, by a painter of its own."""
    with Painter() as painter:
        draw(store, console, painter)


def forget(_: Lake, store: Store, options: Namespace, console: Console, record: Record) -> int:
    """Take back what one file gave."""
    begun = time.monotonic()
    key = storable(options.key)
    if not store.forget(key):
        raise FailedError(unknown(key))
    record.forgotten(key)
    if options.json:
        console.result(json.dumps(asdict(Outcome(files_forgotten=1, seconds=round(time.monotonic() - begun, 3)))))
    redraw(store, console)
    return DONE


def verify(lake: Lake, store: Store, options: Namespace, console: Console, record: Record) -> int:
    """Read the whole lake again and name every row that is not what it gives."""
    console.verb = "read"
    plan = Plan(workers=options.workers, engine=options.engine, limits=options.limits, selection=options.selection)
    found = 0
    for difference in pipeline.verify(lake, store, plan, record):
        console.difference(difference)
        found += 1
    console.end()
    if options.json:
        read = {name: record.did[name] for name in ("files_failed", "events", "rejected")}
        console.result(json.dumps({"differences": found, "files_read": record.did["files_counted"], **read}))
    if found:
        raise FailedError(f"{several(found, 'difference')} from the lake: count anew with python run.py --rebuild")
    if record.did["files_failed"]:
        files = several(record.did["files_failed"], "file")
        raise FailedError(f"{files} cannot be read, so that what they gave could not be compared")
    console.say("The tables are what the lake gives.")
    return DONE


ACTS = {"count": count, "rebuild": count, "watch": watch, "forget": forget, "verify": verify}
