"""The errors of this package: each message is one line: what happened, and what to do."""


class StateError(Exception):
    """The root of the errors that end a command.

    exit_code: the command's exit code, as docs/commands.md lists them.
    """

    exit_code = 1


class DatabaseError(StateError):
    """The database cannot be used now."""


class DatabaseUnavailableError(DatabaseError):
    """The database could not be reached for as long as the program waits: the run cannot continue."""


class UnusedDatabaseError(DatabaseError):
    """Nothing was ingested into this database yet, so there is nothing to read."""


class DatabaseSettingError(DatabaseError):
    """`DATABASE_URL` or another setting is wrong."""

    exit_code = 2


class SupersededError(DatabaseSettingError):
    """The database holds another lake, or the schema of a newer program."""


class BusyError(StateError):
    """Another run holds the lock or took it over; the message says which run, and since when."""

    exit_code = 75


class EmbeddedError(StateError):
    """The embedded server cannot be used."""


class NoDatabaseError(EmbeddedError):
    """The lake has no database on the embedded server yet."""
