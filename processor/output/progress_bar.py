"""A progress bar on a terminal."""

import sys
from io import TextIOWrapper
from typing import TYPE_CHECKING

from processor.formats import make_printable

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class ProgressBar:
    """Shows how many files and bytes are left, and the lines that are printed meanwhile above itself."""

    def __init__(self, progress: "Progress", task: "TaskID") -> None:
        """Wrap a progress bar that is shown; `start_progress_bar` makes one."""
        self._progress, self._task = progress, task

    def advance(self, size: int) -> None:
        """Count `size` bytes as read."""
        self._progress.advance(self._task, size)

    def set_files_left(self, files: int) -> None:
        """Show how many files are left."""
        self._progress.update(self._task, left=files)

    def print(self, line: str, style: str | None) -> None:
        """Print a line above the bar, in a style of rich."""
        self._progress.console.print(
            make_printable(line), style=style, markup=False, emoji=False, highlight=False, soft_wrap=True
        )

    def stop(self) -> None:
        """Remove the bar from the terminal."""
        self._progress.stop()


def start_progress_bar(files: int, size: int) -> ProgressBar | None:
    """Show a progress bar on standard error; return None if that is not a terminal or there are no files.

    files: their number. size: their bytes in the lake.
    """
    if not files or not isinstance(sys.stderr, TextIOWrapper) or not sys.stderr.isatty():
        return None
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    progress = Progress(
        TextColumn("{task.fields[left]} files left"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    progress.start()
    return ProgressBar(progress, progress.add_task("", total=size, left=files))
