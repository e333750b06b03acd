"""Writes a batch of files and their checkpoints into the tables, in a transaction that the caller began."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple

from state.files import Failure, FileVersion, KeptFile, Reading
from state.partial_rows import copy
from state.run import Run

if TYPE_CHECKING:
    from psycopg2.extensions import cursor


# These rows are numbered when all chunks of the file are known: the partials number lines by chunk.
NUMBERED_LATER = {"rejected_lines": "new_rejected_lines"}
# These may hold ids of forgotten users, whose rows are deleted before they reach a table that is logged.
FILTERED = NUMBERED_LATER | {"user_days": "new_user_days", "sessions": "new_sessions"}
# The columns of `lake_files` that a version fills.
RECORDED = (
    "key", "fingerprint", "content_hash", "size", "lines", "events", "rejected", "empty", "newest_at", "event_days",
)  # fmt: skip


class StoredVersion(NamedTuple):
    """What the checkpoint records of a file's version; a file that only failed has no content hash."""

    file_id: int
    content_hash: bytes | None
    commit_id: str | None


class BatchWriter:
    """Writes into the tables that the transaction sees under their names: the permanent ones, or comparison tables.

    It first writes the contributions into the tables file_*, each file under a new id. Then it updates the sums with
    all rows from the batch's first id on. A transaction has one writer, and any number of batches.
    """

    def __init__(self, run: Run, cur: "cursor") -> None:
        self._run, self._cur = run, cur
        self._has_begun = False

    def find(self, keys: Sequence[str]) -> dict[str, StoredVersion]:
        """Return what the checkpoint records of the files that are known, by their keys."""
        self._execute("find_files", keys=list(keys))
        rows: list[Any] = self._cur.fetchall()
        return {
            row.key: StoredVersion(
                row.file_id, None if row.content_hash is None else bytes(row.content_hash), row.commit_id
            )
            for row in rows
        }

    def write(
        self, readings: Sequence[Reading], commit_id: str | None, begins_turn: bool = False, recounts: bool = False
    ) -> list[FileVersion | None]:
        """Write the contributions of files in place of their earlier ones, and their checkpoints.

        readings: the files. commit_id: identifies the transaction in their checkpoints; None for comparison tables.
        begins_turn: whether these versions are the first of a run, or of a turn of a watch. recounts: whether files are
        written again whose content is the same. Returns the version of each file, or None if its content is the same
        and it was not written. Raises LostRowsError, and what reading a file raises.
        A file that was not read to its end must be alone, as its rows are written before its content is known.
        """
        assert len(readings) == 1 or all(reading.is_complete for reading in readings)
        first, has_forgotten = self._begin_batch()
        known = self.find([reading.key for reading in readings])
        detours = FILTERED if has_forgotten else NUMBERED_LATER
        lines = defaultdict[str, list[tuple[bytes, int]]](list)
        written: dict[int, FileVersion] = {}
        versions: list[FileVersion | None] = []
        has_new = has_forgotten
        for file_id, reading in enumerate(readings, first):
            stored = known.get(reading.key)
            stored_hash = None if stored is None or recounts else stored.content_hash
            version = reading.version() if reading.is_complete else None
            if version is None or version.content_hash != stored_hash:
                has_new |= self._copy(reading, file_id, lines, detours)
                version = version or reading.version()
            if stored is not None and version.content_hash == stored_hash:
                self._execute("record_same", **self._recorded(version), file_id=stored.file_id, commit_id=commit_id)
                versions.append(None)
            else:
                written[file_id] = version
                versions.append(version)
        if written:
            retracted = [known[version.key].file_id for version in written.values() if version.key in known]
            if retracted:
                self._execute("retract", file_ids=retracted)
            for table, rows in lines.items():
                copy(self._run, self._cur, f"copy_{table}", rows)
            if has_forgotten:
                self._execute("drop_forgotten")
            if has_new:
                self._execute("merge_new")
            self._number_rejected_lines(written)
            if recounts:
                self._add_up_again(first, written)
            else:
                self._add_up(first, bool(retracted), written)
            recorded = {name: [getattr(version, name) for version in written.values()] for name in RECORDED}
            self._execute("record_files", **recorded, file_id=[*written], known=retracted, commit_id=commit_id)
            if begins_turn:
                self._execute("begin_turn", first_file_id=first)
        return versions

    def _copy(
        self, reading: Reading, file_id: int, lines: dict[str, list[tuple[bytes, int]]], detours: Mapping[str, str]
    ) -> bool:
        """Write the rows of a file into the tables new_*, and return True.

        If they are those of one partial, in memory, add them to `lines` and return False. `file_id` is the file's, and
        `detours` names other tables than file_* into which `lines` go first.
        """
        if reading.is_complete:
            partials = list(reading)
            if len(partials) == 1 and (tables := partials[0].tables) is not None:
                for table, rows in tables.items():
                    lines[detours.get(table, table)].append((rows, file_id))
                return False
        for partial_rows in reading:
            partial_rows.write(self._run, self._cur, file_id)
        return True

    def _number_rejected_lines(self, written: Mapping[int, FileVersion]) -> None:
        chunks = [
            (file_id, chunk, before)
            for file_id, version in written.items()
            if version.rejected
            for chunk, before in version.lines_before.items()
        ]
        if chunks:
            file_ids, starts, lines_before = zip(*chunks, strict=True)
            self._execute(
                "number_rejected_lines", file_id=list(file_ids), chunk=list(starts), lines_before=list(lines_before)
            )

    def retract(self, file_ids: Sequence[int]) -> None:
        """Retract what files contributed; their checkpoints stay."""
        next_id, _ = self._begin_batch()
        self._execute("retract", file_ids=list(file_ids))
        self._add_up(next_id, has_retracted=True)

    def forget_users(self, user_ids: Sequence[str]) -> dict[str, int]:
        """Retract what users contributed, and remember that they are forgotten; return what was deleted, in numbers."""
        next_id, _ = self._begin_batch()
        rows = "".join(user_id.replace("\\", r"\\").replace("\r", r"\r") + "\n" for user_id in user_ids)
        self._execute("create_given_users")
        self._cur.copy_expert(self._run.statements["copy_given_users"], BytesIO(rows.encode()))
        counts: dict[str, int] = self._one("forget_users")._asdict()
        self._add_up(next_id, has_retracted=True)
        self._execute("analyze_users")
        return counts

    def keep(self, files: Sequence[KeptFile]) -> None:
        """Copy what files contributed when they were ingested, from the permanent tables into the comparison tables."""
        first, _ = self._begin_batch()
        self._execute(
            "copy_kept_files",
            known=[file.file.file_id for file in files],
            file_id=[*range(first, first + len(files))],
            error=[file.error for file in files],
        )
        self._add_up(first, has_retracted=False)

    def _add_up(self, first: int, has_retracted: bool, written: Mapping[int, FileVersion] | None = None) -> None:
        """Update the sums with the contributions of files from an id on, and with what was retracted.

        first: that id. has_retracted: whether anything was retracted. written: the new versions by their ids.
        """
        if has_retracted:
            self._execute("find_latest_texts")
        self._execute("change_article_days", first_file_id=first)
        self._execute("join_articles")
        self._execute("change_articles", first_file_id=first)
        self._execute("join_any")
        self._execute("change_category_days")
        self._execute("append_article_performance")
        self._execute("append_articles")
        if self._one("has_rewritten").has_rewritten:
            self._execute("rewrite_article_performance")
            self._execute("rewrite_articles")
        self._change_sessions(first)
        emptied = self._one("change_users", first_file_id=first).users
        self._add_up_days(first, emptied, written or {})

    def _add_up_again(self, first: int, written: Mapping[int, FileVersion]) -> None:
        """Add up what the batch touches from all files; a difference would leave a wrong number wrong."""
        dates = self._one("recount_articles", first_file_id=first).dates
        self._change_sessions(first)
        self._execute("recount_users", first_file_id=first, dates=dates)
        self._execute("recount_days")
        self._add_up_days(first, [], written)

    def _change_sessions(self, first: int) -> None:
        """Find the sessions that the batch touches, and their spans in other files."""
        self._execute("change_sessions", first_file_id=first)
        is_share = self._one("is_share_of_sessions").is_share
        self._execute("join_sessions" if is_share else "look_up_sessions", first_file_id=first)

    def _add_up_days(self, first: int, users: Sequence[str], written: Mapping[int, FileVersion]) -> None:
        """Update the totals by day, and record which totals that were published before the run have changed.

        first: the id of the batch's first file. users: rows of user_performance in which nothing is left. written: the
        new versions by their ids, which restatements name.
        """
        days = self._one("change_day_totals")
        if users or days.dates:
            self._execute("delete_empty", users=users, dates=days.dates)
        if days.has_published:
            keys = [version.key for version in written.values()]
            self._execute("name_restating_files", first_file_id=first, file_id=[*written], key=keys)

    def fail(self, failure: Failure) -> None:
        """Record why a file's present version failed; the contribution of an earlier one stays."""
        known = self.find([failure.key])
        if known:
            self._execute("record_error", file_id=known[failure.key].file_id, error=failure.error)
        else:
            self._execute("record_failed", key=failure.key, error=failure.error)

    def _begin_batch(self) -> tuple[int, bool]:
        """Return the id of the next file, and whether any user was forgotten; the temporary tables are empty then.

        They are made, unless the session has those of this version of the program.
        """
        made_by = hashlib.sha256(self._run.statements["create_new"].encode()).hexdigest()
        if self._has_begun:
            self._execute("clear_new")
        elif not self._one("has_new", made_by=made_by).has_new:
            self._execute("create_new", made_by=made_by)
        self._has_begun = True
        row = self._one("next_file_id")
        return row.file_id, row.has_forgotten

    @staticmethod
    def _recorded(version: FileVersion) -> dict[str, object]:
        return {name: getattr(version, name) for name in RECORDED}

    def _execute(self, name: str, **parameters: object) -> None:
        self._run.execute(self._cur, name, **parameters)

    def _one(self, name: str, **parameters: object) -> Any:
        return self._run.fetch_one(self._cur, name, **parameters)
