"""What a run prints, whoever reads it: the result as text or JSON; subclasses report the progress."""

import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from io import TextIOWrapper
from numbers import Number
from typing import TYPE_CHECKING, TextIO

from processor.formats import escape_bytes, make_printable, pluralize
from processor.listener import Listener
from processor.reducers.events import REASONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from processor.run_tally import RunTally
    from state.comparison import Difference
    from state.files import RejectedLine

RED, YELLOW, BOLD = "31", "33", "1"  # ANSI styles
CHECK_WORDS = {True: "ok", False: "bad", None: "?"}
CELL_CHARACTERS = 40


class RunOutput(Listener, ABC):
    """Prints to standard output, or to standard error if `--json` needs standard output.

    `has_lost_output` is true once something could not be written, unless its reader had ended.
    """

    def __init__(self, json: bool, verb: str) -> None:
        """Prepare standard output and standard error for one run.

        json: whether to keep standard output for the result. verb: what happens to files, "counted" or "read".
        """
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):
                # A terminal may lack some characters; a program gets UTF-8, whatever the locale is.
                stream.reconfigure(encoding=None if stream.isatty() else "utf-8", errors="backslashreplace")
        self._verb = verb
        self._out = sys.stderr if json else sys.stdout
        self._files_left: int | None = None
        self.has_lost_output = False

    @abstractmethod
    def log(self, line: str) -> None:
        """Write one line about the progress of the run."""

    @abstractmethod
    def warn(self, line: str) -> None:
        """Write one line on standard error, of something that may pass by itself."""

    @abstractmethod
    def error(self, line: str) -> None:
        """Write one line on standard error, of something that failed."""

    @abstractmethod
    def print_difference(self, difference: "Difference") -> None:
        """Write how a row differs from the lake."""

    @abstractmethod
    def log_forgotten_users(self, users: "Mapping[str, int]") -> None:
        """Write what was deleted with users, in numbers by the names of `Store.forget_users`."""

    @abstractmethod
    def log_summary(self, tally: "RunTally") -> None:
        """Write what the run did."""

    @abstractmethod
    def log_first_rows(
        self, tables: "Iterable[tuple[str, Sequence[str], Iterable[Sequence[object]]]]", psql: str
    ) -> None:
        """Write the first rows of tables, and how to open them.

        tables: the name, the columns and the rows of each. psql: the command that opens them.
        """

    @abstractmethod
    def log_report(self, page: str, picture: str) -> None:
        """Write where the report is."""

    @abstractmethod
    def end(self) -> None:
        """Remove what only belongs to a run at work, however the run ended."""

    def show(self, line: str = "", style: str = "") -> None:
        """Print one line that the user asked for, whatever the level."""
        self._print(line, self._out, style)

    def show_check(self, name: str, is_right: bool | None, line: str) -> None:
        """Print what a check says.

        name: the check's. is_right: whether it found nothing wrong; None if that is unknown. line: what it says.
        """
        self.show(f"{CHECK_WORDS[is_right]:<4} {name:<10} {line}", RED if is_right is False else "")

    def print_result(self, line: str) -> None:
        """Print the one line that `--json` promises on standard output."""
        self._write(line, sys.stdout)

    def print_table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
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

    def print_rejected_lines(self, lines: "Iterable[RejectedLine]", tsv: bool) -> None:
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

    def started(self, files: int, size: int) -> None:
        """Report how many files and bytes are about to be ingested, and count the files from now on."""
        self._files_left = files
        self._report_start(files, size)

    def describe_remaining(self) -> str:
        """Return how many files are left, as the end of a sentence; empty before the run knows."""
        if self._files_left is None:
            return ""
        return f" with {pluralize(self._files_left, 'file')} left to {'read' if self._verb == 'read' else 'count'}"

    def drop_output(self, stream: TextIO, error: OSError) -> None:
        """Write no more to a stream that cannot be written; the run continues."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        if isinstance(error, BrokenPipeError):
            return  # its reader has ended, as `| head` does
        self.has_lost_output = True
        if stream is sys.stdout:
            self.error(f"standard output cannot be written ({error.strerror}); send it to a place with room")

    @abstractmethod
    def _report_start(self, files: int, size: int) -> None:
        """Report how many files and bytes are about to be ingested."""

    def _count_file_done(self) -> None:
        if self._files_left is not None:
            self._files_left -= 1

    def _print(self, line: str, stream: TextIO, style: str = "") -> None:
        text = make_printable(line)
        self._write(f"\x1b[{style}m{text}\x1b[0m" if style and takes_colours(stream) else text, stream)

    def _write(self, line: str, stream: TextIO) -> None:
        try:
            print(line, file=stream, flush=True)
        except OSError as error:
            self.drop_output(stream, error)


def takes_colours(stream: TextIO) -> bool:
    """Whether a stream takes colours: a terminal that knows them, and whose user has not set NO_COLOR."""
    return (
        isinstance(stream, TextIOWrapper)
        and stream.isatty()
        and os.environ.get("TERM") != "dumb"
        and not os.environ.get("NO_COLOR")
    )


def _format_cell(value: object) -> str:
    text = "" if value is None else f"{value:.4g}" if isinstance(value, float) else make_printable(str(value))
    return text if len(text) <= CELL_CHARACTERS else f"{text[: CELL_CHARACTERS - 1]}…"
