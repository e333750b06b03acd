"""Runs a command, and records what it did and how it ended."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from uuid import uuid4

from processor.command_line.settings import Settings
from processor.commands.context import Context, RunContext
from processor.commands.messages import UnknownKeyError, describe_failure
from processor.commands.open_run import open_run
from processor.errors import DONE, FAILED, EventLakeError
from processor.formats import make_printable
from processor.lake.base import Lake
from processor.listener import Listeners
from processor.output.lineage_facts import RunFacts
from processor.output.run_output import RunOutput
from processor.reducing.reducer import OpenReducer
from processor.run_tally import RunTally
from processor.signals import Signals, StopRequest
from state.errors import DatabaseError
from state.run import Run
from state.store import Store

if TYPE_CHECKING:
    from processor.output.lineage import Lineage
    from processor.output.metrics import Metrics
    from state.connection import Place


def run_command(settings: Settings, console: RunOutput, signals: Signals) -> int:
    """Run the command that the settings name, and return its exit code; if it fails, a line on standard error says why.

    settings: of the command. console: what prints its messages. signals: stop it.
    """
    context = Context(settings, console, signals)
    with _open_lineage(context) as lineage:
        if settings.metrics is None or not settings.command.takes_lock:
            return _run(context, None, lineage)
        from processor.commands.export_metrics import run_with_metrics

        return run_with_metrics(context, lambda metrics: _run(context, metrics, lineage))


@contextmanager
def _open_lineage(context: Context) -> Iterator["Lineage | None"]:
    """Open the lineage of a run, if the settings name a place for it; the end of the context sends the rest of it."""
    if context.settings.lineage is None:
        yield None
        return
    from processor.output.lineage import Lineage

    lineage = Lineage(context.settings.lineage)
    try:
        yield lineage
    finally:
        problem = lineage.close()
        if problem is not None:
            context.console.error(problem)


def _run(context: Context, metrics: "Metrics | None", lineage: "Lineage | None") -> int:
    command = context.settings.command
    try:
        if not command.takes_lock:
            return command.load()(context)
        lake = context.open_lake()
        with open_run(context, lake) as (run, open_reducer):
            return _run_recorded(context, lake, run, open_reducer, metrics, lineage)
    except EventLakeError as error:
        context.console.error(describe_failure(error, context.settings))
        return error.exit_code


def _run_recorded(
    context: Context,
    lake: Lake,
    run: Run,
    open_reducer: OpenReducer,
    metrics: "Metrics | None",
    lineage: "Lineage | None",
) -> int:
    """Run a command that takes the lock; `state.runs` keeps what it did, however it ends."""
    tally = RunTally()
    listener = Listeners(tally, *filter(None, (context.console, metrics, lineage)))
    store = Store(run)

    def record_turn(seconds: float) -> None:
        if metrics is not None:
            from processor.commands.export_metrics import record_turn as record

            record(metrics, store.reads, context, seconds)

    run_context = RunContext(
        context.settings,
        context.console,
        context.signals,
        lake,
        store,
        tally,
        listener,
        open_reducer,
        record_turn,
    )
    code, error = FAILED, None
    try:
        if lineage is not None:
            _start_lineage(lineage, run_context, run.database.place())
        if metrics is not None:
            from processor.output.metrics import RunCounters

            metrics.registry.register(RunCounters(store.reads.sum_runs(), tally))
        code = context.settings.command.load()(run_context)
    except BaseException as raised:
        code = raised.exit_code if isinstance(raised, EventLakeError) else FAILED
        error = make_printable(_describe_end(raised))
        raise
    finally:
        if lineage is not None:
            lineage.end(code != DONE, error)
        run.record_end(code, error, tally.columns())
    return code


def _start_lineage(lineage: "Lineage", context: RunContext, place: "Place") -> None:
    """Send the start event; if the tables cannot be read, report that and continue."""
    from processor.output.lineage import describe_problem

    try:
        tables = context.store.reads.read_columns()
    except DatabaseError as error:
        context.console.error(describe_problem(str(error)))
        return
    command = context.settings.command
    lineage.start(RunFacts(uuid4(), command.name, command.stays_up, context.lake.url, place, tables))


def _describe_end(raised: BaseException) -> str:
    """Return what is recorded of the error that ended a run."""
    if isinstance(raised, StopRequest):
        return f"stopped by {raised}"
    if isinstance(raised, UnknownKeyError):
        return "no file is known by the given key"
    return str(raised) or type(raised).__name__
