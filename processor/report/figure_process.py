"""A process that draws the picture: what drawing needs is loaded while the last file is still being counted."""

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
from processor.report.summary import Summary, write

ROOT = Path(__file__).resolve().parents[2]


class Painter:
    """Draws one picture in a process of its own, beside this one; as a context, which ends that process."""

    def __init__(self) -> None:
        """A painter without a process."""
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Nothing begins yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the process; a picture that was begun is finished."""
        if self._process is not None:
            self._process.communicate()

    def prepare(self) -> None:
        """Load what drawing needs, ahead of it."""
        if self._process is None:
            with suppress(OSError):  # where there is no process to be had, this one draws
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "processor.report.figure_process"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    env={**os.environb, b"PYTHONPATH": os.fsencode(ROOT)},
                    process_group=0,  # what the terminal sends to stop the run goes to its parent only
                )

    @contextmanager
    def drawing(self, summary: Summary | None, path: Path) -> Iterator[None]:
        """Draw as `picture.draw` does while the context lasts, and to the end; raises OSError where it can't write."""
        self.prepare()
        process = self._process
        if process is not None:
            assert process.stdin is not None
            with suppress(OSError):  # it was lost
                pickle.dump((summary, path), process.stdin)
                process.stdin.close()
        yield
        if process is None or process.wait():
            picture.draw(summary, path)  # says what is wrong, where it is not only that the process was lost


def main() -> int:
    """Draw the picture that the parent asks for, if it does; 1 where it can't be written."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the parent is told, too, and hangs up
    with picture.styled():
        for form in picture.FORMS:
            picture.image(picture.figure(None), form)
        try:
            summary, path = pickle.load(sys.stdin.buffer)  # noqa: S301
        except EOFError:
            return 0
        fig = picture.figure(summary)
        child = os.fork()
        code = 1
        try:
            form = "png" if child else "svg"
            write(path.with_suffix(f".{form}"), picture.image(fig, form))
            code = 0
        except OSError:
            pass
        finally:
            if not child:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        return code or os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    os._exit(main())  # nothing is left to be put away
