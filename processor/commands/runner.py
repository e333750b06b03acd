"""Runs a command with what it needs: the lake, the database, the run lock, the history of runs and the metrics."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from processor.command_options import WORKERS
from processor.command_registry import COMMANDS, Access, Command
from processor.commands.choose_reducer import choose_reducer
from processor.errors import DONE, FAILED, EventLakeError
from processor.formats import make_printable
from processor.lake.base import Lake
from processor.lake.location import open_lake
from processor.output.console import Console
from processor.output.metrics_export import Address, Gateway, MetricsError, TextFile, export, serve
from processor.reducing.reducer import OpenReducer
from processor.run_tally import RunTally
from processor.settings import Settings
from processor.signals import Signals, StopRequest
from processor.spark.session import SparkApplication
from state import embedded
from state.database import Database, ReadOnlyDatabase
from state.errors import DatabaseSettingError, NoDatabaseError, StateError, UnusedDatabaseError
from state.reads import Reads
from state.store import Store

if TYPE_CHECKING:
    from processor.output.metrics import Metrics

# The roots of the errors that end a command with one line.
ERRORS = (EventLakeError, StateError)


def run_command(command: Command, settings: Settings, console: Console, signals: Signals) -> int:
    """Run one command and return its exit code; if it fails, one line on standard error says why."""
    if command.access is Access.CHECK:
        return int(command.load()(settings, console, signals))
    if settings.metrics is None:
        return _run(command, settings, console, signals)
    from processor.output.metrics import Metrics

    metrics, begun, code = Metrics(), time.monotonic(), FAILED
    if isinstance(settings.metrics, Address):
        try:
            with serve(settings.metrics, metrics.registry):
                return _run(command, settings, console, signals, metrics)
        except MetricsError as error:
            console.error(str(error))
            return FAILED
    try:
        code = _run(command, settings, console, signals, metrics)
    finally:
        metrics.record_end(code, time.monotonic() - begun)
        _export(metrics, settings, console, signals)
    return code


def _export(metrics: "Metrics", settings: Settings, console: Console, signals: Signals) -> None:
    """Export the metrics of a run that has ended; a run whose metrics cannot be exported has not failed."""
    assert isinstance(settings.metrics, Gateway | TextFile)
    with suppress(*ERRORS):  # the run has reported it; the metrics of the database stay as they were
        at_once = replace(settings, wait_seconds=0)
        lake = open_lake(settings.lake_url, settings.lake_settings)
        with open_read_only(lake, at_once, console, signals) as database:
            reads = Reads(database)
            metrics.record_database(reads.health(), reads.holder())
    try:
        export(settings.metrics, metrics.registry)
    except MetricsError as error:
        console.error(str(error))


def _run(
    command: Command, settings: Settings, console: Console, signals: Signals, metrics: "Metrics | None" = None
) -> int:
    try:
        lake = open_lake(settings.lake_url, settings.lake_settings)
        if command.access is Access.READ:
            with ExitStack() as stack:
                database = None
                try:
                    database = stack.enter_context(open_read_only(lake, settings, console, signals))
                except (UnusedDatabaseError, NoDatabaseError):
                    if not command.runs_without_database:
                        raise
                    console.warn("nothing was counted into this database yet: every file is new to it")
                return int(command.load()(lake, database, settings, console))
        with open_locked(lake, settings, console, signals) as (locked_database, open_reducer):
            return _run_recorded(command, lake, locked_database, open_reducer, settings, console, metrics)
    except ERRORS as error:
        console.error(str(error))
        return error.exit_code


@contextmanager
def open_locked(
    lake: Lake, settings: Settings, console: Console, signals: Signals
) -> Iterator[tuple[Database, OpenReducer]]:
    """Open the database with its lock held and the run recorded, and the function that opens the reducer."""
    with ExitStack() as stack:
        spark = stack.enter_context(SparkApplication(settings.engine)) if settings.engine else None
        url = settings.database_url
        if settings.is_embedded:
            if settings.is_relocated:
                raise DatabaseSettingError(
                    "the embedded server has a database for each lake: name one in DATABASE_URL to relocate"
                )
            url = stack.enter_context(embedded.server(lake.url))
        database = Database(url, settings.wait_seconds, console.warn, is_shared=COMMANDS[settings.command].stays_up)
        signals.call_on_signal(database.cancel)
        stack.enter_context(database)
        database.claim(lake.url, settings.is_relocated, lambda: next(lake.list_files(), None), settings.command)
        yield database, choose_reducer(settings.workers, spark, database)


@contextmanager
def open_read_only(lake: Lake, settings: Settings, console: Console, signals: Signals) -> Iterator[ReadOnlyDatabase]:
    """Open the database to read it only, whatever run is at work on it."""
    with ExitStack() as stack:
        url = settings.database_url
        if settings.is_embedded:
            url = stack.enter_context(embedded.server(lake.url, make=False))
        database = ReadOnlyDatabase(url, settings.wait_seconds, console.warn)
        signals.call_on_signal(database.cancel)
        stack.enter_context(database)
        database.check_lake(lake.url, settings.is_relocated)
        yield database


def _run_recorded(
    command: Command,
    lake: Lake,
    database: Database,
    open_reducer: OpenReducer,
    settings: Settings,
    console: Console,
    metrics: "Metrics | None",
) -> int:
    """Run a command that writes; the history of runs keeps what it did, however it ends."""
    tally = RunTally(console) if metrics is None else RunTally(console, metrics)
    run = command.load()
    if metrics is not None:
        metrics.follow(Reads(database).history(), tally)
        if command.stays_up:
            run = partial(run, on_batch=partial(_record_batch, metrics, Reads(database)))
    if WORKERS in command.options:
        run = partial(run, open_reducer=open_reducer)
    code, error = FAILED, None
    try:
        code = int(run(lake, Store(database), settings, console, tally))
    except BaseException as raised:
        code = raised.exit_code if isinstance(raised, ERRORS) else FAILED
        error = f"stopped by {raised}" if isinstance(raised, StopRequest) else str(raised) or type(raised).__name__
        raise
    finally:
        database.record_end(code, error and make_printable(error), tally.columns())
    return code


def _record_batch(metrics: "Metrics", reads: Reads, seconds: float) -> None:
    """Record a batch of files, which took `seconds`, in the metrics of a watch."""
    health = reads.health()
    metrics.record_end(FAILED if health["failed_files"] else DONE, seconds)
    metrics.record_database(health, None)  # the watch itself holds the lock, and is about to release it
