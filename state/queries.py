"""The statements of `queries.sql`, and the constants that all of them may use."""

import re
from datetime import datetime, timedelta
from pathlib import Path

# Every statement may use these as named parameters. `epoch`: the microseconds from the year 1 to 1970.
CONSTANTS = {"epoch": (datetime(1970, 1, 1) - datetime(1, 1, 1)) // timedelta(microseconds=1)}  # noqa: DTZ001 both UTC


def read_queries() -> dict[str, str]:
    """Return every statement of `queries.sql` by its name."""
    parts = re.split(
        r"^-- (\w+): .*\n", Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    return {name: statement.strip() for name, statement in zip(parts[1::2], parts[2::2], strict=True)}
