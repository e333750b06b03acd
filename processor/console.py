"""What people read: lines, a progress bar on a terminal, the first rows of the tables."""

import os
import sys
from collections.abc import Iterable, Sequence
from io import TextIOWrapper
from numbers import Number
from typing import TYPE_CHECKING, TextIO

from processor.events import REASONS
from processor.pipeline import Outcome
from state.shadow import Difference
from state.writer import RejectedLine, Version

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


def printable(text: str) -> str:
    """The text with everything escaped that a terminal could take for more than text."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def mendable(line: bytes) -> str:
    r"""The bytes of a line as one field of TSV: `printf %b` gives them back, and a terminal takes them for text.

    >>> mendable(b"a\tb\\ \xff")
    'a\\tb\\\\ \\xff'
    """
    text = line.decode("utf-8", "surrogateescape").replace("\\", "\\\\").replace("\t", "\\t")
    parts = (c if c.isprintable() else c.encode("utf-8", "surrogateescape") for c in text)
    return "".join(part if isinstance(part, str) else "".join(f"\\x{byte:02x}" for byte in part) for part in parts)


class Console:
    """Says how a run goes on: on standard output, or on standard error where that is kept for `--json`."""

    def __init__(self, json: bool = False) -> None:
        """A console for one run."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")  # a terminal need not know every character
        self._out = sys.stderr if json else sys.stdout
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._left: int | None = None
        self.failures = 0

    def say(self, line: str = "") -> None:
        """Print one line."""
        self._print(line, self._out is sys.stderr)

    def error(self, line: str) -> None:
        """Print one line on standard error."""
        self._print(line, True)

    def result(self, line: str) -> None:
        """Print the one line that `--json` promises on standard output."""
        self._write(line, sys.stdout)

    def _print(self, line: str, to_stderr: bool) -> None:
        self._write(printable(line), sys.stderr if to_stderr else self._out)

    def _write(self, line: str, stream: TextIO) -> None:
        try:
            print(line, file=stream, flush=True)
        except OSError:  # nobody reads on, as `| head` does: no reason to stop counting
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())

    def difference(self, difference: Difference) -> None:
        """Say how a row is not what the lake gives."""
        row = f"{difference.table} {' '.join(map(str, difference.key))}"
        wanted, found = difference.wanted, difference.found
        if wanted is not None and found is not None and "rows" in wanted:
            self.say(f"{row}: {wanted['rows']} rows are missing, {found['rows']} should not be there")
            return
        if wanted is None or found is None:
            what, side = ("is missing", wanted) if found is None else ("should not be there", found)
            self.say(f"{row} {what}: {side}")
            return
        cells = (f"{name} is {found[name]}, should be {wanted[name]}" for name in wanted if found[name] != wanted[name])
        self.say(f"{row}: {'; '.join(cells)}")

    def remaining(self) -> str:
        """How many files are left to count, as the end of a sentence."""
        return "" if self._left is None else f" with {self._left:,} files left to count"

    def begin(self, files: int, size: int) -> None:
        """Begin the progress bar where there is a terminal to draw it on."""
        self._left = files
        if not files or not isinstance(sys.stderr, TextIOWrapper) or not sys.stderr.isatty():
            return
        from rich.console import Console as Terminal
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        self._progress = Progress(
            TextColumn("{task.fields[left]} files left"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=Terminal(stderr=True),
            transient=True,
        )
        self._progress.start()
        self._task = self._progress.add_task("", total=size, left=files)

    def read(self, size: int) -> None:
        """Move the progress bar on."""
        if self._progress is not None and self._task is not None:
            self._progress.advance(self._task, size)

    def counted(self, version: Version) -> None:
        """Say that a file was counted."""
        rejected = f", {version.rejected:,} lines rejected" if version.rejected else ""
        self._file(f"counted {version.key}: {version.events:,} events{rejected}")

    def same(self, key: str) -> None:
        """Say that a file holds the same as before."""
        self._file(f"same content {key}")

    def forgotten(self, key: str) -> None:
        """Say that what a file gave was taken back."""
        self.say(f"forgotten {key}")

    def unknown(self, key: str) -> None:
        """Say that the database knows no such file."""
        self.error(f"no file {key} is known; a key is a path below the lake's URL")

    def rejected(self, lines: Iterable[RejectedLine], tsv: bool) -> None:
        """Show rejected lines: for people, or as TSV."""
        if tsv:
            self._write("FILE\tLINE_NUMBER\tREASON\tLINE", self._out)
        for line in lines:
            if tsv:
                cells = (mendable(line.key.encode()), str(line.line_number), line.reason, mendable(line.raw))
                self._write("\t".join(cells), self._out)
            else:
                self.say(f"{line.key}, line {line.line_number}: {REASONS[line.reason]}")
                self.say(f"    {line.raw.decode(errors='backslashreplace')}")

    def failed(self, key: str, error: str) -> None:
        """Say why a file counts nowhere."""
        self.failures += 1
        self._file(f"not counted {key}: {error}", error=True)

    def _file(self, line: str, error: bool = False) -> None:
        if self._left is not None:
            self._left -= 1
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, left=self._left)
            self._progress.console.print(printable(line), markup=False, emoji=False, highlight=False, soft_wrap=True)
        elif error:
            self.error(line)
        else:
            self.say(line)

    def end(self) -> None:
        """End the progress bar, whatever happened."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def summary(self, outcome: Outcome) -> None:
        """Say in a line what the run did."""
        if not outcome.files_counted and not outcome.files_failed and not outcome.files_forgotten:
            self.say(f"Nothing new: {outcome.files_unchanged:,} files are counted already ({outcome.seconds:.1f} s).")
            return
        counted = f"{outcome.events:,} events, {outcome.rejected:,} lines rejected"
        parts = [f"{outcome.files_counted:,} files counted ({counted})", f"{outcome.files_unchanged:,} unchanged"]
        if outcome.files_forgotten:
            parts.append(f"{outcome.files_forgotten:,} forgotten")
        if outcome.files_failed:
            parts.append(f"{outcome.files_failed:,} failed")
        self.say(f"Done: {', '.join(parts)}, in {outcome.seconds:.1f} s.")

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Print rows under their columns, each cell on one line and cut where it is long."""
        rows = list(rows)
        cells = [list(columns), *([_cell(value) for value in row] for row in rows)]
        width = [max(map(len, column)) for column in zip(*cells, strict=True)]
        right = [all(isinstance(row[column], Number | None) for row in rows) for column in range(len(columns))]
        self.say()
        self.say(title)
        for line in cells:
            aligned = [cell.rjust(width[i]) if right[i] else cell.ljust(width[i]) for i, cell in enumerate(line)]
            self.say("  " + "  ".join(aligned).rstrip())


def _cell(value: object) -> str:
    text = "" if value is None else f"{value:.4g}" if isinstance(value, float) else printable(str(value))
    return text if len(text) <= 40 else f"{text[:39]}…"
