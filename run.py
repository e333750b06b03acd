#!/usr/bin/env python3
"""Ingests a news app's event lake into Postgres; run `python run.py --help`."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

from processor.environment import encode_utf8, read_command_line
from processor.errors import WRONG_SETTING

# `make run` installs the program's packages here; the shell's Python may lack some of them.
ENVIRONMENT = Path(__file__).resolve().with_name(".venv")
PACKAGES = (
    "boto3",
    "fontpkg_inter",
    "jinja2",
    "orjson",
    "prometheus_client",
    "psycopg2",
    "resvg_py",
    "tzdata",
    "watchfiles",
)


def run(words: list[str]) -> int:
    """Run one command and return the exit code; `words` follow the program's name."""
    python = ENVIRONMENT / "bin" / "python"
    is_bare = any(find_spec(package) is None for package in PACKAGES)
    if is_bare and python.exists() and not ENVIRONMENT.samefile(sys.prefix):
        os.execv(python, [bytes(python), os.fsencode(__file__), *map(encode_utf8, words)])  # noqa: S606 - it replaces this process
    try:
        from processor.cli import main

        return main(words)
    except ModuleNotFoundError as error:
        advice = "make run installs all packages, or pip install -r requirements.txt"
        print(f"error: the Python package {error.name} is missing: {advice}", file=sys.stderr)
        return WRONG_SETTING


if __name__ == "__main__":
    sys.exit(run(read_command_line()))
