"""Staged rows: executors of Spark put them into tables, from which the run takes them when it commits their file."""

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from state.partial_rows import LostRowsError
from state.retry import retry

if TYPE_CHECKING:
    from psycopg2.extensions import connection, cursor

    from state.connection import Connection
    from state.transactions import Transactions


@dataclass(frozen=True, slots=True)
class StagedRows:
    """The rows of a partial in the tables staged_*. `partial_id` is a random UUID, which each of these rows has."""

    partial_id: str
    count: int
    tables: ClassVar[None] = None  # they are not in memory
    size: ClassVar[int] = 0

    def write(self, database: "Transactions", cur: "cursor", file_id: int) -> None:
        """Move the rows into the temporary tables new_*; raises LostRowsError if the server lost them in a crash.

        The parameters are those of `Rows.write`.
        """
        if database.fetch_one(cur, "take_partial", partial_id=self.partial_id) is None:
            raise LostRowsError("rows that Spark had staged were lost in a crash of the server")
        database.execute(cur, "take_staged", partial_id=self.partial_id, file_id=file_id)


class Staging(NamedTuple):
    """What another process needs in order to stage rows: libpq's parameters, the password too, and the statements."""

    parameters: dict[str, Any]
    statements: dict[str, str]

    def __repr__(self) -> str:
        """Return nothing that a log must not show."""
        return "Staging()"

    @classmethod
    def of(cls, database: "Connection") -> "Staging":
        """Return what other processes need in order to stage rows in this database."""
        names = ("name_partial", *(name for name in database.statements if name.startswith("stage_")))
        return cls(database.process_parameters(), {name: database.statements[name] for name in names})

    @contextmanager
    def open(self) -> Iterator["StagingConnection"]:
        """Connect to the database; raises psycopg2.Error after several attempts."""
        import psycopg2

        made: connection = retry(
            lambda: psycopg2.connect(**self.parameters), lambda error: isinstance(error, psycopg2.OperationalError)
        )
        try:
            yield StagingConnection(made, self.statements)
        finally:
            made.close()


class StagingConnection:
    """A connection that stages rows, each partial in a transaction of its own."""

    def __init__(self, connection: "connection", statements: dict[str, str]) -> None:
        self._connection, self.statements = connection, statements

    def stage(self, tables: Mapping[str, bytes]) -> StagedRows:
        """Stage the rows of a partial, in COPY's text format by their table; raises psycopg2.Error."""
        partial_id = str(uuid.uuid4())
        with self._connection, self._connection.cursor() as cur:
            cur.execute(self.statements["name_partial"], {"partial_id": partial_id})
            for name, rows in tables.items():
                cur.copy_expert(self.statements[f"stage_{name}"], BytesIO(rows))
            cur.execute(self.statements["stage_partial"])
        return StagedRows(partial_id, sum(rows.count(b"\n") for rows in tables.values()))
