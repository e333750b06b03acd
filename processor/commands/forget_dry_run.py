"""`run.py forget --dry-run`: shows what forgetting users would delete."""

import json

from processor.commands.context import Context
from processor.commands.messages import warn_of_redefinition
from processor.errors import DONE
from processor.output.console import describe_users


def run(context: Context) -> int:
    """Show what forgetting users would delete."""
    with context.open_reads(context.open_lake()) as reads:
        warn_of_redefinition(reads, context)
        users = reads.measure_users(list(context.settings.user_ids))
    if context.settings.prints_json:
        context.console.print_result(json.dumps(users))
    else:
        for line in describe_users("would forget", users):
            context.console.show(line)
    return DONE
