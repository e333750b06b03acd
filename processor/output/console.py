"""What people read of a run: lines, and tables of rows."""

import os
import sys
from collections.abc import Iterable, Sequence
from io import TextIOWrapper
from numbers import Number
from typing import TYPE_CHECKING, TextIO

from processor.formats import escape_bytes, format_time, make_printable, pluralize
from processor.listener import Listener
from processor.output.progress_bar import ProgressBar, start_progress_bar
from processor.reducers.events import REASONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from processor.run_tally import RunTally
    from state.comparison import Difference
    from state.files import FileVersion, RejectedLine

LEVELS = ("debug", "info", "warning", "error")
RED, YELLOW, BOLD = "31", "33", "1"  # ANSI styles
CELL_CHARACTERS = 40


class Console(Listener):
    """Prints the progress of a run to standard output, or to standard error if `--json` needs standard output.

    `has_lost_output` is true once something could not be written, unless its reader had ended.
    """

    def __init__(self, json: bool = False, level: str = "info", verb: str = "counted") -> None:
        """Prepare standard output and standard error for one run.

        json: whether to keep standard output for the result. level: one of LEVELS; lines below it are left out.
        verb: what happens to files, "counted" or "read".
        """
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):
                # A terminal may lack some characters; a program gets UTF-8, whatever the locale is.
                stream.reconfigure(encoding=None if stream.isatty() else "utf-8", errors="backslashreplace")
        self._verb = verb
        self._out = sys.stderr if json else sys.stdout
        self._level = LEVELS.index(level)
        self._progress_bar: ProgressBar | None = None
        self._left: int | None = None
        self.has_lost_output = False

    @property
    def shows_tables(self) -> bool:
        """Whether tables are printed after a run."""
        return self._prints("info")

    def log(self, line: str = "", style: str = "") -> None:
        """Print one line about the progress of the run."""
        if self._prints("info"):
            self._print(line, self._out, style)

    def show(self, line: str = "", style: str = "") -> None:
        """Print one line that the user asked for, whatever the level."""
        self._print(line, self._out, style)

    def warn(self, line: str) -> None:
        """Print one line on standard error, of something that may pass by itself."""
        if self._prints("warning"):
            self._print(line, sys.stderr, YELLOW)

    def error(self, line: str) -> None:
        """Print one line on standard error, of something that failed."""
        self._print(line, sys.stderr, RED)

    def result(self, line: str) -> None:
        """Print the one line that `--json` promises on standard output."""
        self._write(line, sys.stdout)

    def _prints(self, level: str) -> bool:
        return LEVELS.index(level) >= self._level

    def _print(self, line: str, stream: TextIO, style: str) -> None:
        text = make_printable(line)
        self._write(f"\x1b[{style}m{text}\x1b[0m" if style and takes_colours(stream) else text, stream)

    def _write(self, line: str, stream: TextIO) -> None:
        if self._progress_bar is not None:
            self._progress_bar.hide()
        try:
            print(line, file=stream, flush=True)
        except OSError as error:
            self.drop_output(stream, error)

    def drop_output(self, stream: TextIO, error: OSError) -> None:
        """Write no more to a stream that cannot be written; the run continues."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        if isinstance(error, BrokenPipeError):
            return  # its reader has ended, as `| head` does
        self.has_lost_output = True
        if stream is sys.stdout:
            self.error(f"standard output cannot be written ({error.strerror}); send it to a place with room")

    def difference(self, difference: "Difference") -> None:
        """Print how a row differs from the lake."""
        row = f"{difference.table} {' '.join(map(str, difference.key))}"
        wanted, found = difference.wanted, difference.found
        if wanted is not None and found is not None and "rows" in wanted:
            missing, wrong = (pluralize(int(str(side["rows"])), "row") for side in (wanted, found))
            self.show(f"{row}: missing {missing}, and {wrong} that should not be there")
            return
        if wanted is None or found is None:
            what, side = ("is missing", wanted) if found is None else ("should not be there", found)
            cells = ", ".join(f"{name} {_format_column(name, value)}" for name, value in (side or {}).items())
            self.show(f"{row} {what}: {cells}")
            return
        differing = (
            f"{name} is {_format_column(name, found[name])}, should be {_format_column(name, wanted[name])}"
            for name in wanted
            if found[name] != wanted[name]
        )
        self.show(f"{row}: {'; '.join(differing)}")

    def remaining(self) -> str:
        """Return how many files are left, as the end of a sentence; empty before the run knows."""
        if self._left is None:
            return ""
        return f" with {pluralize(self._left, 'file')} left to {'read' if self._verb == 'read' else 'count'}"

    def begin(self, files: int, size: int) -> None:
        """Start the progress bar."""
        self._left = files
        self._progress_bar = start_progress_bar(files, size)

    def read(self, size: int) -> None:
        """Move the progress bar on."""
        if self._progress_bar is not None:
            self._progress_bar.advance(size)

    def ingested(self, version: "FileVersion") -> None:
        """Print what a file held."""
        rejected = f", {pluralize(version.rejected, 'line')} rejected" if version.rejected else ""
        self._print_file(f"{self._verb} {version.key}: {pluralize(version.events, 'event')}{rejected}")

    def unchanged(self, key: str) -> None:
        """Print that a file has the same content as before."""
        self._print_file(f"same content {key}")

    def forgotten(self, key: str) -> None:
        """Print that the contribution of a file was retracted."""
        self.log(f"forgotten {key}")

    def users_forgotten(self, users: "Mapping[str, int]") -> None:
        """Print what was deleted with users, in numbers by the names of `Store.forget_users`."""
        for line in describe_users("forgotten", users):
            self.log(line)

    def rejected(self, lines: "Iterable[RejectedLine]", tsv: bool) -> None:
        """Print rejected lines with their reasons: for people, or as TSV."""
        if tsv:
            self._write("FILE\tLINE_NUMBER\tREASON\tLINE", self._out)
        for line in lines:
            if tsv:
                cells = (escape_bytes(line.key.encode()), str(line.line_number), line.reason, escape_bytes(line.raw))
                self._write("\t".join(cells), self._out)
            else:
                self.show(f"{line.key}, line {line.line_number}: {REASONS[line.reason]}")
                self.show(f"    {line.raw.decode(errors='backslashreplace')}")

    def failed(self, key: str, error: str) -> None:
        """Print why a file failed."""
        self._print_file(f"not {self._verb} {key}: {error}", is_error=True)

    def _print_file(self, line: str, is_error: bool = False) -> None:
        """Print the line of a file that is done."""
        if self._left is not None:
            self._left -= 1
        if self._progress_bar is not None:
            self._progress_bar.set_files_left(self._left or 0)
        if is_error:
            self.error(line)
        else:
            self.log(line)

    def end(self) -> None:
        """Remove the progress bar, however the run ended."""
        if self._progress_bar is not None:
            self._progress_bar.hide()
            self._progress_bar = None

    def summary(self, tally: "RunTally") -> None:
        """Print in one line what the run did."""
        if not tally.files_counted and not tally.files_failed and not tally.files_forgotten:
            are = "is" if tally.files_unchanged == 1 else "are"
            files = pluralize(tally.files_unchanged, "file")
            self.log(f"Nothing new: {files} {are} counted already ({tally.seconds:.1f} s).", BOLD)
            return
        counted = f"{pluralize(tally.events, 'event')}, {pluralize(tally.rejected, 'line')} rejected"
        parts = [
            f"{pluralize(tally.files_counted, 'file')} counted ({counted})",
            f"{tally.files_unchanged:,} unchanged",
        ]
        if tally.files_forgotten:
            parts.append(f"{tally.files_forgotten:,} forgotten")
        if tally.files_failed:
            parts.append(f"{tally.files_failed:,} failed")
        self.log(f"Done: {', '.join(parts)}, in {tally.seconds:.1f} s.", BOLD)

    def log_report(self, page: str, picture: str) -> None:
        """Print where the report is."""
        self.log(f"Page:       {page}")
        self.log(f"Picture:    {picture}")

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Print rows under their columns; each cell is on one line, and cut if it is long.

        title: the line above them. columns: their names. rows: a value for each column.
        """
        rows = list(rows)
        cells = [list(columns), *([_format_cell(value) for value in row] for row in rows)]
        width = [max(map(len, column)) for column in zip(*cells, strict=True)]
        right = [all(isinstance(row[column], Number | None) for row in rows) for column in range(len(columns))]
        self.show(title, BOLD)
        for line in cells:
            aligned = [cell.rjust(width[i]) if right[i] else cell.ljust(width[i]) for i, cell in enumerate(line)]
            self.show("  " + "  ".join(aligned).rstrip())


