"""Every statement of the program, from the files of `state/statements/`, and the constants that all of them may use.

In a file, each statement stands under a line `-- name: what it does`; its parameters have names. Tables are found along
the search_path that `apply_settings` sets, so the statements of ingest also fill the comparison tables, which have the
same names. Where a statement reads a table that grows with history, a lateral subquery that the planner cannot pull up
limits it to one index look-up for each row that changed.
"""

import re
from datetime import datetime, timedelta
from pathlib import Path

FOLDER = Path(__file__).with_name("statements")
_BEFORE_1970 = datetime(1970, 1, 1) - datetime(1, 1, 1)  # noqa: DTZ001 both UTC
# Every statement may use these as named parameters; the time is counted from the year 1.
CONSTANTS = {"microseconds_before_1970": _BEFORE_1970 // timedelta(microseconds=1)}


def read_statements(folder: Path = FOLDER) -> dict[str, str]:
    """Return every statement of a folder's files by its name; a name that stands twice is an AssertionError."""
    statements: dict[str, str] = {}
    for path in sorted(folder.glob("*.sql")):
        parts = re.split(r"^-- (\w+): .*\n", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        for name, statement in zip(parts[1::2], parts[2::2], strict=True):
            assert name not in statements, f"{path.name} has another statement {name}"
            statements[name] = statement.strip()
    return statements
