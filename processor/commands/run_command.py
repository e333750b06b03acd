"""Runs a command with what it needs: the lake, the database, the run lock, its row of `state.runs` metrics, lineage."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING
from uuid import uuid4

from processor.command_registry import Command
from processor.commands.choose_reducer import choose_reducer
from processor.commands.context import Context, RunContext
from processor.commands.messages import describe_failure
from processor.errors import DONE, FAILED, EventLakeError
from processor.formats import make_printable
from processor.lake.base import Lake
from processor.output.console import Console
from processor.output.lineage_moments import RunFacts
from processor.output.metrics_export import Address, Gateway, MetricsError, TextFile, export, serve
from processor.reducing.reducer import OpenReducer
from processor.run_tally import RunTally
from processor.settings import Settings
from processor.signals import Signals, StopRequest
from processor.spark.application import SparkApplication
from state import embedded
from state.database import Database
from state.errors import DatabaseSettingError
from state.reads import Reads
from state.store import Store

if TYPE_CHECKING:
    from processor.output.lineage import Lineage
    from processor.output.metrics import Metrics


def run_command(command: Command, settings: Settings, console: Console, signals: Signals) -> int:
    """Run one command and return its exit code; if it fails, one line on standard error says why.

    command: which command. settings: its settings. console: what prints its messages. signals: stop it.
    """
    context = Context(settings, console, signals)
    if settings.lineage is None:
        return _run_with_metrics(command, context)
    from processor.output.lineage import Lineage

    lineage = Lineage(settings.lineage)
    try:
        return _run_with_metrics(command, context, lineage)
    finally:
        problem = lineage.close()
        if problem is not None:
            console.error(problem)


def _run_with_metrics(command: Command, context: Context, lineage: "Lineage | None" = None) -> int:
    """Run a command and return its exit code; its metrics are exported, if it has any."""
    settings, console = context.settings, context.console
    if settings.metrics is None or not command.takes_lock:
        return _run(command, context, None, lineage)
    from processor.output.metrics import Metrics

    metrics, begun, code = Metrics(), time.monotonic(), FAILED
    if isinstance(settings.metrics, Address):
        try:
            with serve(settings.metrics, metrics.registry):
                return _run(command, context, metrics, lineage)
        except MetricsError as error:
            console.error(str(error))
            return FAILED
    try:
        code = _run(command, context, metrics, lineage)
    finally:
        metrics.record_end(code, time.monotonic() - begun)
        _export(metrics, context)
    return code


def _export(metrics: "Metrics", context: Context) -> None:
    """Export the metrics of a run that has ended; a run whose metrics cannot be exported has not failed."""
    target = context.settings.metrics
    assert isinstance(target, Gateway | TextFile)
    with suppress(EventLakeError):  # the run has reported it; the metrics of the database stay as they were
        at_once = replace(context, settings=replace(context.settings, wait_seconds=0))
        with at_once.open_reads(at_once.open_lake()) as reads:
            metrics.record_database(reads.health(), reads.holder())
    try:
        export(target, metrics.registry)
    except MetricsError as error:
        context.console.error(str(error))


def _run(command: Command, context: Context, metrics: "Metrics | None", lineage: "Lineage | None") -> int:
    try:
        if not command.takes_lock:
            return command.load()(context)
        lake = context.open_lake()
        with open_locked(command, context, lake) as (database, open_reducer):
            return _run_recorded(command, context, lake, database, open_reducer, metrics, lineage)
    except EventLakeError as error:
        context.console.error(describe_failure(error, context.settings))
        return error.exit_code


@contextmanager
def open_locked(command: Command, context: Context, lake: Lake) -> Iterator[tuple[Database, OpenReducer]]:
    """Open the database with its lock held and the run recorded, and the function that opens the reducer.

    command: the command of the run. context: its settings, console and signals. lake: the lake that it ingests.
    Raises DatabaseError, BusyError, EmbeddedError and SparkError.
    """
    settings = context.settings
    with ExitStack() as stack:
        spark = stack.enter_context(SparkApplication(settings.engine)) if settings.engine else None
        url = settings.database_url
        if settings.is_embedded:
            if settings.is_relocated:
                raise DatabaseSettingError(
                    "the embedded server has a database for each lake: name one in DATABASE_URL to relocate"
                )
            url = stack.enter_context(embedded.open_server(lake.url))
        database = Database(url, settings.wait_seconds, context.console.warn, is_shared=command.stays_up)
        context.signals.call_on_signal(database.cancel)
        stack.enter_context(database)
        database.record_run(
            lake.url,
            settings.is_relocated,
            lambda: next(lake.list_files(), None),
            command.name,
            lake.settings.definition.changes(),
            settings.rebuilds,
        )
        yield database, choose_reducer(settings.workers, spark, database)


def _run_recorded(
    command: Command,
    context: Context,
    lake: Lake,
    database: Database,
    open_reducer: OpenReducer,
    metrics: "Metrics | None",
    lineage: "Lineage | None",
) -> int:
    """Run a command that takes the lock; `state.runs` keeps what it did, however it ends."""
    tally = RunTally(*filter(None, (context.console, metrics, lineage)))
    store = Store(database)
    if lineage is not None:
        tables = store.reads.tables()
        lineage.start(RunFacts(uuid4(), command.name, command.stays_up, lake.url, database.place(), tables))
    if metrics is not None:
        from processor.output.metrics import RunCounters

        metrics.registry.register(RunCounters(store.reads.all_runs(), tally))
    run_context = RunContext(
        context.settings,
        context.console,
        context.signals,
        lake,
        store,
        tally,
        open_reducer,
        partial(_record_turn, metrics, store.reads),
    )
    code, error = FAILED, None
    try:
        code = command.load()(run_context)
    except BaseException as raised:
        code = raised.exit_code if isinstance(raised, EventLakeError) else FAILED
        error = f"stopped by {raised}" if isinstance(raised, StopRequest) else str(raised) or type(raised).__name__
        raise
    finally:
        error = error and make_printable(error)
        if lineage is not None:
            lineage.end(code != DONE, error)
        database.record_end(code, error, tally.columns())
    return code


def _record_turn(metrics: "Metrics | None", reads: Reads, seconds: float) -> None:
    """Record a turn of a watch, which took `seconds`, in its metrics, if it has any."""
    if metrics is None:
        return
    health = reads.health()
    metrics.record_end(FAILED if health["failed_files"] else DONE, seconds)
    metrics.record_database(health, None)  # the watch itself holds the lock, and is about to release it
