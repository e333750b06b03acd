"""The root of the program's errors with the exit codes, and the errors of this package; it imports nothing.

Each message is one line: what happened, and what to do.
"""

DONE, FAILED, WRONG_SETTING, BUSY = 0, 1, 2, 75
# The meaning of each exit code, as --help and docs/commands.md give it.
EXIT_CODES = {
    DONE: "done",
    FAILED: "something failed",
    WRONG_SETTING: "a wrong option or setting",
    BUSY: "another run is at work",
}


class EventLakeError(Exception):
    """The root of the errors that end a command.

    exit_code: the command's exit code.
    """

    exit_code = FAILED


class DatabaseError(EventLakeError):
    """The database cannot be used now."""


class DatabaseUnavailableError(DatabaseError):
    """The database could not be reached for as long as the program waits: the run cannot continue."""


class UnusedDatabaseError(DatabaseError):
    """Nothing was ingested into this database yet, so there is nothing to read."""


class DatabaseSettingError(DatabaseError):
    """`DATABASE_URL` or another setting is wrong."""

    exit_code = WRONG_SETTING


class SupersededError(DatabaseSettingError):
    """The database holds another lake, or the schema of a newer program."""


class BusyError(EventLakeError):
    """Another run holds the lock or took it over.

    happened: which run, and since when; the message also says what this run does about it.
    """

    exit_code = BUSY

    def __init__(self, happened: str, consequence: str) -> None:
        """Make the message of its two parts."""
        super().__init__(f"{happened}; {consequence}")
        self.happened = happened


class EmbeddedError(EventLakeError):
    """The embedded server cannot be used."""


class NoDatabaseError(EmbeddedError):
    """The lake has no database on the embedded server yet."""
