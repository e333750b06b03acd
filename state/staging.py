"""Where processes on other machines put what they reduced, until a run takes it into the transaction of its file."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from psycopg2.extensions import connection

ATTEMPTS = 5


class Staged(NamedTuple):
    """Rows that wait in the tables staged_*, under the name of their piece, and how many they are."""

    piece: str
    rows: int


class StagingLostError(Exception):
    """A piece that was staged is there no more, as the server crashed meanwhile."""


class Staging(NamedTuple):
    """How to reach the database from another process: libpq's parameters, and the statements that stage.

    It holds what the database asks for, a password too.
    """

    parameters: dict[str, Any]
    queries: dict[str, str]

    def __repr__(self) -> str:
        """Nothing that a log may not show."""
        return "Staging()"

    @contextmanager
    def opened(self) -> Iterator["Stage"]:
        """A connection to stage by; raises psycopg2.Error, once it was tried again for a while."""
        import psycopg2
        from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

        made: connection = Retrying(
            retry=retry_if_exception_type(psycopg2.OperationalError),
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_random_exponential(multiplier=0.2, max=10),
            reraise=True,
        )(psycopg2.connect, **self.parameters)
        try:
            yield Stage(made, self.queries)
        finally:
            made.close()


class Stage:
    """Stages pieces, each in a transaction of its own."""

    def __init__(self, connection: "connection", queries: dict[str, str]) -> None:
        """A stage that is empty."""
        self._connection, self.queries = connection, queries

    def put(self, tables: dict[str, bytes]) -> Staged:
        """Stage rows by the table that they are for; raises psycopg2.Error."""
        staged = Staged(str(uuid.uuid4()), sum(rows.count(b"\n") for rows in tables.values()))
        with self._connection, self._connection.cursor() as cur:
            cur.execute(self.queries["name_piece"], staged._asdict())
            for name, rows in tables.items():
                cur.copy_expert(self.queries[f"stage_{name}"], BytesIO(rows))
            cur.execute(self.queries["stage_piece"])
        return staged
