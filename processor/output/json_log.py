"""What programs read of a run: lines of JSON on standard error, through the standard `logging`."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from processor.output.run_output import RunOutput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from processor.run_tally import RunTally
    from state.comparison import Difference
    from state.files import FileVersion


class JsonLog(RunOutput):
    """Writes the progress of a run as JSON lines: `time`, `level`, `event`, and details."""

    def __init__(self, json: bool = False, level: str = "info", verb: str = "counted") -> None:
        """Prepare a log for one run. The parameters are those of `Console`."""
        super().__init__(json, verb)
        self._logger = logging.Logger("run", level.upper())  # noqa: LOG001 one for each run, known to nobody else
        self._logger.addHandler(_LineHandler(lambda line: self._write(line, sys.stderr)))

    def log(self, line: str) -> None:
        """Log a line that is meant for people."""
        self._log_line(logging.DEBUG, "said", message=line)

    def warn(self, line: str) -> None:
        """Log something that may pass by itself."""
        self._log_line(logging.WARNING, "warning", message=line)

    def error(self, line: str) -> None:
        """Log something that failed."""
        self._log_line(logging.ERROR, "error", message=line)

    def ingested(self, version: "FileVersion") -> None:
        """Log what a file held."""
        self._log_file(logging.INFO, self._verb, file=version.key, events=version.events, rejected=version.rejected)

    def unchanged(self, key: str) -> None:
        """Log that a file has the same content as before."""
        self._log_file(logging.INFO, "same", file=key)

    def forgotten(self, key: str) -> None:
        """Log that the contribution of a file was retracted."""
        self._log_line(logging.INFO, "forgotten", file=key)

    def log_forgotten_users(self, users: "Mapping[str, int]") -> None:
        """Log what was deleted with users, in numbers by the names of `Store.forget_users`."""
        self._log_line(logging.INFO, "users forgotten", **users)

    def failed(self, key: str, error: str) -> None:
        """Log why a file failed."""
        self._log_file(logging.ERROR, "failed", file=key, error=error)

    def print_difference(self, difference: "Difference") -> None:
        """Log how a row differs from the lake."""
        self._log_line(logging.ERROR, "difference", **difference._asdict())

    def log_summary(self, tally: "RunTally") -> None:
        """Log what the run did."""
        self._log_line(logging.INFO, "done", **tally.summary())

    def log_first_rows(
        self, tables: "Iterable[tuple[str, Sequence[str], Iterable[Sequence[object]]]]", psql: str
    ) -> None:
        """Log nothing, as a table is not a line of JSON."""

    def log_report(self, page: str, picture: str) -> None:
        """Log where the report is."""
        self._log_line(logging.DEBUG, "report", page=page, picture=picture)

    def end(self) -> None:
        """Remove nothing, as every line stays."""

    def _report_start(self, files: int, size: int) -> None:
        self._log_line(logging.INFO, "begin", files=files, bytes=size)

    def _log_file(self, level: int, name: str, **about: object) -> None:
        """Log a line about a file that is done."""
        self._count_file_done()
        self._log_line(level, name, **about)

    def _log_line(self, level: int, name: str, /, **about: object) -> None:
        self._logger.log(level, name, extra={"about": about})


class _LineHandler(logging.Handler):
    def __init__(self, write: "Callable[[str], None]") -> None:
        super().__init__()
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"time": when, "level": record.levelname.lower(), "event": record.msg, **vars(record)["about"]}
        self._write(json.dumps(line, default=str))  # this escapes all but ASCII, so no byte controls a terminal
