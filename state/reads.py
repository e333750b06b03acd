"""What the database answers to those who ask: how far the lake is counted, and which files made a number."""

from datetime import date
from typing import Any

from state.connection import Database

Row = dict[str, Any]


class Answers:
    """What may be asked of a database; nothing changes."""

    def __init__(self, database: Database) -> None:
        """Answers of a database, as it is now."""
        self._db = database

    def totals(self) -> Row:
        """How many files count, and the events, rejected lines and bytes in them."""
        return self._rows("totals")[0]

    def runs(self) -> list[Row]:
        """The last two runs, the later one first, which may be at work."""
        return self._rows("last_runs")

    def holder(self) -> Row | None:
        """The run that is at work: its `application_name`, and `xact_start`, since when; None if there is none."""
        rows = self._rows("holder")
        return rows[0] if rows else None

    def history(self) -> Row:
        """What all runs that counted did, as they recorded it; `reasons` are rejected lines by the reason's code."""
        return self._rows("history")[0]

    def health(self) -> Row:
        """What an operator watches: `succeeded_at`, `newest_at` (both in seconds, or None) and `failed_files`."""
        return self._rows("health")[0]

    def rights(self) -> Row:
        """What the present `role` may do of what a run needs, and `bi` of what it should not or cannot."""
        return self._rows("rights")[0]

    def size(self) -> int:
        """How many bytes the database takes, used or not."""
        return int(self._rows("size")[0]["bytes"])

    def sizes(self) -> Row:
        """How many bytes the BI tables, the state and the whole database take."""
        return self._rows("sizes")[0]

    def article(self, article_id: str, day: date | None) -> dict[str, list[Row]]:
        """The `rows` of an article, their `parts` by file, and which files its `texts` are from."""
        return {
            "rows": self._rows("article_rows", article_id=article_id, day=day),
            "parts": self._rows("article_parts", article_id=article_id, day=day),
            "texts": self._rows("article_texts", article_id=article_id),
        }

    def user(self, user_id: str, day: date | None) -> dict[str, list[Row]]:
        """The `rows` of a user, their `parts` by file, and the parts of the `sessions` that began then."""
        return {
            "rows": self._rows("user_rows", user_id=user_id, day=day),
            "parts": self._rows("user_parts", user_id=user_id, day=day),
            "sessions": self._rows("user_sessions", user_id=user_id, day=day),
        }

    def _rows(self, name: str, **parameters: object) -> list[Row]:
        columns, rows = self._db.table(name, **parameters)
        return [dict(zip(columns, row, strict=True)) for row in rows]
