"""What surrounds a command: its database, locked or only read, the history of runs, and what its failure says."""

import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

from processor.commands.choose_reducer import choose_reducer
from processor.commands.dry_run import dry_run
from processor.commands.explain import explain
from processor.commands.forget import forget
from processor.commands.ingest import count
from processor.commands.messages import BUSY, DONE, FAILED, WRONG_SETTING, FailedError
from processor.commands.rejected import rejected
from processor.commands.status import show
from processor.commands.verify import verify
from processor.commands.watch import watch
from processor.lake.base import Lake, LakeError, LakeSettingError
from processor.lake.location import open_lake
from processor.output.console import Console
from processor.output.formats import make_printable
from processor.output.metrics_export import MetricsError, export, serve
from processor.plan import PruneError
from processor.run_tally import RunTally
from processor.signals import Signals, StopRequest
from processor.spark.session import SparkApplication, SparkError, SparkSettingError
from state import embedded
from state.database import Database, ReadOnlyDatabase
from state.errors import (
    BusyError,
    DatabaseError,
    DatabaseSettingError,
    EmbeddedError,
    NoDatabaseError,
    UnusedDatabaseError,
)
from state.reads import Reads
from state.store import Store

if TYPE_CHECKING:
    from processor.output.metrics import Metrics

ACTS = {"count": count, "rebuild": count, "watch": watch, "forget": forget, "verify": verify}
ASKS = {"status": show, "explain": explain, "rejected": rejected}
TOLD = (BusyError, DatabaseError, EmbeddedError, SparkError, FailedError, LakeError, PruneError)
WRONG = (DatabaseSettingError, SparkSettingError, LakeSettingError)


def perform(options: Namespace, console: Console, stop: Signals) -> int:
    """The exit code of one command; where it fails, one line on standard error says why."""
    if options.command == "doctor":
        from processor.commands.doctor import doctor

        return doctor(options, console, stop)
    if options.metrics is None:
        return performed(options, console, stop)
    from processor.output.metrics import Metrics

    metrics, begun, code = Metrics(), time.monotonic(), FAILED
    if options.command == "watch":
        try:
            with serve(options.metrics, metrics.registry):
                return performed(options, console, stop, metrics)
        except MetricsError as error:
            console.error(str(error))
            return FAILED
    try:
        code = performed(options, console, stop, metrics)
    finally:
        metrics.record_end(code, time.monotonic() - begun)
        publish(metrics, options, console, stop)
    return code


def publish(metrics: "Metrics", options: Namespace, console: Console, stop: Signals) -> None:
    """Tell the metrics of a run that has ended; that they cannot be told fails no run."""
    with suppress(*TOLD):  # the run has told what hinders it; what the metrics said before stays
        at_once = Namespace(**{**vars(options), "wait": 0})
        with asked(open_lake(options.lake), at_once, console, stop) as database:
            answers = Reads(database)
            metrics.record_database(answers.health(), answers.holder())
    try:
        export(options.metrics, metrics.registry)
    except MetricsError as error:
        console.error(str(error))


def performed(options: Namespace, console: Console, stop: Signals, metrics: "Metrics | None" = None) -> int:
    """The exit code of one command, whose numbers the metrics take in."""
    try:
        lake = open_lake(options.lake)
        if options.command == "dry-run":
            with ExitStack() as stack:
                database = None
                try:
                    database = stack.enter_context(asked(lake, options, console, stop))
                except (UnusedDatabaseError, NoDatabaseError):
                    console.warn("nothing was counted into this database yet: to it every file is new")
                return dry_run(lake, database, options, console)
        if options.command in ASKS:
            with asked(lake, options, console, stop) as database:
                return ASKS[options.command](lake, database, options, console)
        with locked(lake, options, console, stop) as locked_database:
            return recorded(lake, locked_database, options, console, metrics)
    except TOLD as error:
        console.error(str(error))
        return exit_code(error)


def exit_code(error: BaseException) -> int:
    """The exit code of a command that ends with an error."""
    if isinstance(error, BusyError):
        return BUSY
    return WRONG_SETTING if isinstance(error, WRONG) else FAILED


@contextmanager
def locked(lake: Lake, options: Namespace, console: Console, stop: Signals) -> Iterator[Database]:
    """The database that the settings name, with its lock held and the run recorded."""
    with ExitStack() as stack:
        options.engine = stack.enter_context(SparkApplication(options.engine)) if options.engine else None
        url = options.database
        if options.is_embedded:
            if options.relocated:
                raise DatabaseSettingError(
                    "the server of its own has a database for each lake: name one in DATABASE_URL to relocate"
                )
            url = stack.enter_context(embedded.server(lake.url))
        database = Database(url, options.wait, console.warn, is_shared=options.command == "watch")
        stop.call_on_signal(database.cancel)
        stack.enter_context(database)
        database.claim(lake.url, options.relocated, lambda: next(lake.list_files(), None), options.command)
        yield database


@contextmanager
def asked(lake: Lake, options: Namespace, console: Console, stop: Signals) -> Iterator[ReadOnlyDatabase]:
    """The database that the settings name, to be read only, whatever run is at work on it."""
    with ExitStack() as stack:
        url = options.database
        if options.is_embedded:
            url = stack.enter_context(embedded.server(lake.url, make=False))
        database = ReadOnlyDatabase(url, options.wait, console.warn)
        stop.call_on_signal(database.cancel)
        stack.enter_context(database)
        database.check_lake(lake.url, options.relocated)
        yield database


def recorded(
    lake: Lake, database: Database, options: Namespace, console: Console, metrics: "Metrics | None" = None
) -> int:
    """The exit code of an act, which the history of runs keeps with what the act did, however it ends."""
    tally = RunTally(console) if metrics is None else RunTally(console, metrics)
    if metrics is not None:
        metrics.follow(Reads(database).history(), tally)
    act: Callable[[Lake, Store, Namespace, Console, RunTally], int] = ACTS[options.command]
    if metrics is not None and options.command == "watch":
        act = partial(watch, done=partial(batch_done, metrics, Reads(database)))
    options.open_reducer = choose_reducer(options, database)
    code, error = FAILED, None
    try:
        code = act(lake, Store(database), options, console, tally)
    except BaseException as raised:
        code = exit_code(raised)
        error = f"stopped by {raised}" if isinstance(raised, StopRequest) else str(raised) or type(raised).__name__
        raise
    finally:
        database.record_end(code, error and make_printable(error), tally.columns())
    return code


def batch_done(metrics: "Metrics", answers: Reads, seconds: float) -> None:
    """Let the metrics of a watch take in that a batch of files was counted, in so many seconds."""
    health = answers.health()
    metrics.record_end(FAILED if health["failed_files"] else DONE, seconds)
    metrics.record_database(health, None)  # the watch itself has the lock, and is about to leave it
