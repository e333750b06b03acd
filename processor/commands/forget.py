"""`run.py forget`: retracts what one file contributed."""

import json
import time
from argparse import Namespace
from dataclasses import asdict

from processor.commands.drawing import redraw
from processor.commands.messages import DONE, FailedError, unknown
from processor.lake.base import Lake, escape_unstorable
from processor.output.console import Console
from processor.output.run_tally import Record
from processor.run_tally import Outcome
from state.store import Store


def forget(_: Lake, store: Store, options: Namespace, console: Console, record: Record) -> int:
    """Take back what one file gave."""
    begun = time.monotonic()
    key = escape_unstorable(options.key)
    if not store.forget(key):
        raise FailedError(unknown(key))
    record.forgotten(key)
    if options.json:
        console.result(json.dumps(asdict(Outcome(files_forgotten=1, seconds=round(time.monotonic() - begun, 3)))))
    redraw(store, console)
    return DONE
