"""The process that draws the picture: draws what this one would, is made good where it is lost, and never stays."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from processor.lake.base import LakeFile
from processor.listener import BeforeLastFile, Listeners
from processor.report import picture
from processor.report import summary as report
from processor.report.figure_process import FigureProcess
from tests.support.category_days import day
from tests.support.hostile_text import HOSTILE
from tests.support.ingest import SilentTally
from tests.support.paths import ROOT
from tests.support.waiting import wait_until

SUMMARY = report.summarize([day(name, i, 2000 - j, 40) for j, name in enumerate(HOSTILE[:6]) for i in range(40)])


def assert_drawn(path: Path) -> None:
    """Fail unless the pictures at a path are those of SUMMARY."""
    picture.draw(SUMMARY, path.with_name("expected.png"))
    for form in picture.FORMS:
        assert path.with_suffix(f".{form}").read_bytes() == path.with_name(f"expected.{form}").read_bytes()


def status(process: subprocess.Popen[bytes], name: str) -> int:
    """A line of the status of a process, as a number."""
    lines = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(f"{name}:")), 16)


@pytest.mark.parametrize("ahead", [True, False])
def test_it_draws_what_this_process_would(tmp_path: Path, ahead: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "new" / "picture.png"
    with FigureProcess() as some:
        if ahead:
            some.prepare()
        with some.drawing(SUMMARY, path):
            pass
        assert some._process is not None
        assert some._process.returncode == 0  # this process had nothing left to do
    assert_drawn(path)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="a process is asked of Linux")
def test_it_leaves_the_signals_and_the_output_to_its_parent(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    with FigureProcess() as some:
        some.prepare()
        process = some._process
        assert process is not None
        assert os.getpgid(process.pid) == process.pid
        assert Path(f"/proc/{process.pid}/fd/1").readlink() == Path("/dev/null")
        ignored = sum(1 << number - 1 for number in (signal.SIGINT, signal.SIGTERM))
        wait_until(lambda: status(process, "SigIgn") & ignored == ignored)
        for number in (signal.SIGINT, signal.SIGTERM):
            process.send_signal(number)
        with some.drawing(SUMMARY, path):
            pass
        assert process.returncode == 0
    assert_drawn(path)


def test_it_is_prepared_once() -> None:
    with FigureProcess() as some:
        some.prepare()
        first = some._process
        some.prepare()
        assert some._process is first


@pytest.mark.parametrize("form", picture.FORMS)
def test_a_picture_that_cannot_be_written_is_an_oserror(tmp_path: Path, form: str) -> None:
    path = tmp_path / "picture.png"
    path.with_suffix(f".{form}").mkdir()
    with pytest.raises(OSError, match=form), FigureProcess() as some, some.drawing(SUMMARY, path):
        pass


@pytest.mark.parametrize("is_known", [True, False])
def test_a_lost_process_is_made_good(tmp_path: Path, is_known: bool) -> None:
    path = tmp_path / "picture.png"
    with FigureProcess() as some:
        some.prepare()
        assert some._process is not None
        some._process.send_signal(signal.SIGKILL)
        if is_known:
            some._process.wait()
        with some.drawing(SUMMARY, path):
            pass
    assert_drawn(path)


def test_where_no_process_can_be_had_this_one_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object, **__: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", none)
    with FigureProcess() as some, some.drawing(SUMMARY, tmp_path / "picture.png"):
        pass
    assert_drawn(tmp_path / "picture.png")


def test_a_folder_that_cannot_be_made_is_an_oserror(tmp_path: Path) -> None:
    (tmp_path / "report").write_text("a file where the folder should be", encoding="utf-8")
    with (
        pytest.raises(OSError, match="report"),
        FigureProcess() as some,
        some.drawing(SUMMARY, tmp_path / "report" / "picture.png"),
    ):
        pass


def test_it_ends_where_nothing_was_to_draw() -> None:
    with FigureProcess() as some:
        some.prepare()
    assert some._process is not None
    assert some._process.returncode == 0


def test_it_ends_with_its_parent_however_that_ended() -> None:
    script = (
        "import os; from processor.report.figure_process import FigureProcess; FigureProcess().prepare(); os._exit(0)"
    )
    # The pipe ends when the last process that holds it does, and that is the figure_process.
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, stderr=subprocess.PIPE, timeout=60, check=True)
    assert done.stderr == b""


def test_it_is_prepared_when_one_file_is_left() -> None:
    files = [LakeFile(f"{n}.tsv", "1", 1) for n in range(3)]
    prepared: list[int] = []
    tally = SilentTally()
    listener = Listeners(tally, BeforeLastFile(lambda: prepared.append(tally.files_failed)))
    listener.begin(0, 0)
    assert prepared == []
    listener.begin(len(files), 3)
    for file in files:
        listener.failed(file.key, "it is gone")
    assert prepared == [2]
    listener.begin(1, 1)
    assert prepared == [2, 3]
