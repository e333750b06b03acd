"""A connection to the database, with named statements, and with transactions that are retried."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from state.connector import DEFAULT_WAIT_SECONDS, Connector, close_connection, keep_server_message
from state.errors import DatabaseSettingError
from state.postgres_errors import is_temporary, shorten
from state.read_statements import CONSTANTS, read_statements
from state.retry import retry
from state.transactions import T, Transactions

if TYPE_CHECKING:
    from psycopg2.extensions import connection, cursor

MIN_SERVER_VERSION = 150000
SEARCH_PATH = "state, public, pg_temp"


class Place(NamedTuple):
    """Where a database is."""

    host: str
    port: str
    database: str


class Connection(Transactions):
    """A connection to one database, made at the first transaction and again after it was lost.

    url: a libpq URI; if it is empty, libpq's PG* variables apply.
    wait_seconds: for how many seconds to wait for a database that cannot be reached.
    warn: called with a line for people when it waits for the database or tries a transaction again.
    is_read_only: whether its transactions cannot write.
    """

    def __init__(
        self,
        url: str,
        wait_seconds: float = DEFAULT_WAIT_SECONDS,
        warn: Callable[[str], None] = lambda _: None,
        is_read_only: bool = False,
    ) -> None:
        """Parse the URL without connecting; raises DatabaseSettingError for a wrong one."""
        self._connector = Connector(url, wait_seconds, is_read_only)
        self._warn, self._is_read_only = warn, is_read_only
        self.statements = read_statements()
        self._connection: connection | None = None
        self.connections = 0
        self._is_cancelled = False

    @property
    def is_connected(self) -> bool:
        """Whether a connection is open that was not lost."""
        return self._connection is not None

    def warn(self, line: str) -> None:
        """Send people a line about something that may pass by itself."""
        self._warn(line)

    @contextmanager
    def redirect_warnings(self, warn: Callable[[str], None]) -> Iterator[None]:
        """Send warnings to `warn` while the context lasts."""
        before, self._warn = self._warn, warn
        try:
            yield
        finally:
            self._warn = before

    def check_server(self) -> tuple[str, bool]:
        """Return the server's version and whether TLS is used; raises DatabaseError for a server that does not fit."""

        def attempt() -> tuple[str, bool]:
            with self.transaction() as cur:
                server = self.fetch_one(cur, "read_server")
                is_encrypted = bool(cur.connection.info.ssl_in_use)
            if server.version < MIN_SERVER_VERSION:
                raise DatabaseSettingError(
                    f"the server is PostgreSQL {server.version_text}: PostgreSQL 15 or later is needed"
                )
            if server.encoding != "UTF8":
                raise DatabaseSettingError(
                    f"the database's encoding is {server.encoding}: create one with encoding UTF8"
                )
            return str(server.version_text), is_encrypted

        return self.retry(attempt)

    def place(self) -> Place:
        """Return where the database is; a server without a network address is on this machine."""
        info = self._connect().info
        is_local = not info.host or info.host.startswith(("/", "@"))
        return Place(socket.gethostname() if is_local else info.host, str(info.port), info.dbname)

    def process_parameters(self) -> dict[str, Any]:
        """Return libpq's parameters by which other processes can connect, including the password."""
        info = self._connect().info
        password = {"password": info.password} if info.password else {}
        return {**info.dsn_parameters, **password}

    @contextmanager
    def transaction(self) -> Iterator["cursor"]:
        """Open a transaction that commits at its end, or is rolled back when an error leaves it."""
        from psycopg2.extensions import TRANSACTION_STATUS_IDLE

        connection = self._connect()
        assert connection.info.transaction_status == TRANSACTION_STATUS_IDLE, "a transaction within another"
        try:
            with keep_server_message(connection):
                with connection.cursor() as cur:
                    self.execute(cur, "apply_settings", search_path=SEARCH_PATH)
                    yield cur
                connection.commit()
        except BaseException:
            self._end_failed(connection)
            raise

    def _end_failed(self, connection: "connection") -> None:
        import psycopg2

        try:
            connection.rollback()
            if not self._is_read_only:
                with connection.cursor() as cur:
                    self.execute(cur, "discard_temporary")
                connection.commit()
        except psycopg2.Error:
            self.close()

    def rollback(self) -> None:
        """Roll back a transaction that is still open; raises psycopg2.Error."""
        if self._connection is not None:
            self._connection.rollback()

    def cancel(self) -> None:
        """Cancel the running statement; may be called from another thread."""
        import psycopg2

        connection, self._is_cancelled = self._connection, True
        if connection is not None:
            with suppress(psycopg2.Error):  # the connection is lost already
                connection.cancel()

    def retry(self, attempt: Callable[[], T]) -> T:
        """Return what an attempt returns; try again after errors that pass. Raises DatabaseError."""
        with self.translate_errors():
            return retry(attempt, is_temporary, self._warn_of_retry)

    def _warn_of_retry(self, error: Exception) -> None:
        if self._is_cancelled:
            time.sleep(1)  # the signal that cancelled the statement reaches this thread in a moment
        self.warn(f"the transaction failed ({shorten(error)}); trying again")

    def execute(self, cur: "cursor", name: str, **parameters: object) -> None:
        """Execute a statement; raises psycopg2.Error.

        cur: a cursor of a transaction. name: that of a statement. parameters: those of the statement.
        """
        cur.execute(self.statements[name], CONSTANTS | parameters)

    def open(self) -> "connection":
        """Return a new connection; waits until the database can be reached. Raises DatabaseError."""
        return self._connector.connect(self.warn)

    def _connect(self) -> "connection":
        """Return the connection, a new one if there is none yet or it was lost; raises DatabaseError."""
        if self._connection is None:
            self._connection = self.open()
            self.connections += 1
        return self._connection

    def close(self) -> None:
        """Close the connection, if one is open; the next transaction makes another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            close_connection(connection)
