"""`run.py check`: shows whether the counted events are as usual, and where to look if they are not."""

import json
from datetime import UTC, datetime

from processor.checks import CheckResult, check_all
from processor.commands.context import Context
from processor.commands.messages import warn_of_redefinition
from processor.errors import DONE, FAILED
from processor.formats import make_json_value


def run(context: Context) -> int:
    """Check the counted events, and return the exit code: 1 if a check found something. Nothing changes."""
    settings, console = context.settings, context.console
    with context.open_reads(context.open_lake()) as reads:
        warn_of_redefinition(reads, context)
        timezone = settings.lake_settings.definition.timezone
        results = list(check_all(reads.checks, settings.check_limits, timezone, datetime.now(UTC)))
    is_right = not any(result.findings for result in results)
    if settings.prints_json:
        checks = [
            {
                "check": result.name,
                "ok": not result.findings,
                "findings": [{"day": found.day, "says": found.says} for found in result.findings],
            }
            for result in results
        ]
        console.print_result(json.dumps({"ok": is_right, "checks": checks}, default=make_json_value))
    else:
        for result in results:
            console.show_check(result.name, not result.findings, _describe(result))
    return DONE if is_right else FAILED


def _describe(result: CheckResult) -> str:
    """Return one line about a result: what is right, or the first finding and how many more there are."""
    if not result.findings:
        return result.all_right
    more = len(result.findings) - 1
    return result.findings[0].says + (f"; and {more:,} more, which --json shows" if more else "")
