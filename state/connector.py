"""Makes connections to one database, waiting until it can be reached, and ends them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from math import inf
from typing import TYPE_CHECKING, Any

from state.errors import DatabaseSettingError, DatabaseUnavailableError
from state.postgres_errors import describe_wrong_url, explain_failed_connection, shorten
from state.retry import retry

if TYPE_CHECKING:
    from psycopg2.extensions import connection

DEFAULT_WAIT_SECONDS = 60.0
MAX_CONNECT_PAUSE_SECONDS = 3.0
# What libpq would do otherwise, unless the URL says so.
DEFAULT_PARAMETERS = {
    "application_name": "event-lake",
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
}


class Connector:
    """Connects to one database, any number of times."""

    def __init__(self, url: str, wait_seconds: float, is_read_only: bool) -> None:
        """Parse the URL without connecting; raises DatabaseSettingError for a wrong one.

        url: a libpq URI; if it is empty, libpq's PG* variables apply. wait_seconds: for how many seconds to wait for a
        database that cannot be reached. is_read_only: whether the transactions of its connections cannot write.
        """
        self._wait_seconds, self._is_read_only = wait_seconds, is_read_only
        self._parameters = parse_url(url)

    def connect(self, warn: Callable[[str], None]) -> "connection":
        """Return a new connection; waits until the database can be reached. Raises DatabaseError.

        warn: called once with a line for people if the database must be waited for.
        """
        has_warned = False

        def warn_once(error: Exception) -> None:
            nonlocal has_warned
            if not has_warned:
                line = shorten(error).removeprefix("no connection to the database: ").rpartition(";")[0]
                warn(f"waiting for the database, {self._wait_seconds:.0f} s at most ({line})")
            has_warned = True

        return retry(
            self._connect,
            lambda error: isinstance(error, DatabaseUnavailableError),
            warn_once,
            attempts=inf,
            seconds=self._wait_seconds,
            max_pause_seconds=MAX_CONNECT_PAUSE_SECONDS,
        )

    def _connect(self) -> "connection":
        import psycopg2
        from psycopg2.extensions import ISOLATION_LEVEL_READ_COMMITTED
        from psycopg2.extras import NamedTupleCursor

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


def parse_url(url: str) -> dict[str, Any]:
    """Return libpq's parameters, as a libpq URI names them; raises DatabaseSettingError for a wrong one."""
    import psycopg2

    try:
        named: dict[str, Any] = {**psycopg2.extensions.parse_dsn(url)} if url else {}
        # An unescaped @ or / in a password puts the rest of it here, and so into libpq's error messages.
        if any("@" in named.get(name, "") for name in ("host", "dbname")):
            raise psycopg2.ProgrammingError
    except (psycopg2.ProgrammingError, UnicodeError) as error:
        raise DatabaseSettingError(describe_wrong_url(error, url)) from None
    return DEFAULT_PARAMETERS | named | {"client_encoding": "UTF8"}


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
