"""Reads numbers from the environment, and checks them."""

from collections.abc import Callable

from processor.environment import read_setting
from processor.setting_values import parse_decimal, parse_integer


def read_whole(name: str, default: int, report: Callable[[str], object], unit: str = "") -> int:
    """Return a whole number above 0 from a setting, or the default.

    name: the setting's. default: if it is unset, or wrong. report: called with a line if it is wrong. unit: what it is
    a number of, for that line.
    """
    value = parse_integer(read_setting(name, str(default)))
    if not value:
        report(f"{name} must be a whole number{unit and f' of {unit}'} above 0, such as {default}")
    return value or default


def read_decimal(name: str, default: float, report: Callable[[str], object], unit: str = "") -> float:
    """Return a number, 0 or above, from a setting, or the default; the parameters are those of `read_whole`."""
    value = parse_decimal(read_setting(name, f"{default:g}"))
    if value is None:
        report(f"{name} must be a number{unit and f' of {unit}'}, such as {default:g}")
        return default
    return value
