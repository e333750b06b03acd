"""The process of the embedded server: made, started, found and stopped in a folder."""

import fcntl
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from state.embedded_account import Account, grant_access, make_folder, open_file, run_as
from state.embedded_programs import OR_ANOTHER_DATABASE, Programs, find_programs
from state.errors import EmbeddedError

if TYPE_CHECKING:
    from psycopg2.extensions import connection

PORT = 5432
USER = "postgres"
# Kernels limit the path of a socket to 104 bytes on macOS and 108 on Linux, including its closing zero.
SOCKET_PATH_BYTES = 103
# On Linux, syncing the whole disk takes a tenth of the time of syncing each file.
SYNC = "syncfs" if sys.platform == "linux" else "fsync"
SYNC_METHOD_MAJOR = 17  # the first whose initdb has this option
START_SECONDS = 300
STOP_SECONDS = 120
SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    # The transactions are large: fewer checkpoints, and no log for replicas, as there are none.
    "checkpoint_timeout": "15min",
    "max_wal_size": "4GB",
    "max_wal_senders": "0",
    "wal_level": "minimal",
    "recovery_init_sync_method": SYNC,
    "shared_buffers": "256MB",
    "jit": "off",
    # The server soon ends the statement of a program that was killed, and releases its locks.
    "client_connection_check_interval": "1s",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class RunningServer(NamedTuple):
    """A server process: its id, the folder of its socket, and whether it accepts connections by its own account."""

    process_id: int
    sockets: str
    is_ready: bool


def start_server(home: Path, account: Account | None) -> str:
    """Start the server unless it runs; return the folder of its socket, once it answers. Raises EmbeddedError."""
    launched = False
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        lock = open_file(home / "server.lock", account)
        try:
            if not try_lock(lock):
                running = read_pid_file(home)
                if running is not None and running.is_ready and is_answering(running.sockets):
                    return running.sockets
            elif launched:
                reason = find_reason((home / "log").read_text(encoding="utf-8", errors="replace"))
                raise EmbeddedError(f"the embedded server does not start ({reason}): fix that, {OR_ANOTHER_DATABASE}")
            else:
                _launch(home, account, lock)
                launched = True
        finally:
            os.close(lock)
        time.sleep(0.02)
    raise EmbeddedError(f"the embedded server does not answer: look into {home / 'log'}, {OR_ANOTHER_DATABASE}")


def stop_server(home: Path) -> None:
    """Stop the server if it runs, and delete what it keeps outside its folder; raises EmbeddedError and OSError."""
    lock = os.open(home / "server.lock", os.O_RDWR | os.O_CREAT, 0o600)
    sockets = None
    is_signalled = False
    deadline = time.monotonic() + STOP_SECONDS
    try:
        while not try_lock(lock):
            if time.monotonic() > deadline:
                raise EmbeddedError(
                    f"the embedded server does not stop: look into {home / 'log'}, {OR_ANOTHER_DATABASE}"
                )
            running = read_pid_file(home)
            if running is not None and not is_signalled:
                is_signalled, sockets = True, running.sockets
                with suppress(ProcessLookupError):
                    os.kill(running.process_id, signal.SIGINT)
            time.sleep(0.02)
    finally:
        os.close(lock)
    if sockets and Path(sockets) != home:
        shutil.rmtree(sockets, ignore_errors=True)


def try_lock(descriptor: int) -> bool:
    """Return whether this process now holds the lock alone; if not, it may have lost a shared lock that it held."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _launch(home: Path, account: Account | None, lock: int) -> None:
    data = home / "data"
    programs = find_programs(data)
    if account:
        grant_access(home, programs, account)
    if not data.exists():
        _make_data(home, programs, account, lock)
    sockets = home
    # Clients take a comma for the end of a host's name.
    if len(os.fsencode(home / f".s.PGSQL.{PORT}")) > SOCKET_PATH_BYTES or "," in str(home):
        sockets = Path(tempfile.gettempdir(), f"postgres-{hashlib.sha256(os.fsencode(home)).hexdigest()[:12]}")
        make_folder(sockets, account)
    # Nobody else holds the lock, so a killed server left these; the process id in them may belong to another process.
    for left in (data / "postmaster.pid", sockets / f".s.PGSQL.{PORT}.lock", sockets / f".s.PGSQL.{PORT}"):
        left.unlink(missing_ok=True)
    quoted = str(sockets).replace('"', '""')
    settings = {**SETTINGS, "unix_socket_directories": f'"{quoted}"'}
    words = [f"--{name}={value}" for name, value in settings.items()]
    (home / "log").unlink(missing_ok=True)
    log = open_file(home / "log", account)
    try:
        # The shell detaches the server, so that it is not a child process to wait for.
        detached = ["/bin/sh", "-c", '"$@" &', "sh", str(programs.folder / "postgres"), "-D", str(data), *words]
        run_as(detached, account, log, lock)
    finally:
        os.close(log)


def _make_data(home: Path, programs: Programs, account: Account | None, lock: int) -> None:
    """Make the data folder, in one step: a half-made one of a killed process is replaced."""
    new = home / "new"
    shutil.rmtree(new, ignore_errors=True)
    options = [f"--username={USER}", "--auth=trust", "--encoding=UTF8", "--no-locale"]
    if programs.major >= SYNC_METHOD_MAJOR:
        options.append(f"--sync-method={SYNC}")
    # initdb inherits the server's lock: if this process is killed, the next one waits for the end of initdb.
    made = run_as([str(programs.folder / "initdb"), *options, "-D", str(new)], account, subprocess.PIPE, lock)
    if made.returncode:
        reason = find_reason(made.stdout)
        raise EmbeddedError(
            f"the data folder of the embedded server cannot be created ({reason}): fix that, {OR_ANOTHER_DATABASE}"
        )
    new.rename(home / "data")


def read_pid_file(home: Path) -> RunningServer | None:
    """Return what the server wrote into postmaster.pid; None if it has not written all of it yet."""
    try:
        lines = os.fsdecode((home / "data" / "postmaster.pid").read_bytes()).splitlines()
    except FileNotFoundError:
        return None
    return RunningServer(int(lines[0]), lines[4].strip(), lines[7].strip() == "ready") if len(lines) > 7 else None


def find_reason(output: str) -> str:
    """Return why a program failed, from its output."""
    found = re.search(r"(?:error|FATAL|PANIC): +(.+)", output)
    return found[1] if found else (output.strip().splitlines() or ["it printed nothing"])[-1]


def make_uri(sockets: str, database: str) -> str:
    """Return the URI of a database on the server whose socket is in a folder."""
    return f"postgresql://{USER}@/{database}?host={quote(os.fsencode(sockets), safe='')}&port={PORT}"


def connect(sockets: str) -> "connection":
    """Return a connection to the server whose socket is in a folder; raises psycopg2.Error."""
    import psycopg2

    return psycopg2.connect(make_uri(sockets, USER), connect_timeout=10, client_encoding="UTF8")


def is_answering(sockets: str) -> bool:
    """Return whether the server whose socket is in a folder accepts connections."""
    from psycopg2 import OperationalError

    try:
        connect(sockets).close()
    except OperationalError:
        return False
    return True
