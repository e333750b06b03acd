"""A PgBouncer of its own for a test, in front of the tests' server."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from psycopg2.extensions import parse_dsn

PROGRAM = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")


@contextmanager
def pooler(url: str, **settings: object) -> Iterator[str]:
    """The URI of the same database behind a pooler that hands its connections on after each transaction."""
    assert PROGRAM is not None
    server = parse_dsn(url)
    # Only the server's account may enter the folder of its socket; PgBouncer will not run as root.
    account = Path(server["host"]).stat()
    is_root = os.geteuid() == 0
    with tempfile.TemporaryDirectory() as folder:
        os.chown(folder, account.st_uid, account.st_gid)
        users, configuration = Path(folder, "users"), Path(folder, "pgbouncer.ini")
        users.write_text(f'"{server["user"]}" ""\n', encoding="utf-8")
        for _ in range(5):
            port = free_port()
            all_settings = {
                "listen_addr": "127.0.0.1",
                "listen_port": port,
                "unix_socket_dir": "",
                "auth_type": "trust",
                "auth_file": users,
                "pool_mode": "transaction",
                **settings,
            }
            lines = "".join(f"{name} = {value}\n" for name, value in all_settings.items())
            databases = f"* = host={server['host']} port={server['port']}\n"
            configuration.write_text(f"[databases]\n{databases}[pgbouncer]\n{lines}", encoding="utf-8")
            process = subprocess.Popen(
                [PROGRAM, str(configuration)],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                user=account.st_uid if is_root else None,
                group=account.st_gid if is_root else None,
                extra_groups=[] if is_root else None,
            )
            if listens(port, process):
                break  # no other program took the port
        try:
            yield f"postgresql://{server['user']}@127.0.0.1:{port}/{server['dbname']}"
        finally:
            process.kill()
            process.wait()


def free_port() -> int:
    """Return a port on which nobody listens now."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def listens(port: int, process: subprocess.Popen[bytes]) -> bool:
    """Wait until a process listens on a port or has ended; return whether it listens."""
    while process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return process.poll() is None
        time.sleep(0.02)
    return False
