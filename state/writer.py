"""Writes what a file gives into the tables, with its checkpoint, in a transaction that another room began."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple

from state.database import Database
from state.staging import Staged, StagingLostError

if TYPE_CHECKING:
    from psycopg2.extensions import cursor

# The statements that replace what a file gave, in their order.
REPLACE = (
    "change_article_days",
    "move_sessions",
    "change_user_days",
    "touch_article_texts",
    "change_article_texts",
    "replace_article_days",
    "replace_user_days",
    "replace_sessions",
    "replace_rejected_lines",
    "update_article_texts",
    "update_user_performance",
    "change_session_days",
    "touch_articles",
    "change_category_days",
    "update_article_performance",
)


class KnownFile(NamedTuple):
    """What the checkpoint says of a file; without a fingerprint no version of it counts."""

    file_id: int
    key: str
    fingerprint: str | None
    error: str | None


class RejectedLine(NamedTuple):
    """A line that counts nowhere: a code of `processor.events.REASONS` and the line's first 1,000 bytes."""

    key: str
    line_number: int
    reason: str
    raw: bytes


class Version(NamedTuple):
    """What was read of a file, once all of it was: what the checkpoint records.

    newest_at: when its latest event was, in microseconds since 1970-01-01 UTC; None without any. reasons: how many
    lines were rejected for each. commit_seconds: how long the transaction took that counted it, if it had its own.
    """

    key: str
    fingerprint: str
    size: int
    content_hash: bytes
    lines: int
    events: int
    rejected: int
    empty: int
    newest_at: int | None
    reasons: Mapping[str, int]
    commit_seconds: float | None = None


class Reading(NamedTuple):
    """A file being read: rows as they come, by the name of the COPY that takes them or staged, and then its version."""

    rows: Iterable[dict[str, bytes] | Staged]
    version: Callable[[], Version]


class Writer:
    """Writes into the tables that a transaction sees under their names, by way of its empty tables new_*."""

    def __init__(self, database: Database, cur: "cursor") -> None:
        """A writer in the cursor's transaction."""
        self._db, self._cur = database, cur

    def prepare(self) -> None:
        """Make the session's tables new_*, where it has none or those of another version of this program."""
        made_by = hashlib.sha256(self._db.queries["create_new"].encode()).hexdigest()
        if not self._db.one(self._cur, "has_new", made_by=made_by)[0]:
            self._db.execute(self._cur, "create_new", made_by=made_by)

    def find(self, key: str) -> tuple[int, bytes | None, str | None] | None:
        """A file's number, content hash and last commit; None if it is not known."""
        row = self._db.one(self._cur, "find_file", key=key)
        return None if row is None else (row[0], None if row[1] is None else bytes(row[1]), row[2])

    def add(self, key: str) -> int:
        """The number of a file, which is made known if it is not."""
        row = self.find(key)
        return row[0] if row is not None else int(self._db.one(self._cur, "add_file", key=key)[0])

    def write(self, reading: Reading, commit_id: str | None) -> Version | None:
        """Write what a file gives now instead of what it gave before, and its checkpoint; None if it was the same.

        Raises StagingLostError.
        """
        for tables in reading.rows:
            if isinstance(tables, Staged):
                self._take(tables)
                continue
            for name, rows in tables.items():
                self._cur.copy_expert(self._db.queries[name], BytesIO(rows))
        version = reading.version()
        row = self.find(version.key)
        checkpoint = {**version._asdict(), "commit_id": commit_id}
        if row is not None and row[1] == version.content_hash:
            self._db.execute(self._cur, "record_same", **checkpoint, file_id=row[0])
            return None
        file_id = self.add(version.key)
        self.replace(file_id)
        self._db.execute(self._cur, "record_file", **checkpoint, file_id=file_id)
        return version

    def _take(self, staged: Staged) -> None:
        if self._db.one(self._cur, "take_piece", **staged._asdict()) is None:
            raise StagingLostError("what Spark had staged was lost in a crash of the server")
        self._db.execute(self._cur, "take_staged", **staged._asdict())

    def replace(self, file_id: int) -> None:
        """Write what the tables new_* hold instead of what the file gave before."""
        for name in REPLACE:
            self._db.execute(self._cur, name, file_id=file_id)

    def fail(self, file_id: int, error: str) -> None:
        """Record why a file's present version counts nowhere."""
        self._db.execute(self._cur, "record_error", file_id=file_id, error=error)
