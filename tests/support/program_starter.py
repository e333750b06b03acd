"""Forks the program from a process that has imported it: that takes a tenth of the time of a new process."""

import atexit
import gc
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pkgutil import iter_modules
from typing import IO, NoReturn

from processor import command_line, commands, report
from processor.report.page import load_template
from run import PACKAGES
from tests.support.paths import ROOT

# Bytes of the command line, the environment and the current folder together.
REQUEST_BYTES = 200_000
# Variables that Python reads when it starts, and the locale of C, which it then sets.
READ_AT_START = ("PYTHON", "LC_", "LANG")


def select_read_at_start(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that have an effect only when a process starts."""
    return {name: value for name, value in environment.items() if name.startswith(READ_AT_START)}


class ProgramStarter:
    """A process that forks itself for each run of the program; it ends with the process that made it."""

    def __init__(self) -> None:
        """Start the process."""
        self._environment, self._account = select_read_at_start(os.environ), os.geteuid()
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-m", "tests.support.program_starter", str(theirs.fileno())]
            self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])

    def close(self) -> None:
        """End the process."""
        self._requests.close()
        self._process.wait()

    def can_run(self, arguments: Sequence[str], environment: Mapping[str, str]) -> bool:
        """Whether a fork does the same as a new process: it has the same locale and account."""
        return (
            "".join(arguments).isascii()
            and select_read_at_start(environment) == self._environment
            and os.geteuid() == self._account
        )

    def run(
        self, arguments: Sequence[str], environment: Mapping[str, str], folder: str, out: IO[bytes], errors: IO[bytes]
    ) -> int:
        """Run the program to its end in a folder, with its output in two files; return its exit code."""
        request = json.dumps([arguments, dict(environment), folder]).encode()
        assert len(request) < REQUEST_BYTES
        ours, theirs = os.pipe()
        with os.fdopen(ours, encoding="ascii") as answer:
            try:
                socket.send_fds(self._requests, [request], [out.fileno(), errors.fileno(), theirs])
            finally:
                os.close(theirs)
            return int(answer.read())


def main(descriptor: int) -> None:
    """Fork for each request, until there are no more."""
    import_program()
    with socket.socket(fileno=descriptor) as requests:
        while True:
            request, descriptors, _, _ = socket.recv_fds(requests, REQUEST_BYTES, 3)
            if not request:
                return
            if not os.fork():
                break
            for number in descriptors:
                os.close(number)
            reap()
    out, errors, answer = descriptors
    program = os.fork()
    if program:
        _, status = os.waitpid(program, 0)
        os.write(answer, str(os.waitstatus_to_exitcode(status)).encode())
        os._exit(0)
    for number, place in ((out, 1), (errors, 2)):
        os.dup2(number, place)
    for number in descriptors:
        os.close(number)
    become_program(*json.loads(request))


def import_program() -> None:
    """Import what the program imports, for all runs."""
    for module in (*PACKAGES, "processor.cli", *list_modules()):
        import_module(module)
    load_template()
    gc.freeze()  # a collection in a fork leaves alone what is shared


def list_modules() -> Iterator[str]:
    """Yield the modules of the packages that the program imports when a command needs them."""
    for package in (command_line, commands, report):
        for module in iter_modules(package.__path__):
            yield f"{package.__name__}.{module.name}"


def reap() -> None:
    """Wait for the forks that have ended."""
    with suppress(ChildProcessError):  # there is no other
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def become_program(arguments: list[str], environment: dict[str, str], folder: str) -> NoReturn:
    """Do what run.py does in a process of its own, and end as it does."""
    from processor.cli import main as run_program

    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    os.chdir(folder)
    sys.argv[:] = ["run.py", *arguments]
    try:
        sys.exit(run_program(arguments))
    except SystemExit as ended:
        # Python would go on to take all modules apart: most of the time, and memory that is shared until then.
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(ended.code if isinstance(ended.code, int) else 0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
