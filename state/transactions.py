"""The transactions of a database, and the named statements that they execute."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from state.errors import DatabaseError
from state.postgres_errors import advise, shorten

if TYPE_CHECKING:
    from psycopg2.extensions import cursor

T = TypeVar("T")


class Transactions(ABC):
    """Transactions of one database, and the named statements that they execute.

    What a transaction guarantees is for the subclass to say.
    """

    statements: Mapping[str, str]

    @abstractmethod
    def transaction(self) -> AbstractContextManager["cursor"]:
        """Open a transaction that commits at its end, or is rolled back when an error leaves it."""

    @abstractmethod
    def execute(self, cur: "cursor", name: str, **parameters: object) -> None:
        """Execute a statement; raises psycopg2.Error.

        cur: a cursor of a transaction. name: that of a statement. parameters: those of the statement.
        """

    @abstractmethod
    def retry(self, attempt: Callable[[], T]) -> T:
        """Return what an attempt returns; try again after errors that pass. Raises DatabaseError."""

    @contextmanager
    def translate_errors(self) -> Iterator[None]:
        """Raise errors of psycopg2 as DatabaseError, with advice."""
        import psycopg2

        try:
            yield
        except psycopg2.Error as error:
            raise DatabaseError(f"the database refused: {shorten(error)}; {advise(error)}") from error

    def fetch_table(self, name: str, **parameters: object) -> tuple[list[str], list[Any]]:
        """Execute a statement in a transaction of its own; return the names of its columns, and its rows."""

        def attempt() -> tuple[list[str], list[Any]]:
            with self.transaction() as cur:
                self.execute(cur, name, **parameters)
                return [column.name for column in cur.description or ()], cur.fetchall()

        return self.retry(attempt)

    def fetch_rows(self, name: str, **parameters: object) -> list[Any]:
        """Execute a statement in a transaction of its own; return its rows, which have their columns as attributes."""
        return self.fetch_table(name, **parameters)[1]

    def fetch_one(self, cur: "cursor", name: str, **parameters: object) -> Any:
        """Execute a statement; return its first row, or None without one. The parameters are those of `execute`."""
        self.execute(cur, name, **parameters)
        return cur.fetchone()
