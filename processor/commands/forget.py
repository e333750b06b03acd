"""`run.py forget`: retracts what one file contributed, or forgets users."""

import json

from processor.commands.context import RunContext
from processor.commands.draw_report import draw_report
from processor.commands.messages import UnknownKeyError
from processor.errors import DONE
from processor.lake.keys import escape_unstorable


def run(context: RunContext) -> int:
    """Retract what one file contributed, and forget the file; or forget users."""
    settings, users = context.settings, {}
    if settings.user_ids:
        users = context.store.forget_users(settings.user_ids)
        context.console.log_forgotten_users(users)
    else:
        assert settings.key is not None
        key = escape_unstorable(settings.key)
        if not context.store.forget(key):
            raise UnknownKeyError(key)
        context.listener.forgotten(key)
    if settings.prints_json:
        context.console.print_result(json.dumps({**users, **context.tally.summary()}))
    draw_report(context.store, context.console)
    return DONE
