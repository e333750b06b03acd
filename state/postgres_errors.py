"""The meaning of errors from Postgres, PgBouncer and libpq: whether they pass by themselves, and what to do.

The SQLSTATE decides, as the server writes its messages in its own language. libpq's own messages are always English,
since this program sets no locale.
"""

import ctypes
import re
import select
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from psycopg2 import Error

LATER = "run again later"
_SCHEMA = "somebody changed the schema: undo the change, or ingest the lake into another database"
_FOREIGN = "remove a constraint or trigger that somebody added, or recount the lake with --rebuild"

# What to do, by how the SQLSTATE begins; the first match applies.
_ADVICE = {
    "08P01": "set the pooler to pool by transaction or session, then run again",
    "08": LATER,
    "0A": "name a server that is PostgreSQL itself, 15 or later",
    "22": "this is a fault of the program: report it with this line and the file",
    "23": _FOREIGN,
    "25006": "name a database that can be written to",
    "25": "remove the limit on this role's transactions, then run again",
    "28": "look at DATABASE_URL",
    "3D": "look at DATABASE_URL",
    "3F": _SCHEMA,
    "40": LATER,
    "42P06": "somebody else uses this name: rename or drop theirs, or name another database",
    "42P07": "somebody else uses this name: rename or drop theirs, or name another database",
    "42710": "somebody else uses this name: rename or drop theirs, or name another database",
    "42723": "somebody else uses this name: rename or drop theirs, or name another database",
    "42P10": "set the table's replica identity to default, or remove the table from the publication",
    "42501": "grant this role the right and drop policies that hide rows from it, or name another role in DATABASE_URL",
    "42": _SCHEMA,
    "44": _FOREIGN,
    "53100": "free space on the database's disk, then run again",
    "53400": "raise the limit for this role, then run again",
    "53": "give the server more memory or connections, then run again",
    "54": "raise that limit on the server, or remove the file from the lake",
    "55000": "give the table a replica identity or remove it from the publication, then run again",
    "55P03": "end the session that holds the lock or raise lock_timeout for this role, then run again",
    "55": "end the session that uses it, then run again",
    "57014": "raise statement_timeout for this role, then run again",
    "57": LATER,
    "58": "look at the server's disk and its log, then run again",
    "P0": _FOREIGN,
    "XX001": "the database is damaged: restore it from a backup, or ingest the lake into another one",
    "XX002": "the database is damaged: restore it from a backup, or ingest the lake into another one",
}
_LOG = "look at the server's log, then run again"
# Retrying the transaction does not help.
_PERMANENT = ("53400", "54", "55000")

# A server that refuses connections with one of these may accept them later.
_TEMPORARY = ("08", "53", "57", "58", "XX")
# PgBouncer uses one SQLSTATE for most of its messages, and one language.
_PGBOUNCER = "08P01"
_PGBOUNCER_REFUSES = (
    "SSL required",
    "auth failed",
    "authentication failed",
    "does not exist",
    "no such",
    "startup par",
)
_PGBOUNCER_FULL = ("too many", "no more connections allowed")
_PGBOUNCER_TIMEOUT = "query_wait_timeout"
# Parts of libpq's messages about a server that it reached and that waiting does not help with.
_LIBPQ_REFUSES = (
    "GSSAPI encryption",
    "SSL required",
    "SSL was required",
    "authentication method",
    "certificate",
    "channel binding",
    "does not exist",
    "invalid",
    "no password supplied",
    "private key",
)
_REACHED = re.compile(r'connection to server (?:at|on socket) ".*?"[^"]*? failed: (.*)')
# Only a server's answer has two spaces after its severity, in any language.
_ANSWERED = re.compile(r'[^":]+:  ')
_SQLSTATE_SECONDS = 10.0
_SQLSTATE_ONLY = 3


def describe_wrong_url(error: BaseException, url: str) -> str:
    """Return what is wrong with a libpq URI that cannot be parsed, without any part of a password."""
    unknown = re.search(r'invalid URI query parameter: "(\w+)"$', read_message(error).strip())
    # If an @ follows, this may be the rest of a password and not a parameter.
    if unknown and "=" in url.partition("?")[2] and "@" not in url.partition("?")[2]:
        return f"DATABASE_URL has a parameter that libpq does not know, {unknown[1]}: remove it or correct its name"
    return (
        "DATABASE_URL is not a libpq URI: write it as postgresql://user:password@host:5432/database, "
        "with special characters percent-encoded"
    )


