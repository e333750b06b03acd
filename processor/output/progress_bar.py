"""A progress bar on a terminal, in the last line, which other lines push down."""

import os
import sys
import time
from contextlib import suppress
from io import TextIOWrapper
from typing import TextIO

from processor.formats import format_size, pluralize

DRAWING_SECONDS = 0.1  # from one drawing to the next
BAR_CHARACTERS = 20
COLUMNS = 80  # of a terminal that does not say how wide it is


class ProgressBar:
    """Shows how many files and bytes are left, how fast they are read, and for how long."""

    def __init__(self, terminal: TextIO, files: int, size: int) -> None:
        """Show the beginning.

        terminal: where to draw. files: how many are read. size: their bytes.
        """
        self._terminal, self._files_left, self._size = terminal, files, max(size, 1)
        self._done, self._width = 0, 0
        self._began_at = time.monotonic()
        self._drawn_at = 0.0
        self._draw()

    def advance(self, size: int) -> None:
        """Count `size` bytes as read."""
        self._done += size
        if time.monotonic() > self._drawn_at + DRAWING_SECONDS:
            self._draw()

    def set_files_left(self, files: int) -> None:
        """Show how many files are left, when the bar is drawn next."""
        self._files_left = files

    def hide(self) -> None:
        """Remove the bar from the terminal, until it is drawn again."""
        if self._width:
            self._write(f"\r{' ' * self._width}\r")
            self._width = 0

    def _draw(self) -> None:
        self._drawn_at = time.monotonic()
        share = min(self._done / self._size, 1.0)
        bar = ("#" * round(share * BAR_CHARACTERS)).ljust(BAR_CHARACTERS, "-")
        read = f"{format_size(self._done)} of {format_size(self._size)}"
        line = f"{pluralize(self._files_left, 'file')} left [{bar}] {read}"
        seconds = self._drawn_at - self._began_at
        if self._done and seconds:
            minutes, left = divmod(round(seconds / share * (1 - share)), 60)
            line += f", {format_size(self._done / seconds)}/s, {minutes}:{left:02} left"
        line = line[: self._read_columns() - 1]
        self._write(f"\r{line.ljust(self._width)}")
        self._width = len(line)

    def _read_columns(self) -> int:
        with suppress(OSError):
            return os.get_terminal_size(self._terminal.fileno()).columns or COLUMNS
        return COLUMNS

    def _write(self, text: str) -> None:
        with suppress(OSError):  # the terminal is closed; the run continues
            os.write(self._terminal.fileno(), text.encode())


def start_progress_bar(files: int, size: int) -> ProgressBar | None:
    """Show a progress bar on standard error; return None if that is not a terminal or there are no files.

    Parameters: `files` is the number of files, `size` is their size in bytes.
    """
    if not files or not isinstance(sys.stderr, TextIOWrapper) or not sys.stderr.isatty():
        return None
    return ProgressBar(sys.stderr, files, size)
