"""How commands end: their exit codes, and what more than one of them says."""

from argparse import Namespace

from processor.lake.base import SUFFIXES, Lake

# As docs/commands.md tells them: done, something failed, a wrong option or setting, another run is at work.
DONE, FAILED, WRONG_SETTING, BUSY = 0, 1, 2, 75


class FailedError(Exception):
    """The command did not do what it was asked for; the message says why and what to do."""


def nothing_there(lake: Lake, options: Namespace) -> str:
    """That no file was found, in a sentence that says where to look."""
    if any(options.selection):
        return f"no lake file of {lake.url} is within --since and --until; the tables are as they were"
    return f"{lake.url} holds no lake files ({', '.join(SUFFIXES)}): look at LAKE_URL, should that be wrong"


def unknown(key: str) -> str:
    """That there is no such file."""
    return f"no file {key} is known; a key is a path below the lake's URL"
