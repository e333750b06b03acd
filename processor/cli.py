"""The command line: parses it, and runs one command."""

import argparse
import re
import sys
from argparse import SUPPRESS
from typing import TYPE_CHECKING, NoReturn

from processor.command_line.command_options import DATABASE, LAKE, Options
from processor.command_line.command_registry import COMMANDS, Command
from processor.errors import DONE, EXIT_CODES, FAILED, WRONG_SETTING

if TYPE_CHECKING:
    from processor.command_line.settings import Settings

DOCS_HINT = "docs/commands.md shows examples of every command and lists all settings."
# An id or a key may begin with a hyphen, as options do.
HYPHEN_ADVICE = "a value that begins with - follows --, or the = of its option"
# The messages of argparse that repeat a value or say too little, and what replaces them.
REWORDED = (
    (re.compile(r"invalid choice: .*(?= \(choose from )", re.DOTALL), "invalid choice"),
    (re.compile(r"ignored explicit argument .*", re.DOTALL), "takes no value"),
    (re.compile(r"(?<=ambiguous option: )([^=]*)=.*(?= could match )", re.DOTALL), r"\1"),
    (re.compile(r"expected one argument$"), f"expected one argument; {HYPHEN_ADVICE}"),
)


class Parser(argparse.ArgumentParser):
    """A parser whose errors repeat no value, as any of them may hold a password that was given in the wrong place."""

    def error(self, message: str) -> NoReturn:
        """End the program with one line."""
        for pattern, words in REWORDED:
            message = pattern.sub(words, message)
        from processor.command_line.read_log_settings import read_log_settings
        from processor.output.open_console import open_console
        from processor.safe_text import remove_passwords

        # This may be the message of a wrong setting of the log itself; its default counts then.
        log = read_log_settings(lambda _: None)
        open_console(log, prints_json=False).error(f"{remove_passwords(message)}; see python {self.prog} --help")
        self.exit(WRONG_SETTING)

    def print_help(self, file: object = None) -> None:  # noqa: ARG002
        """Print the help to standard output; end the program if that cannot be written."""
        try:
            print(self.format_help(), end="", flush=True)
        except OSError as error:
            from processor.output.console import Console

            console = Console()
            console.drop_output(sys.stdout, error)
            self.exit(FAILED if console.has_lost_output else DONE)


def make_parser() -> Parser:
    """Return the parser of the whole command line, with a parser for each command that has a name."""
    parser = Parser(
        prog="run.py",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=SUPPRESS,
        description="Ingest the new and changed files of an event lake into article_performance and user_performance.",
        epilog=f"example:\n  LAKE_URL=s3://bucket/lake/ python run.py\n\n"
        f"exit code: {describe_exit_codes()}\n{DOCS_HINT}",
    )
    _add_options(parser, COMMANDS["count"])
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for command in COMMANDS.values():
        if command.summary:
            subparser = subparsers.add_parser(
                command.name,
                formatter_class=argparse.RawDescriptionHelpFormatter,
                argument_default=SUPPRESS,
                help=command.summary,
                description=command.description,
                epilog=f"example:\n  python run.py {command.example}\n\n{DOCS_HINT}",
            )
            _add_options(subparser, command)
    return parser


def _add_options(parser: Parser, command: Command) -> None:
    for option in (LAKE, DATABASE, *command.options):
        option.add_to(parser)


def describe_exit_codes() -> str:
    """Return the exit codes and their meanings in one line."""
    return ", ".join(f"{code} {meaning}" for code, meaning in EXIT_CODES.items())


def describe_unknown(words: list[str]) -> str:
    """Return the message for words that no option and no command takes; it names the options, and no value.

    >>> describe_unknown(["--no-such=a", "b"])
    'unrecognized arguments: --no-such, 1 value (not shown: it may be a password)'
    >>> describe_unknown(["-9tz"])
    'unrecognized arguments: -9; a value that begins with - follows --, or the = of its option'
    """
    options = [word.partition("=")[0] if word.startswith("--") else word[:2] for word in words if word.startswith("-")]
    values = len(words) - len(options)
    if values:
        options.append(f"{values} value{'' if values == 1 else 's'} (not shown: it may be a password)")
    advice = f"; {HYPHEN_ADVICE}" if any(re.match("-[^-]", option) for option in options) else ""
    return f"unrecognized arguments: {', '.join(options)}{advice}"


def parse_settings(argv: list[str]) -> "Settings":
    """Return the settings of a command line; ends the program with one line and exit code 2 where one is wrong."""
    parser = make_parser()
    options, unknown = parser.parse_known_args(argv, Options())
    if unknown:
        parser.error(describe_unknown(unknown))
    from processor.command_line.read_settings import read_settings

    return read_settings(options, parser.error)


def main(argv: list[str]) -> int:
    """Run one command and return the exit code; each failure is one line on standard error.

    argv: the words after the program's name.
    """
    from processor.signals import Signals, StopRequest

    def report_stop(signal_name: str) -> int:
        remaining = "" if console is None else console.describe_remaining()
        line = f"stopped by {signal_name}{remaining}; {command.describe_stop()}"
        if console is None:
            print(line, file=sys.stderr, flush=True)
        else:
            console.error(line)
        return command.stop_code

    console, command = None, COMMANDS["count"]
    signals = Signals(report_stop)
    try:
        with signals:
            settings = parse_settings(argv)
            command = settings.command
            from processor.output.open_console import open_console

            console = open_console(settings.log, settings.prints_json, command.verb)
            from processor.commands.run_command import run_command

            try:
                code = run_command(settings, console, signals)
            finally:
                console.end()
    except StopRequest as signal_name:
        code = report_stop(str(signal_name))
    return FAILED if code == DONE and console is not None and console.has_lost_output else code
