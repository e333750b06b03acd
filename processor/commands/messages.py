"""Messages that more than one command has."""

from processor.lake.base import SUFFIXES, Lake
from processor.settings import Settings


def nothing_there(lake: Lake, settings: Settings) -> str:
    """That no file was found, in a sentence that says where to look."""
    if any(settings.selection):
        return f"no lake file of {lake.url} is within --since and --until; the tables are as they were"
    return f"{lake.url} holds no lake files ({', '.join(SUFFIXES)}): look at LAKE_URL, should that be wrong"


def unknown(key: str) -> str:
    """That there is no such file."""
    return f"no file {key} is known; a key is a path below the lake's URL"
