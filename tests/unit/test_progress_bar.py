"""The progress bar, on a terminal whose width is known."""

import os
from collections.abc import Iterator
from io import TextIOWrapper
from pathlib import Path

import pytest

from processor.output.console import Console
from processor.output.progress_bar import ProgressBar

COLUMNS = 60


class Terminal(TextIOWrapper):
    """A file that passes for a terminal."""

    def isatty(self) -> bool:
        return True

    def lines(self) -> list[str]:
        """Return the lines that a person sees in the end."""
        seen = []
        for line in Path(self.name).read_bytes().decode().split("\n"):
            cells = ""
            for part in line.split("\r"):
                cells = part + cells[len(part) :]
            seen.append(cells.rstrip())
        return seen


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    """A terminal of 60 columns."""
    monkeypatch.setattr("os.get_terminal_size", lambda _: os.terminal_size((COLUMNS, 20)))
    with Terminal((tmp_path / "terminal").open("wb"), encoding="utf-8") as made:
        yield made


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that the bar reads from its clock, as the one element of a list."""
    times = [100.0]
    monkeypatch.setattr("processor.output.progress_bar.time.monotonic", lambda: times[0])
    return times


def test_the_bar_shows_what_is_left(terminal: Terminal, now: list[float]) -> None:
    bar = ProgressBar(terminal, 3, 8_000_000)
    assert terminal.lines() == ["3 files left [--------------------] 0 B of 8.0 MB"]
    now[0] += 2
    bar.set_files_left(1)
    bar.advance(2_000_000)
    (line,) = terminal.lines()
    whole = "1 file left [#####---------------] 2.0 MB of 8.0 MB, 1.0 MB/s, 0:06 left"
    assert line == whole[: COLUMNS - 1]


def test_more_bytes_than_expected_fill_the_bar(terminal: Terminal, now: list[float]) -> None:
    for size in (0, 5):
        bar = ProgressBar(terminal, 1, size)
        now[0] += 1
        bar.advance(10)
        assert f"[{'#' * 20}]" in terminal.lines()[-1]


def test_the_bar_is_drawn_ten_times_a_second_at_most(terminal: Terminal, now: list[float]) -> None:
    bar = ProgressBar(terminal, 1, 1000)
    for _ in range(1000):
        now[0] += 0.001
        bar.advance(1)
    assert 9 <= Path(terminal.name).read_bytes().count(b"\r") <= 11


def test_lines_push_the_bar_down(terminal: Terminal, now: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(f"sys.{name}", terminal)
    console = Console()
    console.started(2, 1000)
    console.warn("a line")
    now[0] += 1
    console.read(500)
    console.failed("a.tsv", "why")
    console.log("the end")
    now[0] += 1
    console.read(500)
    console.end()
    shown = terminal.lines()
    assert [line.replace("\x1b[33m", "").replace("\x1b[31m", "").replace("\x1b[0m", "") for line in shown] == [
        "a line",
        "not counted a.tsv: why",
        "the end",
        "",
    ]


def test_a_closed_terminal_stops_no_run(terminal: Terminal, now: list[float]) -> None:
    bar = ProgressBar(terminal, 1, 1000)
    null = os.open("/dev/full", os.O_WRONLY)
    os.dup2(null, terminal.fileno())
    os.close(null)
    now[0] += 1
    bar.advance(10)
    bar.hide()