class FailedConnection(NamedTuple):
    """Why no connection could be made: in one line, whether waiting does not help, and what to do."""

    line: str
    is_final: bool
    advice: str


def read_message(error: BaseException) -> str:
    """Return an error's message, with replacement characters if it is not in UTF-8."""
    if isinstance(error, UnicodeDecodeError):
        return error.object.decode(errors="replace")
    return str(error)


def shorten(error: BaseException) -> str:
    """Return a database error's message without the statement; for several servers, the message of the last one."""
    lines = (read_message(error).strip() or type(error).__name__).splitlines()
    return next((line for line in reversed(lines) if line.startswith("connection to server")), lines[0])


def is_temporary(error: BaseException) -> bool:
    """Return whether the transaction may succeed when it is retried."""
    import psycopg2

    if not isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError):
        return False
    return not (error.pgcode or "").startswith(_PERMANENT)


def advise(error: "Error") -> str:
    """Return what to do about an error that remained after retries."""
    if _PGBOUNCER_TIMEOUT in str(error):
        return "configure the pooler to give this role two connections or more (default_pool_size), then run again"
    sqlstate = error.pgcode
    if sqlstate is None:
        return LATER  # the connection was lost
    return next((text for begin, text in _ADVICE.items() if sqlstate.startswith(begin)), _LOG)


def explain_failed_connection(error: BaseException, parameters: dict[str, Any]) -> FailedConnection:
    """Return why no connection could be made with these parameters."""
    line = shorten(error)
    reached = _REACHED.match(line)
    message = reached[1] if reached else line
    if _ANSWERED.match(message):
        return _describe_answer(line, message, _find_sqlstate(parameters))
    if message.startswith("could not translate host name"):
        return FailedConnection(line, False, "look at DATABASE_URL")
    if reached is None:
        return FailedConnection(line, True, "look at DATABASE_URL and libpq's variables PG*")
    if "no password supplied" in message:
        return FailedConnection(line, True, "name a password in DATABASE_URL or the file PGPASSFILE")
    return FailedConnection(line, any(word in message for word in _LIBPQ_REFUSES), "look at DATABASE_URL")


def _describe_answer(line: str, message: str, sqlstate: str | None) -> FailedConnection:
    def has(parts: tuple[str, ...]) -> bool:
        return any(part in message for part in parts)

    is_full = sqlstate is not None and sqlstate.startswith("53300")
    if sqlstate == _PGBOUNCER:
        is_full, is_final = has(_PGBOUNCER_FULL), has(_PGBOUNCER_REFUSES)
    else:
        is_final = sqlstate is not None and not sqlstate.startswith(_TEMPORARY)
    if is_full:
        return FailedConnection(line, False, "give this role two connections, then run again")
    return FailedConnection(line, is_final, "look at DATABASE_URL")


def _find_sqlstate(parameters: dict[str, Any]) -> str | None:
    """Return the SQLSTATE with which a server refuses a connection; None without one, or if it accepts this time.

    psycopg2 passes on only the message, but libpq can show the SQLSTATE in its place. That must be switched on before
    the server answers, so this function connects once more, asynchronously.
    """
    import psycopg2

    try:
        set_verbosity = ctypes.CDLL(psycopg2._psycopg.__file__).PQsetErrorVerbosity  # noqa: SLF001 psycopg2's own libpq
        set_verbosity.argtypes = (ctypes.c_void_p, ctypes.c_int)
        connection = psycopg2.connect(**parameters, async_=True)
    except (AttributeError, OSError, psycopg2.Error, UnicodeDecodeError):
        return None
    try:
        set_verbosity(connection.pgconn_ptr, _SQLSTATE_ONLY)
        _wait_for(connection)
    except (psycopg2.Error, UnicodeDecodeError) as error:
        sqlstates = re.findall(r":  ([0-9A-Z]{5})$", read_message(error), re.MULTILINE)
        return sqlstates[-1] if sqlstates else None
    finally:
        with suppress(psycopg2.Error):
            connection.close()
    return None


def _wait_for(connection: Any) -> None:
    """Wait some seconds until a connection is made; raises psycopg2.Error if it fails."""
    from psycopg2.extensions import POLL_OK, POLL_READ

    end = time.monotonic() + _SQLSTATE_SECONDS
    while (status := connection.poll()) != POLL_OK and time.monotonic() < end:
        ways = ([connection], []) if status == POLL_READ else ([], [connection])
        select.select(*ways, [], max(0, end - time.monotonic()))
