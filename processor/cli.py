"""The command line: parses it, and runs one command."""

import argparse
import re
import sys
from argparse import SUPPRESS
from typing import TYPE_CHECKING, NoReturn

from processor.command_registry import COMMANDS, Command
from processor.environment import read_setting
from processor.errors import EXIT_CODES, SettingError
from processor.parsing import has_day_form, parse_day, parse_integer

if TYPE_CHECKING:
    from processor.settings import Settings

MORE = "docs/commands.md shows examples of every command and lists all settings."
# The messages of argparse that repeat a value, and what they are without it.
REPEATED_VALUES = (
    (re.compile(r"invalid choice: .*(?= \(choose from )", re.DOTALL), "invalid choice"),
    (re.compile(r"ignored explicit argument .*", re.DOTALL), "takes no value"),
    (re.compile(r"(?<=ambiguous option: )([^=]*)=.*(?= could match )", re.DOTALL), r"\1"),
)


class Parser(argparse.ArgumentParser):
    """A parser whose errors repeat no value, as any of them may hold a password that was given in the wrong place."""

    def error(self, message: str) -> NoReturn:
        """End the program with one line."""
        for pattern, safe in REPEATED_VALUES:
            message = pattern.sub(safe, message)
        from processor.lake.base import remove_passwords
        from processor.output.console import Console
        from processor.settings import open_console

        line = f"{remove_passwords(message)}; see python {self.prog} --help"
        try:
            console = open_console(False)
        except SettingError:
            console = Console()
        console.error(line)
        self.exit(2)


def make_options() -> dict[str, Parser]:
    """Return the groups of options that commands share, by the names that `Command.takes` uses."""
    groups = {
        name: Parser(add_help=False, argument_default=SUPPRESS)
        for name in ("places", "relocated", "workers", "engine", "metrics", "json", "selection")
    }
    groups["places"].add_argument("--lake", metavar="URL", help="s3://bucket/prefix/ or a folder (LAKE_URL)")
    groups["places"].add_argument(
        "--database",
        metavar="URL",
        help="libpq URI (DATABASE_URL); by default PG*, or else an embedded server. Everyone on this machine "
        "can see a password given here: put it into DATABASE_URL, PGPASSFILE or PGSERVICE",
    )
    groups["relocated"].add_argument(
        "--relocated", action="store_true", help="confirm that the lake has moved to this LAKE_URL"
    )
    groups["workers"].add_argument(
        "--workers",
        metavar="N",
        type=parse_positive,
        help="how many worker processes reduce; by default one for each core",
    )
    groups["engine"].add_argument(
        "--engine",
        metavar="MASTER",
        help="reduce on Apache Spark: local[4], spark://host:7077, yarn, k8s://... (ENGINE)",
    )
    groups["metrics"].add_argument(
        "--metrics",
        metavar="TARGET",
        help="export metrics for Prometheus: a run to a file that ends in .prom or the http:// URL of a Pushgateway, "
        "watch on a port such as 9109 (METRICS)",
    )
    groups["json"].add_argument("--json", action="store_true", help="print the result as one line of JSON")
    for end, which in (("since", "first"), ("until", "last")):
        groups["selection"].add_argument(
            f"--{end}",
            metavar="DATE|KEY",
            type=parse_date_or_key,
            help=f"the {which} file to consider: a key, or a date such as 2019-02-15, which is compared with the date "
            "in each key",
        )
    return groups


