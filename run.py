"""Counts a news app's event lake into Postgres; run `python run.py --help`."""

import argparse
import json
import math
import os
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from processor.console import Console
    from processor.lake import Lake
    from processor.stop import Stop
    from state.store import Store

PICTURE = Path("report", "click_through_rate.png")
DONE, FAILED, WRONG_SETTING, BUSY = 0, 1, 2, 75
LIBPQ_VARIABLES = ("PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGUSER", "PGSERVICE")


class Arguments(argparse.ArgumentParser):
    """A parser whose errors, too, are safe to show: they repeat what was given, as a URL with a password."""

    def error(self, message: str) -> NoReturn:
        """End the program with one line."""
        from processor.console import printable
        from processor.lake import without_passwords

        self.exit(WRONG_SETTING, f"{printable(without_passwords(message))}; see python run.py --help\n")


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    shared = Arguments(add_help=False, argument_default=argparse.SUPPRESS)
    shared.add_argument("--lake", metavar="URL", help="s3://bucket/prefix/ or a folder (LAKE_URL)")
    shared.add_argument(
        "--database",
        metavar="URL",
        help="libpq URI (DATABASE_URL); without one PG*, without those an embedded server. Everyone on this machine "
        "can see a password given here: leave it to DATABASE_URL, PGPASSFILE or PGSERVICE",
    )
    shared.add_argument("--relocated", action="store_true", help="the lake that was counted stands at this URL now")
    shared.add_argument("--json", action="store_true", help="print the outcome as one line of JSON")
    parser = Arguments(
        prog="run.py",
        parents=[shared],
        description="Count the new and changed files of an event lake into article_performance and user_performance.",
        epilog="Exit code: 0 done, 1 something failed, 2 a wrong option or setting, 75 another run is at work.",
    )
    parser.set_defaults(
        lake=os.environ.get("LAKE_URL", ""), database=os.environ.get("DATABASE_URL", ""), relocated=False, json=False
    )
    parser.add_argument(
        "--rebuild", action="store_true", help="count the whole lake anew; the old tables stay until it is done"
    )
    parser.add_argument("--prune", action="store_true", help="also take back files that are gone from the lake")
    parser.add_argument("--prune-all", action="store_true", help="the same, even if more than half are gone")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    commands.add_parser("verify", parents=[shared], help="read the whole lake again and name what differs")
    forget = commands.add_parser("forget", parents=[shared], help="take back what one file gave")
    forget.add_argument("key", metavar="KEY", help="the file's path below the lake's URL")
    rejected = commands.add_parser("rejected", parents=[shared], help="show the lines that count nowhere")
    rejected.add_argument("key", metavar="KEY", nargs="?", help="of one file only")
    rejected.add_argument("--tsv", action="store_true", help="as TSV, whose last column printf %%b turns into the line")
    return parser


def main(argv: list[str]) -> int:
    """Run one command; the exit code. Every failure is one line on standard error."""
    from processor.stop import Stop, Stopped

    def tell(signal_name: str) -> None:
        left = console.remaining() if console is not None else ""
        line = f"stopped by {signal_name}{left}; the next run goes on from here"
        print(line, file=sys.stderr, flush=True)

    console = None
    try:
        with Stop(tell) as stop:
            options = arguments().parse_args(argv)
            from processor.console import Console

            console = Console(options.json)
            try:
                return outcome_of(options, console, stop)
            finally:
                console.end()
    except Stopped as signal_name:
        tell(str(signal_name))
        return FAILED


def outcome_of(options: argparse.Namespace, console: "Console", stop: "Stop") -> int:
    """The exit code of one command; its failure is told."""
    from processor.lake import LakeError, LakeSettingError, lake_at
    from processor.pipeline import PruneError
    from state.database import BusyError, DatabaseError, DatabaseSettingError
    from state.embedded import EmbeddedError

    try:
        lake = lake_at(options.lake)
        with store_of(options, lake, console, stop) as store:
            commands = {None: count, "forget": forget, "rejected": rejected, "verify": verify}
            return commands[options.command](lake, store, options, console)
    except BusyError as error:
        console.error(str(error))
        return BUSY
    except (LakeSettingError, DatabaseSettingError) as error:
        console.error(str(error))
        return WRONG_SETTING
    except (LakeError, DatabaseError, EmbeddedError, PruneError) as error:
        console.error(str(error))
        return FAILED


