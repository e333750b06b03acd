"""Messages that more than one command has."""

from processor.lake.base import Lake
from processor.lake.keys import SUFFIXES
from processor.safe_text import remove_passwords
from processor.settings import Settings


def describe_empty_lake(lake: Lake, settings: Settings) -> str:
    """Return the message for a lake without files, which says where to look."""
    if any(settings.selection):
        return f"no lake file of {lake.url} is within --since and --until; the tables have not changed"
    return f"{lake.url} holds no lake files ({', '.join(SUFFIXES)}); check LAKE_URL if that is wrong"


def describe_unknown_key(key: str) -> str:
    """Return the message for a key that names no known file; the key may be a URL that was given in the wrong place."""
    return f"no file {remove_passwords(key)} is known; a key is a path below the lake's URL"
