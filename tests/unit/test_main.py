"""`cli.main` returns the exit code of a command, and reports a signal that stopped it."""

import pytest

from processor import cli
from processor.command_line import settings
from processor.output.console import Console
from processor.signals import Signals, StopRequest
from tests.support.command_lines import ENOUGH, set_only_a_database


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a database is set."""
    set_only_a_database(monkeypatch)


@pytest.fixture
def unsignalled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the signals to the test process."""
    monkeypatch.setattr("processor.signals.Signals.__enter__", lambda stop: stop)
    monkeypatch.setattr("processor.signals.Signals.__exit__", lambda *_: None)


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[Console]:
    """The consoles that have ended, which removes their progress bars."""
    consoles: list[Console] = []

    def end(console: Console) -> None:
        consoles.append(console)

    monkeypatch.setattr(Console, "end", end)
    return consoles


@pytest.mark.usefixtures("unsignalled")
def test_main_returns_the_exit_code_of_the_command(ended: list[Console], monkeypatch: pytest.MonkeyPatch) -> None:
    for code in (0, 1, 2, 75):
        monkeypatch.setattr("processor.commands.run_command.run_command", lambda *_, code=code: code)
        assert cli.main([]) == code
    assert len(ended) == 4


@pytest.mark.usefixtures("unsignalled")
@pytest.mark.parametrize(
    ("words", "code", "then"),
    [
        ([], 1, "the next run continues from here"),
        (["--prune"], 1, "the next run continues from here"),
        (["forget", "a"], 1, "run it again"),
        (["watch"], 0, "the next run continues from here"),
        (["--rebuild"], 1, "the tables have not changed; pass --rebuild again"),
        *(
            (words, 1, "nothing has changed")
            for words in (["--dry-run"], *(words for name, words in ENOUGH.items() if name not in ("forget", "watch")))
        ),
    ],
)
def test_main_reports_what_a_signal_stopped(
    words: list[str],
    code: int,
    then: str,
    ended: list[Console],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:

    def stopped(_: object, console: Console, _signals: Signals) -> int:
        monkeypatch.setattr(console, "describe_remaining", lambda: " with 3 files left")
        raise StopRequest("SIGTERM")

    monkeypatch.setattr("processor.commands.run_command.run_command", stopped)
    assert cli.main(words) == code
    assert capsys.readouterr().err == f"stopped by SIGTERM with 3 files left; {then}\n"
    assert len(ended) == 1


@pytest.mark.usefixtures("unsignalled")
def test_main_reports_a_signal_before_the_console_exists(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(_: object) -> None:
        raise StopRequest("SIGINT")

    monkeypatch.setattr(cli, "parse_settings", stopped)
    assert cli.main([]) == 1
    assert capsys.readouterr().err == "stopped by SIGINT; the next run continues from here\n"


@pytest.mark.usefixtures("unsignalled")
def test_doctor_runs_whatever_the_log_settings_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong: list[tuple[str, ...]] = []

    def performed(options: settings.Settings, console: Console, _signals: object) -> int:
        wrong.append(options.errors)
        assert type(console) is Console
        return 1

    monkeypatch.setattr("processor.commands.run_command.run_command", performed)
    monkeypatch.setenv("LOG_LEVEL", "loud")
    assert cli.main(["doctor"]) == 1
    ((line,),) = wrong
    assert line.startswith("LOG_LEVEL must be one of ")
    with pytest.raises(SystemExit) as ended:
        cli.main([])
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"{line}; see python run.py --help\n"
