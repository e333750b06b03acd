"""Reads the settings of the log, which also messages about wrong settings follow."""

from collections.abc import Callable

from processor.environment import read_setting
from processor.output.console import LEVELS
from processor.output.open_console import FORMATS, LogSettings


def read_log_settings(report: Callable[[str], object]) -> LogSettings:
    """Return the settings of the log; `report` gets a line about each that is wrong, and its default counts then."""
    default = LogSettings()
    level, form = read_setting("LOG_LEVEL", default.level), read_setting("LOG_FORMAT", default.format)
    if level not in LEVELS:
        report(f"LOG_LEVEL must be one of {', '.join(LEVELS)}")
        level = default.level
    if form not in FORMATS:
        report(f"LOG_FORMAT must be {' or '.join(FORMATS)}")
        form = default.format
    return LogSettings(level, form)
