"""Real Postgres servers, and databases on them."""

import re
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import parse_dsn

from state import embedded
from tests.support.paths import ROOT

MEMORY = Path("/dev/shm")  # noqa: S108 - the folders in it get random names
# Bytes: a server keeps up to 1 GiB of its log, and each of four test processes has one or two servers.
MIN_FREE_BYTES = 8 << 30


def find_fast_folder() -> Path | None:
    """Return a folder in memory for the data of servers; None, for the default, where it is missing or too small.

    A new database is 300 files: Postgres makes them in 0.02 s there, and on a disk in up to 0.3 s.
    """
    return MEMORY if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= MIN_FREE_BYTES else None


@contextmanager
def copy_of(url: str) -> Iterator[str]:
    """Copy a database on its server for the length of the block; yield the URI of the copy."""
    name, template = f"copy_{uuid.uuid4().hex}", parse_dsn(url)["dbname"]
    owner = as_role("postgres", url)
    admin = psycopg2.connect(owner.replace(f"/{template}?", "/postgres?"))
    admin.autocommit = True
    with closing(admin), admin.cursor() as cur:
        cur.execute(
            sql.SQL("create database {} template {} strategy file_copy").format(*map(sql.Identifier, (name, template)))
        )
        make_roles(owner.replace(f"/{template}?", f"/{name}?"))
        yield url.replace(f"/{template}?", f"/{name}?")
        cur.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def administrate(url: str, statement: str, *names: str) -> None:
    """Execute a statement outside a transaction; `names` fill its braces as identifiers."""
    with closing(psycopg2.connect(url)) as admin:
        admin.autocommit = True
        with admin.cursor() as cur:
            cur.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def configure(database: str, setting: str) -> None:
    """Change a setting of the role that counts, in this database."""
    administrate(
        as_role("postgres", database), f"alter role etl in database {{}} set {setting}", parse_dsn(database)["dbname"]
    )


def tune(url: str) -> None:
    """Switch fsync off, as no test cuts the machine's power, and keep a short log, as it may be in memory."""
    administrate(url, "alter system set fsync = off")
    administrate(url, "alter system set max_wal_size = '1GB'")
    administrate(url, "select pg_reload_conf()")


@contextmanager
def new_server() -> Iterator[tuple[str, Path]]:
    """Start a Postgres server for the length of the block; yield the URI of a database on it, and its folder."""
    # Not in pytest's folder: when another pytest starts, it removes the access of the account that runs Postgres.
    with tempfile.TemporaryDirectory(dir=find_fast_folder()) as folder:
        home = Path(folder, "server")
        with embedded.open_server("tests", home) as uri:
            tune(uri)
            yield uri, home


@contextmanager
def new_database(server: str) -> Iterator[str]:
    """Create an empty database for the length of the block; yield its URI for the role `etl`."""
    name = f"test_{uuid.uuid4().hex}"
    administrate(server, "create database {} strategy file_copy", name)  # half of the time of the default
    uri = server.replace(f"/{embedded.name_database('tests')}?", f"/{name}?")
    make_roles(uri)
    yield as_role("etl", uri)
    administrate(server, "drop database {} with (force)", name)


def make_roles(uri: str) -> None:
    """Create the roles of the documentation in the database that the owner's URI names."""
    owner = psycopg2.connect(uri)
    with owner, owner.cursor() as cur:
        cur.execute((ROOT / "state" / "roles.sql").read_text(encoding="utf-8"))
    owner.close()


def as_role(role: str, uri: str) -> str:
    """Return the URI of the same database for another role."""
    return re.sub("//[^@/]*@", f"//{role}@", uri)
