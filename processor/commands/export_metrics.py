"""Exports the metrics of a run: they are scraped while it lasts, or sent when it has ended."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from processor.checks import check_all
from processor.commands.context import Context
from processor.errors import FAILED, EventLakeError
from processor.output.metrics import Metrics
from processor.output.metrics_export import Address, Gateway, MetricsError, TextFile, export, serve
from state.errors import DatabaseError
from state.reads import Reads


def run_with_metrics(context: Context, run: Callable[[Metrics], int]) -> int:
    """Run a command whose settings name a place for metrics; return its exit code.

    context: what the command gets. run: runs the command, which informs the metrics, and returns its exit code.
    """
    target, metrics, begun, code, was_stopped = context.settings.metrics, Metrics(), time.monotonic(), FAILED, True
    assert target is not None
    if isinstance(target, Address):
        try:
            with serve(target, metrics.registry):
                return run(metrics)
        except MetricsError as error:
            context.console.error(str(error))
            return FAILED
    try:
        code, was_stopped = run(metrics), False
    finally:
        metrics.record_end(code, time.monotonic() - begun)
        _export(metrics, target, context, checks=not was_stopped)
    return code


def record_turn(metrics: Metrics, reads: Reads, context: Context, seconds: float) -> None:
    """Record a turn of a watch and, when it is time, what the checks find; a warning says why they fail.

    metrics: what to export. reads: the database. context: has the limits of the checks. seconds: of the turn.
    Raises DatabaseError if the database cannot even be asked about the turn.
    """
    metrics.record_turn(reads.read_health(), seconds)
    if not metrics.must_check:
        return
    try:
        findings = _count_findings(reads, context)
    except DatabaseError as error:
        context.console.warn(f"the counted events cannot be checked ({error}); the watch tries again in an hour")
        findings = {}
    metrics.record_checks(findings)


def _count_findings(reads: Reads, context: Context) -> dict[str, int]:
    """Return how much each check finds now, by its name; raises DatabaseError."""
    settings = context.settings
    timezone = settings.lake_settings.definition.timezone
    results = check_all(reads.checks, settings.check_limits, timezone, datetime.now(UTC))
    return {result.name: len(result.findings) for result in results}


def _export(metrics: Metrics, target: Gateway | TextFile, context: Context, checks: bool) -> None:
    """Export the metrics of a run that has ended; a run whose metrics cannot be exported has not failed.

    metrics: what the run recorded. target: where they go. context: names the database.
    checks: whether to check the counted events as well, for which a stopped run has no time.
    """
    with suppress(EventLakeError):  # the run has reported it; the metrics of the database stay as they were
        at_once = replace(context, settings=replace(context.settings, wait_seconds=0))
        with at_once.open_reads(at_once.open_lake()) as reads:
            metrics.record_database(reads.read_health(), reads.read_lock_holder())
            if checks:
                metrics.record_checks(_count_findings(reads, context))
    try:
        export(target, metrics.registry)
    except MetricsError as error:
        context.console.error(str(error))
