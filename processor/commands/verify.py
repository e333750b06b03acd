"""`run.py verify`: reads the whole lake again and names every row that differs."""

import json

from processor.commands.context import RunContext
from processor.errors import DONE, FailedError
from processor.formats import pluralize
from processor.verify import verify


def run(context: RunContext) -> int:
    """Read the whole lake again and name every row of the tables that differs from it."""
    settings, console, tally = context.settings, context.console, context.tally
    differences = 0
    for difference in verify(context.lake, context.store, context.plan, context.listener):
        console.print_difference(difference)
        differences += 1
    console.end()
    if settings.prints_json:
        read = {"files_read": tally.files_counted, "files_failed": tally.files_failed}
        lines = {"events": tally.events, "rejected": tally.rejected}
        console.print_result(json.dumps({"differences": differences, **read, **lines}))
    if differences:
        raise FailedError(
            f"{pluralize(differences, 'difference')} from the lake: count the lake again with python run.py --rebuild"
        )
    if tally.files_failed:
        files = pluralize(tally.files_failed, "file")
        raise FailedError(f"{files} cannot be read, so what they contribute could not be compared")
    console.log("The tables match the lake.")
    return DONE
