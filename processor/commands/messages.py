"""Messages that more than one command has."""

from processor.lake.base import Lake
from processor.lake.keys import SUFFIXES
from processor.safe_text import remove_passwords
from processor.settings import Settings
from state.reads import Reads
from state.recorded_lake import describe_other_definition


def describe_empty_lake(lake: Lake, settings: Settings) -> str:
    """Return the message for a lake without files, which says where to look."""
    if any(settings.selection):
        return f"no lake file of {lake.url} is within --since and --until; the tables have not changed"
    return f"{lake.url} holds no lake files ({', '.join(SUFFIXES)}); check LAKE_URL if that is wrong"


def describe_unknown_key(key: str) -> str:
    """Return the message for a key that names no known file; the key may be a URL that was given in the wrong place."""
    return f"no file {remove_passwords(key)} is known; a key is a path below the lake's URL"


def describe_redefinition(reads: Reads, settings: Settings) -> str | None:
    """Return a warning if runs are refused until a rebuild, as the definition is another one than the recorded one."""
    return describe_other_definition(reads.definition(), settings.lake_settings.definition.changes())