def describe_users(verb: str, users: "Mapping[str, int]") -> list[str]:
    """Return lines on what forgetting users deletes; they hold no id.

    verb: whether that was done or would be. users: numbers by the names of `Store.forget_users`.
    """
    rows, sessions = pluralize(users["rows"], "row"), pluralize(users["sessions"], "session")
    held = f"{rows} of user_performance, {sessions}, {pluralize(users['rejected_lines'], 'rejected line')} emptied"
    lines = [f"{verb} {pluralize(users['users'], 'user')}: {held}"]
    before, unknown = users["users"] - users["users_new"], users["users"] - users["users_found"]
    if before:
        lines.append(f"{before:,} of them {'was' if before == 1 else 'were'} forgotten before")
    if unknown > before:
        lines.append(f"{unknown - before:,} of them in no counted line; lines that come later count for no user either")
    return lines


def takes_colours(stream: TextIO) -> bool:
    """Whether a stream takes colours: a terminal that knows them, and whose user has not set NO_COLOR."""
    return (
        isinstance(stream, TextIOWrapper)
        and stream.isatty()
        and os.environ.get("TERM") != "dumb"
        and not os.environ.get("NO_COLOR")
    )


def _format_column(name: str, value: object) -> str:
    return format_time(value) if name.endswith("_at") and isinstance(value, int) else str(value)


def _format_cell(value: object) -> str:
    text = "" if value is None else f"{value:.4g}" if isinstance(value, float) else make_printable(str(value))
    return text if len(text) <= CELL_CHARACTERS else f"{text[: CELL_CHARACTERS - 1]}…"
