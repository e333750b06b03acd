"""A connection to the database, with named statements, and with transactions that are retried."""

import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from state.backoff import retry
from state.errors import DatabaseError, DatabaseSettingError, DatabaseUnavailableError
from state.postgres_errors import advise, describe_wrong_url, explain_failed_connection, is_temporary, shorten

if TYPE_CHECKING:
    from psycopg2.extensions import connection, cursor

FOLDER = Path(__file__).parent
MIN_SERVER_VERSION = 150000
MAX_CONNECT_PAUSE_SECONDS = 3.0
SEARCH_PATH = "state, public, pg_temp"
# Every statement may use these as named parameters. `epoch`: the microseconds from the year 1 to 1970.
CONSTANTS = {"epoch": (datetime(1970, 1, 1) - datetime(1, 1, 1)) // timedelta(microseconds=1)}  # noqa: DTZ001 both UTC

T = TypeVar("T")


def read_queries() -> dict[str, str]:
    """Return every statement of `queries.sql` by its name."""
    parts = re.split(r"^-- (\w+): .*\n", (FOLDER / "queries.sql").read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {name: text.strip() for name, text in zip(parts[1::2], parts[2::2], strict=True)}


class Place(NamedTuple):
    """Where a database is."""

    host: str
    port: str
    database: str


class Connection:
    """A connection to one database, made at the first transaction and again after it was lost.

    url: a libpq URI; if it is empty, libpq's PG* variables apply.
    wait_seconds: for how many seconds to wait for a database that cannot be reached.
    warn: called with a line for people when it waits for the database or tries a transaction again.
    is_read_only: whether its transactions cannot write.
    """

    def __init__(
        self,
        url: str,
        wait_seconds: float = 60,
        warn: Callable[[str], None] = lambda _: None,
        is_read_only: bool = False,
    ) -> None:
        """Parse the URL without connecting; raises DatabaseSettingError for a wrong one."""
        import psycopg2

        self._wait_seconds, self._warn, self._is_read_only = wait_seconds, warn, is_read_only
        self.queries = read_queries()
        try:
            self._parameters: dict[str, Any] = {**psycopg2.extensions.parse_dsn(url)} if url else {}
            # An unescaped @ or / in a password puts the rest of it here, and so into libpq's error messages.
            if any("@" in self._parameters.get(name, "") for name in ("host", "dbname")):
                raise psycopg2.ProgrammingError
        except (psycopg2.ProgrammingError, UnicodeError) as error:
            raise DatabaseSettingError(describe_wrong_url(error, url)) from None
        defaults = {
            "application_name": "event-lake",
            "connect_timeout": "10",
            "keepalives_idle": "30",
            "keepalives_interval": "10",
            "keepalives_count": "3",
            "tcp_user_timeout": "60000",
        }
        self._parameters = defaults | self._parameters | {"client_encoding": "UTF8"}
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
        assert self._connection is not None
        info = self._connection.info
        is_local = not info.host or info.host.startswith(("/", "@"))
        return Place(socket.gethostname() if is_local else info.host, str(info.port), info.dbname)

    def process_parameters(self) -> dict[str, Any]:
        """Return libpq's parameters by which other processes can connect, including the password."""
        assert self._connection is not None
        info = self._connection.info
        password = {"password": info.password} if info.password else {}
        return {**info.dsn_parameters, **password}

    @contextmanager
    def transaction(self) -> Iterator["cursor"]:
        """Open a transaction that commits at its end, or is rolled back when an error leaves it."""
        from psycopg2.extensions import TRANSACTION_STATUS_IDLE

        if self._connection is None:
            self._connection = self.open()
            self.connections += 1
        connection = self._connection
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

    def execute(self, cur: "cursor", name: str, **parameters: object) -> None:
        """Execute a statement; raises psycopg2.Error.

        cur: a cursor of a transaction. name: the statement's in `queries.sql`. parameters: those of the statement.
        """
        cur.execute(self.queries[name], CONSTANTS | parameters)

    def fetch_one(self, cur: "cursor", name: str, **parameters: object) -> Any:
        """Execute a statement; return its first row, or None without one. The parameters are those of `execute`."""
        self.execute(cur, name, **parameters)
        return cur.fetchone()

    def open(self) -> "connection":
        """Return a new connection; waits until the database can be reached. Raises DatabaseError."""
        import psycopg2
        from psycopg2.extensions import ISOLATION_LEVEL_READ_COMMITTED
        from psycopg2.extras import NamedTupleCursor

        def connect() -> "connection":
            try:
                made: connection = psycopg2.connect(**self._parameters, cursor_factory=NamedTupleCursor)
            except (psycopg2.Error, UnicodeDecodeError) as error:
                failure = explain_failed_connection(error, self._parameters)
                kind = DatabaseSettingError if failure.is_final else DatabaseUnavailableError
                raise kind(f"no connection to the database: {failure.line}; {failure.advice}") from None
            # A statement must see what was committed before it began, whatever the role's default is: the fence relies
            # on it, and so does the check whether a commit whose outcome is unknown took place.
            made.isolation_level = ISOLATION_LEVEL_READ_COMMITTED
            if self._is_read_only:
                made.readonly = True
            return made

        has_warned = False

        def warn_once(error: Exception) -> None:
            nonlocal has_warned
            if not has_warned:
                line = shorten(error).removeprefix("no connection to the database: ").rpartition(";")[0]
                self.warn(f"waiting for the database, {self._wait_seconds:.0f} s at most ({line})")
            has_warned = True

        return retry(
            connect,
            lambda error: isinstance(error, DatabaseUnavailableError),
            warn_once,
            attempts=inf,
            seconds=self._wait_seconds,
            longest=MAX_CONNECT_PAUSE_SECONDS,
        )

    def close(self) -> None:
        """Close the connection, if one is open; the next transaction makes another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            close_connection(connection)


def close_connection(connection: "connection") -> None:
    """Roll back and close a connection: without the rollback, a closed one may keep its locks for a moment."""
    import psycopg2

    with suppress(psycopg2.Error):
        connection.rollback()
    connection.close()


@contextmanager
def keep_server_message(connection: "connection") -> Iterator[None]:
    """Raise an error of psycopg2, which drops the server's last message, with that message."""
    import psycopg2

    try:
        yield
    except psycopg2.OperationalError as error:
        message = connection.info.error_message if connection.closed and error.pgcode is None else None
        if message:
            raise psycopg2.OperationalError(message) from error
        raise