@contextmanager
def store_of(options: argparse.Namespace, lake: "Lake", console: "Console", stop: "Stop") -> Iterator["Store"]:
    """The store that the settings name, with its lock held."""
    from state import embedded
    from state.database import Database, DatabaseSettingError
    from state.store import Store

    try:
        wait = float(os.environ.get("DATABASE_WAIT") or "60")
    except ValueError:
        wait = math.nan
    if not 0 <= wait < math.inf:
        raise DatabaseSettingError("DATABASE_WAIT is no number of seconds; write it as 60")
    with ExitStack() as stack:
        url = options.database
        if is_embedded(options):
            if options.relocated:
                raise DatabaseSettingError(
                    "the server of its own has a database for each lake: name one in DATABASE_URL to relocate"
                )
            url = stack.enter_context(embedded.server(lake.url))
        database = Database(url, wait, console.error)
        stop.breaks_off(database.cancel)
        stack.enter_context(database)
        database.claim(lake.url, options.relocated, lambda: next(lake.files(), None))
        yield Store(database)


def is_embedded(options: argparse.Namespace) -> bool:
    """Whether no database is named, so that the server of its own is used."""
    return not options.database and not any(os.environ.get(name) for name in LIBPQ_VARIABLES)


def count(lake: "Lake", store: "Store", options: argparse.Namespace, console: "Console") -> int:
    """Count the lake, show what came of it and draw the picture."""
    from processor import pipeline

    plan = pipeline.Plan(options.prune, options.prune_all)
    refusal = None
    try:
        outcome = (pipeline.rebuild if options.rebuild else pipeline.run)(lake, store, plan, console)
    except pipeline.PruneError as error:
        refusal, outcome = str(error), error.outcome
    console.end()
    console.summary(outcome)
    if options.json:
        console.result(json.dumps(asdict(outcome)))
    else:
        for table, columns, rows in store.first_rows():
            console.table(f"The first rows of {table}:", columns, rows)
        console.say()
        embedded = f"LAKE_URL={shlex.quote(lake.url)} make psql"
        console.say(f"Open them:  {embedded if is_embedded(options) else 'psql, with the same settings'}")
    if outcome.files_counted or outcome.files_forgotten or not PICTURE.exists():
        draw(store, console)
    console.say(f"Picture:    {PICTURE.resolve()}")
    if refusal:
        console.error(refusal)
    return FAILED if refusal or outcome.files_failed else DONE


def draw(store: "Store", console: "Console") -> None:
    """Draw the picture; where its folder cannot be written, say so: the tables are right without it."""
    from processor import picture, report

    try:
        picture.draw(map(report.CategoryDay._make, store.category_days()), PICTURE)
    except OSError as error:
        console.error(f"the picture {PICTURE} cannot be written ({error.strerror}); make its folder writable")


def forget(_: "Lake", store: "Store", options: argparse.Namespace, console: "Console") -> int:
    """Take back what one file gave."""
    from processor.lake import storable
    from processor.pipeline import Outcome

    begun = time.monotonic()
    key = storable(options.key)
    if not store.forget(key):
        console.unknown(key)
        return FAILED
    console.forgotten(key)
    if options.json:
        console.result(json.dumps(asdict(Outcome(files_forgotten=1, seconds=round(time.monotonic() - begun, 3)))))
    draw(store, console)
    return DONE


def rejected(_: "Lake", store: "Store", options: argparse.Namespace, console: "Console") -> int:
    """Show the lines that count nowhere, of one file or of all."""
    from processor.lake import storable

    key = None if options.key is None else storable(options.key)
    if key is not None and key not in store.files():
        console.unknown(key)
        return FAILED
    console.rejected(store.rejected_lines(key), options.tsv)
    return DONE


def verify(lake: "Lake", store: "Store", _: argparse.Namespace, console: "Console") -> int:
    """Read the whole lake again and name every row that is not what it gives."""
    from processor import pipeline

    found = 0
    for difference in pipeline.verify(lake, store, pipeline.Plan(), console):
        console.difference(difference)
        found += 1
    console.end()
    if found:
        console.error(f"{found:,} differences from the lake: count anew with python run.py --rebuild")
        return FAILED
    if console.failures:
        console.error(f"{console.failures:,} files cannot be read, so that what they gave could not be compared")
        return FAILED
    console.say("The tables are what the lake gives.")
    return DONE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
