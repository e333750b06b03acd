"""Processes that run a module of the program."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def start_module(module: str, *arguments: str, pass_fds: Sequence[int] = ()) -> "subprocess.Popen[bytes]":
    """Start a module of the program as a process with a pipe to its standard input; raises OSError.

    module: its name. arguments: the words after it. pass_fds: the descriptors that the process gets.
    """
    # The program's modules come first; dependencies may be on PYTHONPATH. An empty entry would be the
    # working directory.
    path = b":".join(filter(None, (os.fsencode(ROOT), os.environb.get(b"PYTHONPATH"))))
    return subprocess.Popen(
        [sys.executable, "-P", "-m", module, *arguments],
        stdin=subprocess.PIPE,
        pass_fds=pass_fds,
        env={**os.environb, b"PYTHONPATH": path},
        process_group=0,  # a signal that the terminal sends to stop the run reaches its parent only
    )
