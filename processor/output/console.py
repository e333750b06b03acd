"""What people read: lines, a progress bar on a terminal, tables."""

import os
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from io import TextIOWrapper
from numbers import Number
from typing import TYPE_CHECKING, TextIO

from processor.listener import Listener
from processor.reducers.events import REASONS

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from processor.run_tally import RunTally
    from state.batch_writer import RejectedLine, Version
    from state.comparison import Difference

LEVELS = ("debug", "info", "warning", "error")
RED, YELLOW, BOLD = "31", "33", "1"


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


def several(count: int, noun: str) -> str:
    """A number of things in words.

    >>> several(1, "line"), several(5219, "line")
    ('1 line', '5,219 lines')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def sized(size: float) -> str:
    """A number of bytes in a few characters: 950 B, 9.5 kB, 95 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5 or unit == "GB":
            break
        size /= 1000
    return f"{size:,.{1 if size < 9.95 and unit != 'B' else 0}f} {unit}"


def moment(at: int) -> str:
    """A time in microseconds since 1970-01-01 UTC, as people write it; a number where there is no such time."""
    try:
        when = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at)
    except OverflowError:
        return str(at)
    return f"{when.replace(tzinfo=None).isoformat(' ', 'microseconds')} UTC"


class Console(Listener):
    """Says how a run goes on: on standard output, or on standard error where that is kept for `--json`.

    Lines below `level` are left out. `verb` says what becomes of files.
    """

    def __init__(self, json: bool = False, level: str = "info") -> None:
        """A console for one run."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):
                # A terminal need not know every character; a program reads UTF-8, whatever the locale.
                stream.reconfigure(encoding=None if stream.isatty() else "utf-8", errors="backslashreplace")
        self.verb = "counted"
        self._out = sys.stderr if json else sys.stdout
        self._level = LEVELS.index(level)
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._left: int | None = None

    @property
    def shows_tables(self) -> bool:
        """Whether what a run came to is shown, beyond a line."""
        return self._tells("info")

    def say(self, line: str = "", style: str = "") -> None:
        """Print one line of what goes on."""
        if self._tells("info"):
            self._print(line, self._out, style)

    def show(self, line: str = "", style: str = "") -> None:
        """Print one line of what was asked for."""
        self._print(line, self._out, style)

    def warn(self, line: str) -> None:
        """Print one line on standard error, of what may pass."""
        if self._tells("warning"):
            self._print(line, sys.stderr, YELLOW)

    def error(self, line: str) -> None:
        """Print one line on standard error."""
        self._print(line, sys.stderr, RED)

    def result(self, line: str) -> None:
        """Print the one line that `--json` promises on standard output."""
        self._write(line, sys.stdout)

    def _tells(self, level: str) -> bool:
        return LEVELS.index(level) >= self._level

    def _print(self, line: str, stream: TextIO, style: str) -> None:
        text = printable(line)
        self._write(f"\x1b[{style}m{text}\x1b[0m" if style and is_colourful(stream) else text, stream)

    def _write(self, line: str, stream: TextIO) -> None:
        try:
            print(line, file=stream, flush=True)
        except OSError:  # nobody reads on, as `| head` does: no reason to stop counting
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())

    def difference(self, difference: "Difference") -> None:
        """Say how a row is not what the lake gives."""
        row = f"{difference.table} {' '.join(map(str, difference.key))}"
        wanted, found = difference.wanted, difference.found
        if wanted is not None and found is not None and "rows" in wanted:
            missing, wrong = (several(int(str(side["rows"])), "row") for side in (wanted, found))
            self.show(f"{row}: missing {missing}, and {wrong} that should not be there")
            return
        if wanted is None or found is None:
            what, side = ("is missing", wanted) if found is None else ("should not be there", found)
            cells = ", ".join(f"{name} {_shown(name, value)}" for name, value in (side or {}).items())
            self.show(f"{row} {what}: {cells}")
            return
        differing = (
            f"{name} is {_shown(name, found[name])}, should be {_shown(name, wanted[name])}"
            for name in wanted
            if found[name] != wanted[name]
        )
        self.show(f"{row}: {'; '.join(differing)}")

    def remaining(self) -> str:
        """How many files are left to count, as the end of a sentence."""
        return (
            ""
            if self._left is None
            else f" with {several(self._left, 'file')} left to {'read' if self.verb == 'read' else 'count'}"
        )

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

    def ingested(self, version: "Version") -> None:
        """Say that a file was counted."""
        rejected = f", {several(version.rejected, 'line')} rejected" if version.rejected else ""
        self._file(f"{self.verb} {version.key}: {several(version.events, 'event')}{rejected}")

    def unchanged(self, key: str) -> None:
        """Say that a file holds the same as before."""
        self._file(f"same content {key}")

    def forgotten(self, key: str) -> None:
        """Say that what a file gave was taken back."""
        self.say(f"forgotten {key}")

    def rejected(self, lines: "Iterable[RejectedLine]", tsv: bool) -> None:
        """Show rejected lines: for people, or as TSV."""
        if tsv:
            self._write("FILE\tLINE_NUMBER\tREASON\tLINE", self._out)
        for line in lines:
            if tsv:
                cells = (mendable(line.key.encode()), str(line.line_number), line.reason, mendable(line.raw))
                self._write("\t".join(cells), self._out)
            else:
                self.show(f"{line.key}, line {line.line_number}: {REASONS[line.reason]}")
                self.show(f"    {line.raw.decode(errors='backslashreplace')}")

    def failed(self, key: str, error: str) -> None:
        """Say why a file counts nowhere."""
        self._file(f"not {self.verb} {key}: {error}", error=True)

    def _file(self, line: str, error: bool = False) -> None:
        if self._left is not None:
            self._left -= 1
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, left=self._left)
            if error or self._tells("info"):
                style = "red" if error else None
                self._progress.console.print(
                    printable(line), style=style, markup=False, emoji=False, highlight=False, soft_wrap=True
                )
        elif error:
            self.error(line)
        else:
            self.say(line)

    def end(self) -> None:
        """End the progress bar, whatever happened."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def summary(self, tally: "RunTally") -> None:
        """Say in a line what the run did."""
        if not tally.files_counted and not tally.files_failed and not tally.files_forgotten:
            are = "is" if tally.files_unchanged == 1 else "are"
            files = several(tally.files_unchanged, "file")
            self.say(f"Nothing new: {files} {are} counted already ({tally.seconds:.1f} s).", BOLD)
            return
        counted = f"{several(tally.events, 'event')}, {several(tally.rejected, 'line')} rejected"
        parts = [
            f"{several(tally.files_counted, 'file')} counted ({counted})",
            f"{tally.files_unchanged:,} unchanged",
        ]
        if tally.files_forgotten:
            parts.append(f"{tally.files_forgotten:,} forgotten")
        if tally.files_failed:
            parts.append(f"{tally.files_failed:,} failed")
        self.say(f"Done: {', '.join(parts)}, in {tally.seconds:.1f} s.", BOLD)

    def report(self, page: str, picture: str) -> None:
        """Say where the report is."""
        self.say(f"Page:       {page}")
        self.say(f"Picture:    {picture}")

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Print rows under their columns, each cell on one line and cut where it is long."""
        rows = list(rows)
        cells = [list(columns), *([_cell(value) for value in row] for row in rows)]
        width = [max(map(len, column)) for column in zip(*cells, strict=True)]
        right = [all(isinstance(row[column], Number | None) for row in rows) for column in range(len(columns))]
        self.show(title, BOLD)
        for line in cells:
            aligned = [cell.rjust(width[i]) if right[i] else cell.ljust(width[i]) for i, cell in enumerate(line)]
            self.show("  " + "  ".join(aligned).rstrip())


def is_colourful(stream: TextIO) -> bool:
    """Whether a stream takes colours: a terminal that knows them, and whose reader has not set NO_COLOR."""
    return (
        isinstance(stream, TextIOWrapper)
        and stream.isatty()
        and os.environ.get("TERM") != "dumb"
        and not os.environ.get("NO_COLOR")
    )


def _shown(name: str, value: object) -> str:
    return moment(value) if name.endswith("_at") and isinstance(value, int) else str(value)


def _cell(value: object) -> str:
    text = "" if value is None else f"{value:.4g}" if isinstance(value, float) else printable(str(value))
    return text if len(text) <= 40 else f"{text[:39]}…"
