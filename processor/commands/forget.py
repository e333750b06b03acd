"""`run.py forget`: retracts what one file contributed."""

import json
from argparse import Namespace

from processor.commands.drawing import redraw
from processor.commands.messages import DONE, FailedError, unknown
from processor.lake.base import Lake, escape_unstorable
from processor.output.console import Console
from processor.run_tally import RunTally
from state.store import Store


def forget(_: Lake, store: Store, options: Namespace, console: Console, tally: RunTally) -> int:
    """Take back what one file gave."""
    key = escape_unstorable(options.key)
    if not store.forget(key):
        raise FailedError(unknown(key))
    tally.forgotten(key)
    if options.json:
        console.result(json.dumps(tally.summary()))
    redraw(store, console)
    return DONE
