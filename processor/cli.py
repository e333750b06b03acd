"""The command line: reads options and settings, and runs one command."""

import argparse
import os
import sys
from typing import TYPE_CHECKING, NoReturn

from processor.environment import read_setting
from processor.parsing import has_day_form, parse_day, parse_decimal, parse_integer

if TYPE_CHECKING:
    from collections.abc import Callable

    from processor.batches import Limits
    from processor.output.console import Console
    from processor.output.metrics_export import Target

LIBPQ_VARIABLES = ("PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGUSER", "PGSERVICE")
EXIT_CODES = "0 done, 1 something failed, 2 a wrong option or setting, 75 another run is at work"
READS = ("dry-run", "status", "explain", "rejected", "verify")
MORE = "docs/commands.md shows every command at work and tells every setting."


class Arguments(argparse.ArgumentParser):
    """A parser whose errors, too, are safe to show: they repeat what was given, as a URL with a password."""

    def error(self, message: str) -> NoReturn:
        """End the program with one line."""
        from processor.lake.base import remove_passwords
        from processor.output.console import Console

        line = f"{remove_passwords(message)}; see python {self.prog} --help"
        try:
            console = console_of(False)
        except SettingError:
            console = Console()
        console.error(line)
        self.exit(2)


class SettingError(Exception):
    """A setting of the environment is wrong; the message is one line that says what to do."""


