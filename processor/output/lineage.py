"""Informs OpenLineage of a run: when it starts, and how it ended, with the files that it read and the BI tables."""

from datetime import UTC, datetime
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING

from processor.listener import Listener
from processor.output.lineage_facts import EventFacts, Inputs, LineageTarget, RunEnd, RunFacts

if TYPE_CHECKING:
    from state.files import FileVersion

MAX_FILES = 100  # that the last event of a run names; it has the numbers of all of them, too
MAX_SECONDS = 5.0  # for which the events may delay the end of a run


class Lineage(Listener):
    """Sends the events of one run from a separate thread, so that they neither fail nor delay the run."""

    def __init__(self, target: LineageTarget) -> None:
        """Prepare for a run; nothing is sent before it starts."""
        self._target = target
        self._run: RunFacts | None = None
        self._files: list[Inputs] = []
        self._all_files = Inputs("", 0, 0, 0)
        self._failures: list[str] = []
        self._queue = SimpleQueue[EventFacts | None]()
        self._thread = Thread(target=self._send, daemon=True)
        self._problem: str | None = None

    def start(self, run: RunFacts) -> None:
        """Send the start event of a run."""
        self._run = run
        self._queue.put(EventFacts(datetime.now(UTC), run, None))
        try:
            self._thread.start()
        except RuntimeError as error:  # the system has no more threads
            self._problem = describe_problem(str(error))

    def ingested(self, version: "FileVersion") -> None:
        """Remember a file for the last event."""
        _, files, lines, size = self._all_files
        self._all_files = Inputs("", files + 1, lines + version.lines, size + version.size)
        if len(self._files) < MAX_FILES:
            self._files.append(Inputs(version.key, 1, version.lines, version.size))

    def failed(self, key: str, error: str) -> None:
        """Remember the first failed file for the last event."""
        if not self._failures:
            self._failures.append(f"{key}: {error}")

    def end(self, has_failed: bool, error: str | None) -> None:
        """Send the end event, unless no start event was sent; `error` says why the run stopped, or is None."""
        if self._run is None:
            return
        line = error or next(iter(self._failures), "a file failed") if has_failed else None
        end = RunEnd(line, self._files, self._all_files)
        self._queue.put(EventFacts(datetime.now(UTC), self._run, end))

    def close(self) -> str | None:
        """Wait until the events are sent, but not long; return what went wrong, in one line."""
        if self._run is None:
            return None
        self._queue.put(None)
        if self._thread.ident is not None:
            self._thread.join(MAX_SECONDS)
        if self._thread.is_alive() and self._problem is None:
            self._problem = describe_problem(f"no answer within {MAX_SECONDS:g} s")
        return self._problem

    def _send(self) -> None:
        """Send events from the queue; only this thread imports the client, which takes as long as a small run."""
        try:
            from processor.output.lineage_events import send_event
        except ImportError:
            self._problem = (
                "OPENLINEAGE_URL is set, but the client of OpenLineage is not installed: "
                "run make lineage, or unset OPENLINEAGE_URL"
            )
            return
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the client, the run goes on
            self._problem = describe_problem(f"{type(error).__name__} in its client")
            return
        while (facts := self._queue.get()) is not None:
            problem = send_event(self._target, facts, MAX_SECONDS)
            if problem is not None:
                self._problem = describe_problem(problem)


def describe_problem(problem: str) -> str:
    """Return why lineage is missing, in one line without the URL: it may hold a password in any of its parts."""
    return f"the lineage cannot be sent ({problem}); look at OPENLINEAGE_URL and at the service there"
