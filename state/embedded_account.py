"""The account that the embedded server runs as, with the files and programs that it must reach."""

import os
import pwd
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from state.embedded_programs import OR_ANOTHER_DATABASE, Programs
from state.errors import EmbeddedError


class Account(NamedTuple):
    """A user and a group of the system, by their numbers."""

    uid: int
    gid: int


def find_account(home: Path) -> Account | None:
    """Return the account that the server runs as: None for the present one, unless that is root.

    Postgres refuses to run as root, so then it is the owner of the folder or of its parent, or else nobody.
    """
    if os.geteuid() != 0:
        return None
    for folder in (home, home.parent):
        with suppress(FileNotFoundError, KeyError):
            owner = pwd.getpwuid(folder.stat().st_uid)
            if owner.pw_uid != 0:
                return Account(owner.pw_uid, owner.pw_gid)
    nobody = pwd.getpwnam("nobody")
    return Account(nobody.pw_uid, nobody.pw_gid)


def make_folder(folder: Path, account: Account | None) -> None:
    """Make a folder that only the server's account can enter; raises EmbeddedError if it belongs to another one."""
    try:
        folder.mkdir(mode=0o700)
        if account:
            os.chown(folder, *account)
    except FileExistsError:
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != (account.uid if account else os.geteuid()):
            raise EmbeddedError(
                f"{folder} belongs to another account: run as that one, {OR_ANOTHER_DATABASE}"
            ) from None


def open_file(path: Path, account: Account | None) -> int:
    """Return a descriptor of a file that the account owns; it is made if it is missing."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    if account:
        os.fchown(descriptor, *account)
    return descriptor


def grant_access(home: Path, programs: Programs, account: Account) -> None:
    """Let the account reach the programs and the data, by opening folders such as /root; raises EmbeddedError.

    home: the folder of the server. programs: of PostgreSQL. account: the server's.
    """
    trial = ["/bin/sh", "-c", 'cd "$1" && "$2" --version', "sh", str(home), str(programs.folder / "postgres")]
    if run_as(trial, account).returncode == 0:
        return
    package = programs.package
    for folder in {*home.parents, *(package.parents if package else ())}:
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            print(f"letting other accounts pass through {folder}, as Postgres will not run as root", file=sys.stderr)
            folder.chmod(mode | stat.S_IXOTH)
    for part in (package, package.with_name(f"{package.name}.libs")) if package else ():
        for path in (part, *part.rglob("*")):
            mode = path.stat().st_mode
            path.chmod(mode | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0))
    if run_as(trial, account).returncode != 0:
        raise EmbeddedError(
            f"Postgres will not run as root, and no other account can enter {home}: "
            f"run as another account, {OR_ANOTHER_DATABASE}"
        )


def run_as(
    command: list[str], account: Account | None, output: int = subprocess.PIPE, *inherited: int
) -> subprocess.CompletedProcess[str]:
    """Run a program and return its exit code and output.

    command: the program and its arguments. account: None for the present one. output: the descriptor that gets what it
    prints; by default that is returned. inherited: descriptors that it gets besides.
    """
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
        # Ctrl-C must not reach the server.
        start_new_session=True,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
    )