def arguments() -> Arguments:
    """The command line."""
    places = Arguments(add_help=False, argument_default=argparse.SUPPRESS)
    places.add_argument("--lake", metavar="URL", help="s3://bucket/prefix/ or a folder (LAKE_URL)")
    places.add_argument(
        "--database",
        metavar="URL",
        help="libpq URI (DATABASE_URL); without one PG*, without those an embedded server. Everyone on this machine "
        "can see a password given here: leave it to DATABASE_URL, PGPASSFILE or PGSERVICE",
    )
    moved = Arguments(add_help=False, argument_default=argparse.SUPPRESS)
    moved.add_argument("--relocated", action="store_true", help="the lake that was counted stands at this URL now")
    engine = Arguments(add_help=False, argument_default=argparse.SUPPRESS)
    engine.add_argument(
        "--engine",
        metavar="MASTER",
        help="reduce on Apache Spark: local[4], spark://host:7077, yarn, k8s://... (ENGINE)",
    )
    pool = Arguments(add_help=False, argument_default=argparse.SUPPRESS)
    pool.add_argument(
        "--workers", metavar="N", type=positive, help="how many processes reduce; without it one for each core"
    )
    told = Arguments(add_help=False, argument_default=argparse.SUPPRESS)
    told.add_argument(
        "--metrics",
        metavar="TARGET",
        help="tell Prometheus of it: a run by a file that ends in .prom or the http:// URL of a Pushgateway, "
        "watch on a port as 9109 (METRICS)",
    )
    as_json = Arguments(add_help=False, argument_default=argparse.SUPPRESS)
    as_json.add_argument("--json", action="store_true", help="print the outcome as one line of JSON")
    ends = Arguments(add_help=False, argument_default=argparse.SUPPRESS)
    for end, which in (("since", "first"), ("until", "last")):
        ends.add_argument(
            f"--{end}",
            metavar="DATE|KEY",
            type=date_or_key,
            help=f"the {which} file to consider: a date as 2019-02-15, compared with the one in each key, or a key",
        )

    parser = Arguments(
        prog="run.py",
        parents=[places, moved, pool, engine, told, as_json, ends],
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Count the new and changed files of an event lake into article_performance and user_performance.",
        epilog=f"example:\n  LAKE_URL=s3://bucket/lake/ python run.py\n\nexit code: {EXIT_CODES}\n{MORE}",
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and touch nothing")
    parser.add_argument(
        "--rebuild", action="store_true", help="count the whole lake anew; the old tables stay until it is done"
    )
    parser.add_argument("--prune", action="store_true", help="also take back files that are gone from the lake")
    parser.add_argument("--prune-all", action="store_true", help="the same, even if more than half are gone")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")

    def command(name: str, parents: list[Arguments], summary: str, description: str, example: str) -> Arguments:
        made: Arguments = commands.add_parser(
            name,
            parents=[places, *parents],
            formatter_class=argparse.RawDescriptionHelpFormatter,
            help=summary,
            description=description,
            epilog=f"example:\n  python run.py {example}\n\n{MORE}",
        )
        return made

    watch = command(
        "watch",
        [moved, pool, told, ends],
        "stay up and count what comes",
        "Count what is new and changed, stay up, and count what comes: what a queue or the folder tells of at once,\n"
        "and what a full listing finds at intervals. SIGTERM and ^C end it. It takes turns with other runs.",
        "watch --interval 300",
    )
    watch.add_argument(
        "--queue",
        metavar="URL",
        default=read_setting("QUEUE_URL"),
        help="SQS queue that gets the event notifications of the lake's bucket (QUEUE_URL)",
    )
    watch.add_argument(
        "--interval",
        metavar="SECONDS",
        type=positive,
        default=read_setting("WATCH_INTERVAL", "60"),
        help="list the whole lake so often (WATCH_INTERVAL; 60)",
    )
    command(
        "status",
        [as_json],
        "show what is counted, new, changed, gone and failed",
        "Show on one screen what is counted, new, changed, gone and failed, the last run and the sizes.\n"
        "Only reads: it takes no lock, and answers while a run is at work.",
        "status --json",
    )
    explain = command(
        "explain",
        [as_json],
        "show which files made a number",
        "Show which files made the numbers of an article, or of a user and its sessions, and how much each gave.\n"
        "Only reads. An id that begins with - goes behind --.",
        "explain --user 0a1b2c3d 2019-02-15",
    )
    explain.add_argument("article", metavar="ARTICLE", nargs="?", help="the article's id")
    explain.add_argument("day", metavar="DAY", nargs="?", help="one UTC day only, as YYYY-MM-DD")
    explain.add_argument("--user", metavar="USER", help="the user's id, instead of an article's")
    rejected = command(
        "rejected",
        [],
        "show the lines that count nowhere",
        "Show the lines that count nowhere, of one file or of all, each with the reason. Only reads.",
        "rejected 2019-02-15.tsv --tsv",
    )
    rejected.add_argument("key", metavar="KEY", nargs="?", help="of one file only: its path below the lake's URL")
    rejected.add_argument("--tsv", action="store_true", help="as TSV, whose last column printf %%b turns into the line")
    command(
        "doctor",
        [as_json],
        "look at everything a run needs",
        "Look at settings, lake, database, roles, schema, lock and disk, each a line that says what to do.\n"
        "Only reads: it takes no lock, and answers while a run is at work.",
        "doctor",
    )
    command(
        "verify",
        [moved, pool, engine, as_json, ends],
        "read the whole lake again and name what differs",
        "Read the whole lake again and name every row of the tables that is not what it gives. Changes nothing.",
        "verify",
    )
    forget = command(
        "forget",
        [moved, as_json],
        "take back what one file gave",
        "Take back what one file gave. While it is in the lake, the next run counts it again.",
        "forget 2019-02-15.tsv",
    )
    forget.add_argument("key", metavar="KEY", help="the file's path below the lake's URL")
    completion = commands.add_parser(
        "completion",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        help="print a script that completes commands and options in a shell",
        description="Print a script that completes the commands and options of ./run.py in a shell.",
        epilog='example:\n  eval "$(python run.py completion bash)"\n',
    )
    completion.add_argument("shell", metavar="SHELL", choices=("bash", "zsh", "fish"), help="bash, zsh or fish")
    return parser


def defaults() -> dict[str, object]:
    """What the options of more than one command are without a word of them."""
    return {
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


def positive(text: str) -> int:
    """The whole number above 0 that a text says."""
    number = parse_integer(text)
    if not number:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return number


def date_or_key(text: str) -> str:
    """The same text, unless it is written as a date that is none."""
    if has_day_form(text) and parse_day(text) is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no date that there is")
    return text


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def options_of(argv: list[str]) -> argparse.Namespace:
    """The options and settings of a command line; ends the program where one is wrong."""
    from processor.lake.selection import Selection

    parser = arguments()
    # Set as the parser's own, these would take the place of what stands before the command.
    options = parser.parse_args(argv, argparse.Namespace(**defaults()))
    if options.command == "completion":
        return options
    options.selection, options.wrong = Selection(options.since, options.until), []
    # a doctor tells all that is wrong
    complain: Callable[[str], object] = options.wrong.append if options.command == "doctor" else parser.error
    if options.command is not None:
        for name in ("dry_run", "rebuild", "prune", "prune_all"):
            if vars(options)[name]:
                parser.error(f"--{name.replace('_', '-')} goes with counting, not with {options.command}")
        if options.workers and options.command not in ("watch", "verify"):
            parser.error(f"--workers goes with counting, watch and verify, not with {options.command}")
        if options.engine and options.command != "verify":
            parser.error(f"--engine goes with counting and verify, not with {options.command}")
        if any(options.selection) and options.command not in ("watch", "verify"):
            parser.error(f"--since and --until go with counting, watch and verify, not with {options.command}")
    else:
        if options.rebuild and any(options.selection):
            parser.error("--rebuild counts the whole lake: say it without --since and --until")
        options.is_rebuild = options.rebuild
        options.command = "dry-run" if options.dry_run else "rebuild" if options.rebuild else "count"
    if options.command == "explain":
        if options.user is not None and options.day is None:
            options.article, options.day = None, options.article
        if (options.user is None) == (options.article is None):
            parser.error("explain takes an ARTICLE or --user USER, and a DAY")
        if options.day is not None:
            options.day = parse_day(options.day)
            if options.day is None:
                parser.error("the DAY to explain is no date; write it as 2019-02-15")
    options.wait = parse_decimal(read_setting("DATABASE_WAIT", "60"))
    if options.wait is None:
        complain("DATABASE_WAIT is no number of seconds; write it as 60")
    options.limits = limits(complain)
    options.metrics = target(options, complain)
    options.is_embedded = not options.database and not any(os.environ.get(name) for name in LIBPQ_VARIABLES)
    if options.workers and options.engine:
        parser.error("--workers and --engine are two ways to reduce: say one of them")
    if options.command in ("count", "rebuild", "verify") and not options.workers:
        options.engine = options.engine or read_setting("ENGINE")
    options.workers = options.workers or cores()
    return options


def limits(complain: "Callable[[str], object]") -> "Limits":
    """The most that a batch of files may hold, from BATCH_ROWS, BATCH_MIB and BATCH_SECONDS."""
    from processor.batches import LIMITS, MIB, Limits

    rows = parse_integer(read_setting("BATCH_ROWS", str(LIMITS.rows)))
    size = parse_integer(read_setting("BATCH_MIB", str(LIMITS.size // MIB)))
    seconds = parse_decimal(read_setting("BATCH_SECONDS", str(LIMITS.seconds)))
    if not rows:
        complain(f"BATCH_ROWS must be a whole number above 0, such as {LIMITS.rows}")
    if not size:
        complain(f"BATCH_MIB must be a whole number above 0, such as {LIMITS.size // MIB}")
    if seconds is None:
        complain(f"BATCH_SECONDS must be a number of seconds, such as {LIMITS.seconds}")
    return Limits(rows or LIMITS.rows, (size or 1) * MIB, seconds or 0)


def target(options: argparse.Namespace, complain: "Callable[[str], object]") -> "Target | None":
    """Where the metrics of a command go, if anywhere; what is wrong is complained of."""
    from processor.output.metrics_export import Address, MetricsSettingError, parse_target

    if options.command not in ("count", "rebuild", "watch", "doctor") or (
        options.metrics and options.command == "doctor"
    ):
        if options.metrics is not None:
            complain(f"--metrics goes with counting and watch, not with {options.command}")
        return None
    named = read_setting("METRICS") if options.metrics is None else options.metrics
    if not named:
        return None
    try:
        found = parse_target(named)
    except MetricsSettingError as error:
        complain(str(error))
        return None
    if isinstance(found, Address) and options.command in ("count", "rebuild"):
        complain("METRICS is a port, but a run ends before it is scraped; name a file or a Pushgateway")
    if not isinstance(found, Address) and options.command == "watch":
        complain("METRICS is no port, but a watch is scraped; write it as 9109 or 0.0.0.0:9109")
    return found


def console_of(json: bool, verb: str = "counted") -> "Console":
    """Return the console or the log that LOG_FORMAT and LOG_LEVEL ask for; raises SettingError."""
    from processor.output.console import LEVELS, Console

    level = read_setting("LOG_LEVEL", "info")
    form = read_setting("LOG_FORMAT", "text")
    if level not in LEVELS:
        raise SettingError(f"LOG_LEVEL is none of {', '.join(LEVELS)}; set it to one of them")
    if form == "text":
        return Console(json, level, verb)
    if form != "json":
        raise SettingError("LOG_FORMAT is neither text nor json; set it to one of them")
    from processor.output.json_log import JsonLog

    return JsonLog(json, level, verb)


def main(argv: list[str]) -> int:
    """Run one command; the exit code. Every failure is one line on standard error."""
    from processor.signals import Signals, StopRequest

    def tell(signal_name: str) -> None:
        line = f"stopped by {signal_name}{'' if console is None else console.remaining()}; {what_then}"
        if console is None:
            print(line, file=sys.stderr, flush=True)
        else:
            console.error(line)

    console, what_then = None, "the next run goes on from here"
    stop = Signals(tell)
    try:
        with stop:
            options = options_of(argv)
            if options.command in READS:
                what_then = "nothing has changed"
            elif options.command == "rebuild":
                what_then = "what counted before still does; say --rebuild again"
            if options.command == "completion":
                import shtab

                print(shtab.complete(arguments(), options.shell))
                return 0
            try:
                console = console_of(options.json, "read" if options.command == "verify" else "counted")
            except SettingError as error:
                if options.command != "doctor":
                    arguments().error(str(error))
                from processor.output.console import Console

                options.wrong.append(str(error))
                console = Console(options.json)
            from processor.commands.runner import perform

            if options.command == "watch":
                stop.exit_code = 0

            try:
                return perform(options, console, stop)
            finally:
                console.end()
    except StopRequest as signal_name:
        tell(str(signal_name))
        return stop.exit_code
