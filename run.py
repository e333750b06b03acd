#!/usr/bin/env python3
"""Counts a news app's event lake into Postgres; run `python run.py --help`."""

import sys

from processor.cli import main
from processor.environment import read_command_line

if __name__ == "__main__":
    sys.exit(main(read_command_line()))
