"""Reads the limits beyond which `run.py check` finds something wrong."""

from collections.abc import Callable

from processor.checks import LIMITS, CheckLimits
from processor.environment import read_setting
from processor.setting_values import parse_decimal, parse_integer


def read_check_limits(report: Callable[[str], object]) -> CheckLimits:
    """Return the limits from the settings CHECK_*; `report` gets a line about each that is wrong."""

    def whole(name: str, text: str, default: int) -> int:
        value = parse_integer(text)
        if not value:
            report(f"{name} must be a whole number above 0, such as {default}")
        return value or default

    def decimal(name: str, text: str, default: float) -> float:
        value = parse_decimal(text)
        if value is None:
            report(f"{name} must be a number, such as {default:g}")
        return default if value is None else value

    factor = decimal("CHECK_FACTOR", read_setting("CHECK_FACTOR", f"{LIMITS.factor:g}"), LIMITS.factor)
    if factor < 1:
        report("CHECK_FACTOR must be 1 or more, such as 2")
    return CheckLimits(
        days=whole("CHECK_DAYS", read_setting("CHECK_DAYS", f"{LIMITS.days}"), LIMITS.days),
        factor=factor,
        silent_events=whole(
            "CHECK_SILENT_EVENTS", read_setting("CHECK_SILENT_EVENTS", f"{LIMITS.silent_events}"), LIMITS.silent_events
        ),
        rejected_percent=decimal(
            "CHECK_REJECTED_PERCENT",
            read_setting("CHECK_REJECTED_PERCENT", f"{LIMITS.rejected_percent:g}"),
            LIMITS.rejected_percent,
        ),
        future_seconds=decimal(
            "CHECK_FUTURE_SECONDS",
            read_setting("CHECK_FUTURE_SECONDS", f"{LIMITS.future_seconds:g}"),
            LIMITS.future_seconds,
        ),
        session_hours=decimal(
            "CHECK_SESSION_HOURS",
            read_setting("CHECK_SESSION_HOURS", f"{LIMITS.session_hours:g}"),
            LIMITS.session_hours,
        ),
        user_events=whole(
            "CHECK_USER_EVENTS", read_setting("CHECK_USER_EVENTS", f"{LIMITS.user_events}"), LIMITS.user_events
        ),
        undisplayed_percent=decimal(
            "CHECK_UNDISPLAYED_PERCENT",
            read_setting("CHECK_UNDISPLAYED_PERCENT", f"{LIMITS.undisplayed_percent:g}"),
            LIMITS.undisplayed_percent,
        ),
    )
