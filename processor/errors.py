"""The errors of the commands and settings; the root and the exit codes are those of `state.errors`."""

from state.errors import BUSY, DONE, EXIT_CODES, FAILED, WRONG_SETTING, EventLakeError

__all__ = ["BUSY", "DONE", "EXIT_CODES", "FAILED", "WRONG_SETTING", "EventLakeError", "FailedError", "SettingError"]


class FailedError(EventLakeError):
    """The command did not do what it was asked for."""


class SettingError(EventLakeError):
    """A setting is wrong."""

    exit_code = WRONG_SETTING
