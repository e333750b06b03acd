"""`run.py verify`: reads the whole lake again and names every row that differs."""

import json
from argparse import Namespace

from processor.commands.messages import DONE, FailedError
from processor.lake.base import Lake
from processor.output.console import Console, several
from processor.output.run_tally import Record
from processor.plan import Plan
from processor.verify import verify as differences
from state.store import Store


def verify(lake: Lake, store: Store, options: Namespace, console: Console, record: Record) -> int:
    """Read the whole lake again and name every row that is not what it gives."""
    console.verb = "read"
    plan = Plan(workers=options.workers, engine=options.engine, limits=options.limits, selection=options.selection)
    found = 0
    for difference in differences(lake, store, plan, record):
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
