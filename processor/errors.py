"""The root of the program's errors, and its exit codes."""

DONE, FAILED, WRONG_SETTING, BUSY = 0, 1, 2, 75
# The meaning of each exit code, as --help and docs/commands.md give it.
EXIT_CODES = {
    DONE: "done",
    FAILED: "something failed",
    WRONG_SETTING: "a wrong option or setting",
    BUSY: "another run is at work",
}


class EventLakeError(Exception):
    """The root of the errors that end a command; the message is one line that says what to do.

    exit_code: the command's exit code. The errors of `state`, which imports nothing of this package, have a root of
    their own with the same attribute.
    """

    exit_code = FAILED


class FailedError(EventLakeError):
    """The command did not do what it was asked for."""


class SettingError(EventLakeError):
    """A setting is wrong."""

    exit_code = WRONG_SETTING
