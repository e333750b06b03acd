"""What commands and reports read from the database; nothing here writes."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from state.check_reads import CheckReads
from state.files import KnownFile, RejectedLine
from state.report_reads import ReportReads
from state.row_reads import Row, RowReads
from state.transactions import Transactions


class Reads(RowReads):
    """What commands read from a database.

    checks, report: what the checks and the report read from it.
    """

    def __init__(self, database: Transactions) -> None:
        super().__init__(database)
        self.checks = CheckReads(database)
        self.report = ReportReads(database)

    def read_checkpoint(self, keys: list[str] | None = None) -> dict[str, KnownFile]:
        """Return the checkpoint by key: every file that was ingested or failed, or those of `keys`."""
        rows = self._db.fetch_rows("read_checkpoint", keys=keys)
        return {row.key: KnownFile(row.file_id, row.key, row.fingerprint, row.error) for row in rows}

    def read_rejected_lines(self, key: str | None) -> Iterator[RejectedLine]:
        """Yield the rejected lines of one file, or of all if `key` is None, as they are asked for."""
        with self._db.translate_errors(), self._db.transaction() as cur, cur.connection.cursor("rejected") as rows:
            self._db.execute(rows, "read_rejected_lines", key=key)
            row: Any
            for row in rows:
                yield RejectedLine(row.key, row.line_number, row.reason, bytes(row.raw))

    # What `status`, `doctor` and the metrics read

    def sum_files(self) -> Row:
        """Return how many files were ingested, and how many events, rejected lines and bytes they hold."""
        return self._rows("sum_files")[0]

    def read_last_runs(self) -> list[Row]:
        """Return the last two runs, the latest first; it may not have ended."""
        return self._rows("read_last_runs")

    def read_definition(self) -> Mapping[str, object] | None:
        """Return what the recorded definition changes of the assignment's, or None while no file is counted."""
        lake = self._rows("read_lake")[0]
        return lake["definition"] if lake["has_counted"] else None

    def read_lock_holder(self) -> Row | None:
        """Return the run that holds the lock: `application_name`, and `xact_start`, since when; None without one."""
        rows = self._rows("read_lock_holder")
        return rows[0] if rows else None

    def read_newest_restatements(self, most: int) -> list[Row]:
        """Return the last `most` days whose totals changed after they had been published, the latest first."""
        return self._rows("read_newest_restatements", most=most)

    def sum_runs(self) -> Row:
        """Return what all runs did together; `reasons` are numbers of rejected lines by the code of the reason."""
        return self._rows("sum_runs")[0]

    def read_health(self) -> Row:
        """Return what operators watch: `succeeded_at` and `newest_at` (in seconds, or None), and `failed_files`."""
        return self._rows("read_health")[0]

    def read_rights(self) -> Row:
        """Return which rights the present `role` has of those that a run needs, and which the role `bi` has."""
        return self._rows("read_rights")[0]

    def measure_database(self) -> int:
        """Return the size of the database in bytes."""
        return int(self._rows("measure_database")[0]["bytes"])

    def measure_tables(self) -> Row:
        """Return the sizes of the BI tables, the state and the whole database, in bytes."""
        return self._rows("measure_tables")[0]

    # What the events of OpenLineage say of the tables

    def read_columns(self) -> dict[str, list[Row]]:
        """Return the `name`, `type` and `comment` of each column of the BI tables, by the names of these."""
        tables: dict[str, list[Row]] = {}
        for row in self._rows("read_columns"):
            tables.setdefault(row.pop("table"), []).append(row)
        return tables

    # What `explain` reads

    def read_article(self, article_id: str, day: date | None) -> dict[str, list[Row]]:
        """Return the `rows` of an article, their `parts` by file, and the files that its `texts` are from."""
        return {
            "rows": self._rows("read_article_rows", article_id=article_id, day=day),
            "parts": self._rows("read_article_parts", article_id=article_id, day=day),
            "texts": self._rows("read_article_texts", article_id=article_id),
        }

    def read_user(self, user_id: str, day: date | None) -> dict[str, list[Row]]:
        """Return the `rows` of a user, their `parts` by file, and the parts of the `sessions` that began then."""
        return {
            "rows": self._rows("read_user_rows", user_id=user_id, day=day),
            "parts": self._rows("read_user_parts", user_id=user_id, day=day),
            "sessions": self._rows("read_user_sessions", user_id=user_id, day=day),
        }

    # Who was forgotten, and what forgetting users would delete

    def read_forgotten_at(self, user_id: str) -> datetime | None:
        """Return when a user was forgotten, or None."""
        rows = self._rows("read_forgotten_at", user_id=user_id)
        return rows[0]["forgotten_at"] if rows else None

    def count_forgotten_users(self) -> int:
        """Return how many users were forgotten."""
        return int(self._rows("count_forgotten_users")[0]["users_forgotten"])

    def measure_users(self, user_ids: list[str]) -> Row:
        """Return what `Store.forget_users` would return for different ids."""
        return self._rows("measure_users", user_ids=user_ids)[0]

    # What a run shows at its end

    def read_first_rows(self) -> Iterator[tuple[str, Sequence[str], list[tuple[object, ...]]]]:
        """Yield the name, the columns and the first rows of both BI tables."""
        for table in ("article_performance", "user_performance"):
            yield table, *self._db.fetch_table(f"read_first_{table}")
