"""What the database's errors mean: whether they pass by themselves, and what to do about those that stay.

They are told apart by SQLSTATE, as a server says everything else in a language of its own. What libpq says by itself is
English whatever the locale, since this program sets none.
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
_SCHEMA = "this program did not make it so: undo what was changed there, or count anew into another database"
_FOREIGN = "look for a constraint or trigger that somebody added, and take it away; or count anew by --rebuild"

# What helps, by how the SQLSTATE begins; the first that fits. What is not here is told by the server's log.
_ADVICE = {
    "08P01": "let the pooler pool by transaction or session, then run again",
    "08": LATER,
    "0A": "name a server that is PostgreSQL itself, 15 or later",
    "22": "this is a fault of the program: report it with this line and the file",
    "23": _FOREIGN,
    "25006": "name a database that can be written to",
    "25": "take the limit away that is set for this role's transactions, then run again",
    "28": "look at DATABASE_URL",
    "3D": "look at DATABASE_URL",
    "3F": _SCHEMA,
    "40": LATER,
    "42P06": "somebody else has this name: rename or drop theirs, or name another database",
    "42P07": "somebody else has this name: rename or drop theirs, or name another database",
    "42710": "somebody else has this name: rename or drop theirs, or name another database",
    "42723": "somebody else has this name: rename or drop theirs, or name another database",
    "42P10": "set the table's replica identity to default, or take the table out of the publication",
    "42501": "grant this role the right and let no policy hide rows from it, or name another role in DATABASE_URL",
    "42": _SCHEMA,
    "44": _FOREIGN,
    "53100": "free space on the database's disk, then run again",
    "53400": "raise the limit that is set for this role, then run again",
    "53": "give the server more memory or connections, then run again",
    "54": "raise that limit of the server, or take the file out of the lake",
    "55000": "give the table a replica identity or take it out of the publication, then run again",
    "55P03": "end what holds the lock or raise lock_timeout for this role, then run again",
    "55": "end what uses it, then run again",
    "57014": "raise statement_timeout for this role, then run again",
    "57": LATER,
    "58": "look at the server's disk and its log, then run again",
    "P0": _FOREIGN,
    "XX001": "the database is damaged: restore it from a backup, or count anew into another one",
    "XX002": "the database is damaged: restore it from a backup, or count anew into another one",
}
_LOG = "look at the server's log, then run again"
# Trying the transaction again does not help.
_STAYS = ("53400", "54", "55000")

# What a server says that takes no connection now; any other answer stays as it is.
_PASSING = ("08", "53", "57", "58", "XX")
# PgBouncer has one SQLSTATE for most that it says, and one language.
_PGBOUNCER = "08P01"
_PGBOUNCER_REFUSES = (
    "SSL required",
    "auth failed",
    "authentication failed",
    "does not exist",
    "no such",
    "startup par",
)
_PGBOUNCER_CROWDED = ("too many", "no more connections allowed")
_PGBOUNCER_TIMEOUT = "query_wait_timeout"
# How libpq says, of a server that it reached, that waiting does not help.
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
# Only what a server answers has two spaces behind its severity, in any language.
_ANSWERED = re.compile(r'[^":]+:  ')
_PATIENCE = 10.0
_SQLSTATE_ONLY = 3


def wrong_url(error: BaseException, url: str) -> str:
    """What is wrong with a libpq URI that cannot be parsed, and nothing of a password in it."""
    unknown = re.search(r'invalid URI query parameter: "(\w+)"$', words(error).strip())
    # With an @ behind it, what looks like a parameter may be the rest of a password.
    if unknown and "=" in url.partition("?")[2] and "@" not in url.partition("?")[2]:
        return f"DATABASE_URL has a parameter that libpq does not know, {unknown[1]}: take it out, or mend its name"
    return (
        "DATABASE_URL is no libpq URI: write it as postgresql://user:password@host:5432/database, "
        "with special characters percent-encoded"
    )


class Refusal(NamedTuple):
    """Why there is no connection: in one line, whether waiting does not help, and what to do."""

    line: str
    is_final: bool
    advice: str


def words(error: BaseException) -> str:
    """What an error says; of text in another encoding than UTF-8, what can be read."""
    if isinstance(error, UnicodeDecodeError):
        return error.object.decode(errors="replace")
    return str(error)


def one_line(error: BaseException) -> str:
    """What a database error says, without the lines that hold the statement; of several servers, what the last did."""
    lines = (words(error).strip() or type(error).__name__).splitlines()
    return next((line for line in reversed(lines) if line.startswith("connection to server")), lines[0])


def passes(error: BaseException) -> bool:
    """Whether the transaction may succeed when it is tried again."""
    import psycopg2

    if not isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError):
        return False
    return not (error.pgcode or "").startswith(_STAYS)


def advice(error: "Error") -> str:
    """What to do about an error that stayed."""
    if _PGBOUNCER_TIMEOUT in str(error):
        return "let the pooler give this role two connections or more (default_pool_size), then run again"
    state = error.pgcode
    if state is None:
        return LATER  # the connection broke
    return next((text for begin, text in _ADVICE.items() if state.startswith(begin)), _LOG)


def refusal(error: BaseException, parameters: dict[str, Any]) -> Refusal:
    """Why no connection came of these parameters."""
    line = one_line(error)
    reached = _REACHED.match(line)
    said = reached[1] if reached else line
    if _ANSWERED.match(said):
        return _answer(line, said, _sqlstate(parameters))
    if said.startswith("could not translate host name"):
        return Refusal(line, False, "look at DATABASE_URL")
    if reached is None:
        return Refusal(line, True, "look at DATABASE_URL and libpq's variables PG*")
    if "no password supplied" in said:
        return Refusal(line, True, "name a password in DATABASE_URL or the file PGPASSFILE")
    return Refusal(line, any(word in said for word in _LIBPQ_REFUSES), "look at DATABASE_URL")


def _answer(line: str, said: str, state: str | None) -> Refusal:
    def has(fitting: tuple[str, ...]) -> bool:
        return any(word in said for word in fitting)

    is_crowded = state is not None and state.startswith("53300")
    if state == _PGBOUNCER:
        is_crowded, is_final = has(_PGBOUNCER_CROWDED), has(_PGBOUNCER_REFUSES)
    else:
        is_final = state is not None and not state.startswith(_PASSING)
    if is_crowded:
        return Refusal(line, False, "give this role two connections, then run again")
    return Refusal(line, is_final, "look at DATABASE_URL")


def _sqlstate(parameters: dict[str, Any]) -> str | None:
    """The SQLSTATE of what a server answers to a connection; None where it says none, or not the same again.

    psycopg2 passes on only the words. libpq has the SQLSTATE and gives it in their place, if it is asked before the
    server answers: which takes another attempt, whose connection can be reached meanwhile.
    """
    import psycopg2

    try:
        ask = ctypes.CDLL(psycopg2._psycopg.__file__).PQsetErrorVerbosity  # noqa: SLF001 its libpq is no other's
        ask.argtypes = (ctypes.c_void_p, ctypes.c_int)
        asking = psycopg2.connect(**parameters, async_=True)
    except (AttributeError, OSError, psycopg2.Error, UnicodeDecodeError):
        return None
    try:
        ask(asking.pgconn_ptr, _SQLSTATE_ONLY)
        _wait(asking)
    except (psycopg2.Error, UnicodeDecodeError) as error:
        found = re.findall(r":  ([0-9A-Z]{5})$", words(error), re.MULTILINE)
        return found[-1] if found else None
    finally:
        with suppress(psycopg2.Error):
            asking.close()
    return None


def _wait(asking: Any) -> None:
    """Let a connection be made, or fail, for some seconds."""
    from psycopg2.extensions import POLL_OK, POLL_READ

    end = time.monotonic() + _PATIENCE
    while (state := asking.poll()) != POLL_OK and time.monotonic() < end:
        ways = ([asking], []) if state == POLL_READ else ([], [asking])
        select.select(*ways, [], max(0, end - time.monotonic()))
