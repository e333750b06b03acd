"""Messages and errors that more than one command has."""

from processor.command_line.settings import Settings
from processor.commands.context import Context
from processor.errors import EventLakeError, FailedError
from processor.lake.base import Lake, LakeError
from processor.lake.keys import SUFFIXES
from processor.safe_text import remove_passwords
from state.reads import Reads
from state.recorded_lake import describe_other_definition

# What docker-compose.yml counts by default: the bucket belongs to somebody else and may not answer.
ASSIGNMENT_LAKE = "s3://upday-data-assignment/lake/"
SAMPLE_COMMAND = "LAKE_URL=sample_lake docker-compose up"


def describe_failure(error: EventLakeError, settings: Settings) -> str:
    """Return the message of an error that ended a command, with what works without the assignment's bucket."""
    if isinstance(error, LakeError) and settings.lake_url == ASSIGNMENT_LAKE:
        return f"{error}; without that bucket, {SAMPLE_COMMAND} counts a sample lake"
    return str(error)


def describe_empty_lake(lake: Lake, settings: Settings) -> str:
    """Return the message for a lake without files, which says where to look."""
    if any(settings.selection):
        return f"no lake file of {lake.url} is within --since and --until; the tables have not changed"
    return f"{lake.url} holds no lake files ({', '.join(SUFFIXES)}); check LAKE_URL if that is wrong"


class UnknownKeyError(FailedError):
    """No file is known by the given key, which may be the id of a user who is forgotten: no table may hold it."""

    def __init__(self, key: str) -> None:
        shown = remove_passwords(key)  # it may be a URL that was given in the wrong place
        super().__init__(f"no file {shown} is known; a key is a path below the lake's URL")


def describe_redefinition(reads: Reads, settings: Settings) -> str | None:
    """Return a warning if runs are refused until a rebuild, as the definition is another one than the recorded one."""
    present = reads.read_definition()
    if present is None:
        return None
    return describe_other_definition(present, settings.lake_settings.definition.overrides())


def warn_of_redefinition(reads: Reads, context: Context) -> None:
    """Print that warning, if there is one."""
    warning = describe_redefinition(reads, context.settings)
    if warning is not None:
        context.console.warn(warning)
