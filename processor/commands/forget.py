"""`run.py forget`: retracts what one file contributed."""

import json

from processor.commands.drawing import draw
from processor.commands.messages import unknown
from processor.errors import DONE, FailedError
from processor.lake.base import Lake, escape_unstorable
from processor.output.console import Console
from processor.run_tally import RunTally
from processor.settings import Settings
from state.store import Store


def forget(_: Lake, store: Store, settings: Settings, console: Console, tally: RunTally) -> int:
    """Retract what one file contributed, and forget the file."""
    assert settings.key is not None
    key = escape_unstorable(settings.key)
    if not store.forget(key):
        raise FailedError(unknown(key))
    tally.forgotten(key)
    if settings.prints_json:
        console.result(json.dumps(tally.summary()))
    draw(store, console)
    return DONE
