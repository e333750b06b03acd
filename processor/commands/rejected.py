"""`run.py rejected`: shows the rejected lines."""

from processor.commands.context import Context
from processor.commands.messages import UnknownKeyError
from processor.errors import DONE
from processor.lake.keys import escape_unstorable


def run(context: Context) -> int:
    """Show the rejected lines of one file or of all files."""
    key = None if context.settings.key is None else escape_unstorable(context.settings.key)
    with context.open_reads(context.open_lake()) as reads:
        if key is not None and not reads.read_checkpoint([key]):
            raise UnknownKeyError(key)
        context.console.print_rejected_lines(reads.read_rejected_lines(key), context.settings.prints_tsv)
    return DONE
