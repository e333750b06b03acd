"""Reads the limits beyond which `run.py check` finds something wrong."""

from collections.abc import Callable

from processor.checks import DEFAULT_CHECK_LIMITS, CheckLimits
from processor.command_line.read_numbers import read_decimal, read_whole


def read_check_limits(report: Callable[[str], object]) -> CheckLimits:
    """Return the limits from the settings CHECK_*; `report` gets a line about each that is wrong."""
    factor = read_decimal("CHECK_FACTOR", DEFAULT_CHECK_LIMITS.factor, report)
    if factor < 1:
        report("CHECK_FACTOR must be 1 or more, such as 2")
    return CheckLimits(
        days=read_whole("CHECK_DAYS", DEFAULT_CHECK_LIMITS.days, report),
        factor=factor,
        silent_events=read_whole("CHECK_SILENT_EVENTS", DEFAULT_CHECK_LIMITS.silent_events, report),
        rejected_percent=read_decimal("CHECK_REJECTED_PERCENT", DEFAULT_CHECK_LIMITS.rejected_percent, report),
        future_seconds=read_decimal("CHECK_FUTURE_SECONDS", DEFAULT_CHECK_LIMITS.future_seconds, report),
        session_hours=read_decimal("CHECK_SESSION_HOURS", DEFAULT_CHECK_LIMITS.session_hours, report),
        user_events=read_whole("CHECK_USER_EVENTS", DEFAULT_CHECK_LIMITS.user_events, report),
        undisplayed_percent=read_decimal("CHECK_UNDISPLAYED_PERCENT", DEFAULT_CHECK_LIMITS.undisplayed_percent, report),
    )
