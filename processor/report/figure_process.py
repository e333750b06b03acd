"""The process that draws the picture. It loads matplotlib while the run still ingests its last file."""

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from processor.report import picture
from processor.report.summary import Summary, write_file

ROOT = Path(__file__).resolve().parents[2]


class FigureProcess:
    """Draws one picture in a process of its own; leaving the context waits until that process has ended."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.communicate()

    def prepare(self) -> None:
        """Start the process, which loads what drawing needs."""
        if self._process is None:
            with suppress(OSError):  # if no process can be started, this one draws
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "processor.report.figure_process"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    env={**os.environb, b"PYTHONPATH": os.fsencode(ROOT)},
                    process_group=0,  # a signal from the terminal then reaches the run only
                )

    @contextmanager
    def drawing(self, summary: Summary | None, path: Path) -> Iterator[None]:
        """Draw as `picture.draw` does while the context runs; leaving it waits for the picture.

        Raises OSError if the picture cannot be written.
        """
        self.prepare()
        process = self._process
        if process is not None:
            assert process.stdin is not None
            with suppress(OSError):  # the process has died
                pickle.dump((summary, path), process.stdin)
                process.stdin.close()
        yield
        if process is None or process.wait():
            picture.draw(summary, path)  # draws if the process died; otherwise raises the error that it met


def main() -> int:
    """Draw the picture that the parent sends, if any; return 1 if it cannot be written."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the parent gets the signal as well, and closes the pipe
    with picture.default_style():
        for form in picture.FORMS:
            picture.render_figure(picture.make_figure(None), form)
        try:
            summary, path = pickle.load(sys.stdin.buffer)  # noqa: S301
        except EOFError:
            return 0
        fig = picture.make_figure(summary)
        child = os.fork()
        code = 1
        try:
            form = "png" if child else "svg"
            write_file(path.with_suffix(f".{form}"), picture.render_figure(fig, form))
            code = 0
        except OSError:
            pass
        finally:
            if not child:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        return code or os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    os._exit(main())  # skips the interpreter's cleanup, which has nothing to do
