"""`run.py rejected`: shows the rejected lines."""

from processor.commands.messages import unknown
from processor.errors import DONE, FailedError
from processor.lake.base import Lake, escape_unstorable
from processor.output.console import Console
from processor.settings import Settings
from state.connection import Connection
from state.reads import Reads


def rejected(_: Lake, database: Connection, settings: Settings, console: Console) -> int:
    """Show the rejected lines of one file or of all files."""
    reads, key = Reads(database), None if settings.key is None else escape_unstorable(settings.key)
    if key is not None and key not in reads.files():
        raise FailedError(unknown(key))
    console.rejected(reads.rejected_lines(key), settings.prints_tsv)
    return DONE
