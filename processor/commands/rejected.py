"""`run.py rejected`: shows the lines that count nowhere."""

from argparse import Namespace

from processor.commands.messages import DONE, FailedError, unknown
from processor.lake.base import Lake, escape_unstorable
from processor.output.console import Console
from state.connection import Connection
from state.reads import Reads


def rejected(_: Lake, database: Connection, options: Namespace, console: Console) -> int:
    """Show the lines that count nowhere, of one file or of all."""
    reads, key = Reads(database), None if options.key is None else escape_unstorable(options.key)
    if key is not None and key not in reads.files():
        raise FailedError(unknown(key))
    console.rejected(reads.rejected_lines(key), options.tsv)
    return DONE
