"""What people read of a run: lines, and tables of rows."""

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TextIO

from processor.formats import format_time, pluralize
from processor.output.progress_bar import ProgressBar, start_progress_bar
from processor.output.run_output import BOLD, RED, YELLOW, RunOutput

if TYPE_CHECKING:
    from collections.abc import Mapping

    from processor.run_tally import RunTally
    from state.comparison import Difference
    from state.files import FileVersion

LEVELS = ("debug", "info", "warning", "error")


class Console(RunOutput):
    """Prints the progress of a run as text, with a progress bar on a terminal."""

    def __init__(self, json: bool = False, level: str = "info", verb: str = "counted") -> None:
        """Prepare standard output and standard error for one run.

        json: whether to keep standard output for the result. level: one of LEVELS; lines below it are left out.
        verb: what happens to files, "counted" or "read".
        """
        super().__init__(json, verb)
        self._level = LEVELS.index(level)
        self._progress_bar: ProgressBar | None = None

    def log(self, line: str) -> None:
        """Print one line about the progress of the run."""
        self._log(line)

    def warn(self, line: str) -> None:
        """Print one line on standard error, of something that may pass by itself."""
        if self._prints("warning"):
            self._print(line, sys.stderr, YELLOW)

    def error(self, line: str) -> None:
        """Print one line on standard error, of something that failed."""
        self._print(line, sys.stderr, RED)

    def print_difference(self, difference: "Difference") -> None:
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

    def log_forgotten_users(self, users: "Mapping[str, int]") -> None:
        """Print what was deleted with users, in numbers by the names of `Store.forget_users`."""
        for line in describe_users("forgotten", users):
            self.log(line)

    def failed(self, key: str, error: str) -> None:
        """Print why a file failed."""
        self._print_file(f"not {self._verb} {key}: {error}", is_error=True)

    def end(self) -> None:
        """Remove the progress bar."""
        if self._progress_bar is not None:
            self._progress_bar.hide()
            self._progress_bar = None

    def log_summary(self, tally: "RunTally") -> None:
        """Print in one line what the run did."""
        if not tally.files_counted and not tally.files_failed and not tally.files_forgotten:
            are = "is" if tally.files_unchanged == 1 else "are"
            files = pluralize(tally.files_unchanged, "file")
            self._log(f"Nothing new: {files} {are} counted already ({tally.seconds:.1f} s).", BOLD)
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
        self._log(f"Done: {', '.join(parts)}, in {tally.seconds:.1f} s.", BOLD)

    def log_first_rows(
        self, tables: Iterable[tuple[str, Sequence[str], Iterable[Sequence[object]]]], psql: str
    ) -> None:
        """Print the first rows of tables, and how to open them; the parameters are those of `RunOutput`."""
        if self._prints("info"):
            for name, columns, rows in tables:
                self.show()
                self.print_table(f"The first rows of {name}:", columns, rows)
            self.show()
            self.show(f"Open them:  {psql}")

    def log_report(self, page: str, picture: str) -> None:
        """Print where the report is."""
        self.log(f"Page:       {page}")
        self.log(f"Picture:    {picture}")

    def _report_start(self, files: int, size: int) -> None:
        self._progress_bar = start_progress_bar(files, size)

    def _prints(self, level: str) -> bool:
        return LEVELS.index(level) >= self._level

    def _log(self, line: str, style: str = "") -> None:
        if self._prints("info"):
            self._print(line, self._out, style)

    def _print_file(self, line: str, is_error: bool = False) -> None:
        """Print the line of a file that is done."""
        self._count_file_done()
        if self._progress_bar is not None:
            self._progress_bar.set_files_left(self._files_left or 0)
        if is_error:
            self.error(line)
        else:
            self.log(line)

    def _write(self, line: str, stream: TextIO) -> None:
        if self._progress_bar is not None:
            self._progress_bar.hide()
        super()._write(line, stream)


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


def _format_column(name: str, value: object) -> str:
    return format_time(value) if name.endswith("_at") and isinstance(value, int) else str(value)