def make_parser() -> Parser:
    """Return the parser of the whole command line, with a parser for each command that has a name."""
    groups = make_options()
    parser = Parser(
        prog="run.py",
        parents=[groups["places"], *_taken(groups, COMMANDS["count"])],
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Count the new and changed files of an event lake into article_performance and user_performance.",
        epilog=f"example:\n  LAKE_URL=s3://bucket/lake/ python run.py\n\nexit code: {describe_exit_codes()}\n{MORE}",
    )
    parser.add_argument("--dry-run", action="store_true", help="show what a run would do, and change nothing")
    parser.add_argument(
        "--rebuild", action="store_true", help="count the whole lake again; the old tables stay until it is done"
    )
    parser.add_argument("--prune", action="store_true", help="also retract files that are missing from the lake")
    parser.add_argument("--prune-all", action="store_true", help="the same, even if more than half are missing")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    made = {
        command.name: commands.add_parser(
            command.name,
            parents=[groups["places"], *_taken(groups, command)],
            formatter_class=argparse.RawDescriptionHelpFormatter,
            help=command.summary,
            description=command.description,
            epilog=f"example:\n  python run.py {command.example}\n\n{MORE}",
        )
        for command in COMMANDS.values()
        if command.summary
    }
    made["watch"].add_argument(
        "--queue",
        metavar="URL",
        default=read_setting("QUEUE_URL"),
        help="SQS queue that gets the event notifications of the lake's bucket (QUEUE_URL)",
    )
    made["watch"].add_argument(
        "--interval",
        metavar="SECONDS",
        type=parse_positive,
        default=read_setting("WATCH_INTERVAL", "60"),
        help="seconds from one listing of the whole lake to the next (WATCH_INTERVAL; 60)",
    )
    made["explain"].add_argument("article", metavar="ARTICLE", nargs="?", help="the article's id")
    made["explain"].add_argument("day", metavar="DAY", nargs="?", help="one UTC day only, as YYYY-MM-DD")
    made["explain"].add_argument("--user", metavar="USER", help="the user's id, instead of an article's")
    made["rejected"].add_argument(
        "key", metavar="KEY", nargs="?", help="show those of one file only: its path below the lake's URL"
    )
    made["rejected"].add_argument(
        "--tsv", action="store_true", help="print TSV; printf %%b turns its last column into the bytes of the line"
    )
    made["forget"].add_argument("key", metavar="KEY", help="the file's path below the lake's URL")
    return parser


def _taken(groups: dict[str, Parser], command: Command) -> list[Parser]:
    return [group for name, group in groups.items() if name in command.takes]


def describe_exit_codes() -> str:
    """Return the exit codes and their meanings in one line."""
    return ", ".join(f"{code} {meaning}" for code, meaning in EXIT_CODES.items())


def parse_positive(text: str) -> int:
    """Return the whole number above 0 in a text; raises argparse.ArgumentTypeError."""
    number = parse_integer(text)
    if not number:
        raise argparse.ArgumentTypeError("must be a whole number above 0")
    return number


def parse_date_or_key(text: str) -> str:
    """Return the same text; raises argparse.ArgumentTypeError for a date that does not exist."""
    if has_day_form(text) and parse_day(text) is None:
        raise argparse.ArgumentTypeError(f"{text!r} is a date that does not exist")
    return text


def describe_unknown(words: list[str]) -> str:
    """Return the message for words that no option and no command takes; it names the options, and no value.

    >>> describe_unknown(["--no-such=a", "b"])
    'unrecognized arguments: --no-such, 1 value (not shown: it may be a password)'
    """
    options = [word.partition("=")[0] if word.startswith("--") else word[:2] for word in words if word.startswith("-")]
    values = len(words) - len(options)
    if values:
        options.append(f"{values} value{'' if values == 1 else 's'} (not shown: it may be a password)")
    return f"unrecognized arguments: {', '.join(options)}"


def parse_settings(argv: list[str]) -> "Settings":
    """Return the settings of a command line; ends the program with one line and exit code 2 where one is wrong."""
    parser = make_parser()
    # As defaults of the parsers, these would override options that precede the command.
    shared = {
        "lake": read_setting("LAKE_URL"),
        "database": read_setting("DATABASE_URL"),
        "relocated": False,
        "json": False,
        "workers": 0,
        "engine": "",
        "metrics": None,
        "since": None,
        "until": None,
    }
    options, unknown = parser.parse_known_args(argv, argparse.Namespace(**shared))
    if unknown:
        parser.error(describe_unknown(unknown))
    from processor.settings import read_settings

    return read_settings(options, parser.error)


def main(argv: list[str]) -> int:
    """Run one command and return the exit code; each failure is one line on standard error.

    argv: the words after the program's name.
    """
    from processor.signals import Signals, StopRequest

    def log_stop(signal_name: str) -> None:
        line = f"stopped by {signal_name}{'' if console is None else console.remaining()}; {command.stopped}"
        if console is None:
            print(line, file=sys.stderr, flush=True)
        else:
            console.error(line)

    console, command = None, COMMANDS["count"]
    signals = Signals(log_stop)
    try:
        with signals:
            settings = parse_settings(argv)
            command = COMMANDS[settings.command]
            from processor.settings import open_console

            try:
                console = open_console(settings.prints_json, command.verb)
            except SettingError as error:
                if not command.reports_all_that_is_wrong:
                    make_parser().error(str(error))
                from processor.output.console import Console

                settings = settings.with_wrong(str(error))
                console = Console(settings.prints_json)
            from processor.commands.runner import run_command

            signals.exit_code = command.stop_code
            try:
                return run_command(command, settings, console, signals)
            finally:
                console.end()
    except StopRequest as signal_name:
        log_stop(str(signal_name))
        return signals.exit_code
