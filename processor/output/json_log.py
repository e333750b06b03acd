"""What a program reads of a run: one line of JSON on standard error for each event, through the standard `logging`."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from processor.output.console import Console

if TYPE_CHECKING:
    from processor.run_tally import RunTally
    from state.batch_writer import Version
    from state.comparison import Difference


class Log(Console):
    """A console that says all as JSON lines: `time`, `level`, `event`, and what the event is about."""

    def __init__(self, json: bool = False, level: str = "info") -> None:
        """A log for one run, from a level on."""
        super().__init__(json, level)
        self._logger = logging.Logger("run", level.upper())  # noqa: LOG001 one for each run, known to nobody else
        self._logger.addHandler(_Lines(self))

    @property
    def shows_tables(self) -> bool:
        """Never: a table is no event."""
        return False

    def write(self, line: str) -> None:
        """Write a line on standard error."""
        self._write(line, sys.stderr)

    def say(self, line: str = "", style: str = "") -> None:  # noqa: ARG002
        """Log a line that is for people."""
        if line:
            self._logger.debug("said", extra={"about": {"message": line}})

    def warn(self, line: str) -> None:
        """Log what may pass."""
        self._logger.warning("warning", extra={"about": {"message": line}})

    def error(self, line: str) -> None:
        """Log why the run fails."""
        self._logger.error("error", extra={"about": {"message": line}})

    def begin(self, files: int, size: int) -> None:
        """Log how much there is to do."""
        self._left = files
        self._logger.info("begin", extra={"about": {"files": files, "bytes": size}})

    def ingested(self, version: "Version") -> None:
        """Log that a file was counted."""
        self._file_event(self.verb, file=version.key, events=version.events, rejected=version.rejected)

    def unchanged(self, key: str) -> None:
        """Log that a file holds the same as before."""
        self._file_event("same", file=key)

    def forgotten(self, key: str) -> None:
        """Log that what a file gave was taken back."""
        self._logger.info("forgotten", extra={"about": {"file": key}})

    def failed(self, key: str, error: str) -> None:
        """Log why a file counts nowhere."""
        self._file_event("failed", logging.ERROR, file=key, error=error)

    def difference(self, difference: "Difference") -> None:
        """Log how a row is not what the lake gives."""
        self._logger.error("difference", extra={"about": difference._asdict()})

    def summary(self, tally: "RunTally") -> None:
        """Log what the run did."""
        self._logger.info("done", extra={"about": tally.summary()})

    def report(self, page: str, picture: str) -> None:
        """Log where the report is."""
        self._logger.debug("report", extra={"about": {"page": page, "picture": picture}})

    def _file_event(self, event: str, level: int = logging.INFO, **about: object) -> None:
        if self._left is not None:
            self._left -= 1
        self._logger.log(level, event, extra={"about": about})


class _Lines(logging.Handler):
    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"time": when, "level": record.levelname.lower(), "event": record.msg, **vars(record)["about"]}
        self._log.write(json.dumps(line, default=str))  # all but ASCII is escaped, so nothing commands a terminal
