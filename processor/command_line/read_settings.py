"""Reads the settings of one command from its options and the environment, and checks them."""

import datetime
import os
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from processor.batches import DEFAULT_BATCH_LIMITS, MIB_BYTES, BatchLimits
from processor.command_line.choose_command import choose_command, describe_takers
from processor.command_line.command_options import ARTICLE, ENGINE, FORGOTTEN_USERS, INTERVAL, METRICS, Options
from processor.command_line.command_registry import Command
from processor.command_line.read_check_limits import read_check_limits
from processor.command_line.read_definition import DEFAULT_FILE, read_definition
from processor.command_line.read_log_settings import read_log_settings
from processor.command_line.read_numbers import read_decimal, read_whole
from processor.command_line.read_user_ids import read_user_ids
from processor.command_line.settings import Settings
from processor.environment import read_setting
from processor.errors import SettingError
from processor.lake.base import DEFAULT_LAKE_SETTINGS, LakeSettings
from processor.lake.selection import Selection
from processor.output.lineage_facts import LineageTarget
from processor.output.metrics_export import Address, MetricsSettingError, Target, parse_target
from processor.reducers.definition import Definition
from processor.setting_values import parse_day
from state.connector import DEFAULT_WAIT_SECONDS

LIBPQ_VARIABLES = ("PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGUSER", "PGSERVICE")
INTERVAL_SECONDS = 60  # from one listing of `watch` to the next


def read_settings(options: Options, refuse: Callable[[str], NoReturn]) -> Settings:
    """Return the settings from the options and the environment.

    `refuse` ends the program with a line: at the first thing that is wrong, unless the command reports all of it.
    """
    command = choose_command(options, refuse)
    errors: list[str] = []
    report: Callable[[str], object] = errors.append if command.reports_all_errors else refuse
    article, user, day = _read_explained(options, refuse) if ARTICLE in command.options else (None, None, None)
    user_ids = _read_forgotten(options, refuse) if FORGOTTEN_USERS in command.options else ()
    interval = _read_interval(options, refuse) if INTERVAL in command.options else 0
    wait_seconds = read_decimal("DATABASE_WAIT", DEFAULT_WAIT_SECONDS, report, "seconds")
    lake_settings = _read_lake_settings(report)
    batch_limits = _read_batch_limits(report)
    metrics = _read_metrics(command, options.metrics, report)
    if options.workers and options.engine:
        refuse("--workers and --engine are two ways to reduce: pass one of them")
    engine = options.engine
    if ENGINE in command.options and command.takes_lock and not options.workers:
        engine = engine or read_setting("ENGINE")
    database_url = read_setting("DATABASE_URL") if options.database is None else options.database
    return Settings(
        command=command,
        lake_url=read_setting("LAKE_URL") if options.lake is None else options.lake,
        database_url=database_url,
        is_embedded=not database_url and not any(os.environ.get(variable) for variable in LIBPQ_VARIABLES),
        wait_seconds=wait_seconds,
        workers=options.workers or count_cores(),
        engine=engine,
        metrics=metrics,
        lineage=_read_lineage(command),
        selection=Selection(options.since, options.until),
        batch_limits=batch_limits,
        check_limits=read_check_limits(report),
        log=read_log_settings(report),
        lake_settings=lake_settings,
        is_relocated=options.relocated,
        prints_json=options.json,
        rebuilds=options.rebuild,
        recounts=options.recount,
        prunes=options.prune or options.prune_all,
        prunes_all=options.prune_all,
        queue_url=read_setting("QUEUE_URL") if options.queue is None else options.queue,
        interval_seconds=interval,
        article=article,
        user=user,
        day=day,
        key=options.key,
        user_ids=user_ids,
        prints_tsv=options.tsv,
        errors=tuple(errors),
    )


def _read_explained(
    options: Options, refuse: Callable[[str], NoReturn]
) -> tuple[str | None, str | None, datetime.date | None]:
    """Return the article or the user to explain, and the day."""
    article, user, text = options.article, options.user, options.day
    if user is not None and text is None:
        article, text = None, article  # after --user, the first word is the day
    if (user is None) == (article is None):
        refuse("explain takes an ARTICLE or --user USER, and optionally a DAY")
    day = None if text is None else parse_day(text)
    if text is not None and day is None:
        refuse("the DAY to explain must be a date, such as 2019-02-15")
    return article, user, day


def _read_forgotten(options: Options, refuse: Callable[[str], NoReturn]) -> tuple[str, ...]:
    """Return the ids of the users to forget; none if a file is to be forgotten."""
    if sum(value is not None for value in (options.key, options.user, options.users)) != 1:
        refuse("forget takes one of a KEY, --user ID and --users FILE")
    if options.key is not None and options.dry_run:
        refuse("forget KEY does not take --dry-run; forget --user and forget --users do")
    return read_user_ids(options.user, options.users, refuse)


def _read_interval(options: Options, refuse: Callable[[str], NoReturn]) -> int:
    return options.interval or read_whole("WATCH_INTERVAL", INTERVAL_SECONDS, refuse, "seconds")


def count_cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _read_lake_settings(report: Callable[[str], object]) -> LakeSettings:
    default = DEFAULT_LAKE_SETTINGS
    max_text_gib = read_whole("MAX_TEXT_GIB", default.max_text_gib, report, "GiB")
    objects_ahead = read_whole("LAKE_AHEAD", default.objects_ahead, report)
    payer = read_setting("AWS_REQUEST_PAYER")
    if payer not in ("", "requester"):
        report("AWS_REQUEST_PAYER can only be requester; set it to that, or unset it")
    return LakeSettings(max_text_gib, objects_ahead, payer == "requester", _read_definition(report))


def _read_definition(report: Callable[[str], object]) -> Definition:
    try:
        return read_definition(Path(read_setting("LAKE_DEFINITION", str(DEFAULT_FILE))))
    except SettingError as error:
        report(str(error))
        return Definition()


def _read_batch_limits(report: Callable[[str], object]) -> BatchLimits:
    return BatchLimits(
        read_whole("BATCH_ROWS", DEFAULT_BATCH_LIMITS.rows, report),
        read_whole("BATCH_MIB", DEFAULT_BATCH_LIMITS.text_bytes // MIB_BYTES, report) * MIB_BYTES,
        read_decimal("BATCH_SECONDS", DEFAULT_BATCH_LIMITS.seconds, report, "seconds"),
    )


def _read_metrics(command: Command, option: str | None, report: Callable[[str], object]) -> Target | None:
    if METRICS not in command.options:
        if option or (option is not None and not command.reads_metrics):
            report(describe_takers(METRICS, command))
        if option is not None or not command.reads_metrics:
            return None
    named = read_setting("METRICS") if option is None else option
    if not named:
        return None
    try:
        target = parse_target(named)
    except MetricsSettingError as error:
        report(str(error))
        return None
    if isinstance(target, Address) and METRICS in command.options and not command.stays_up:
        report("METRICS is a port, but a run ends before it is scraped; name a file or a Pushgateway")
    if not isinstance(target, Address) and command.stays_up:
        report("METRICS must be a port for watch, which Prometheus scrapes, such as 9109 or 0.0.0.0:9109")
    return target


def _read_lineage(command: Command) -> LineageTarget | None:
    """Return where the events of a command that ingests go; nothing is wrong here that could keep it from running."""
    url = read_setting("OPENLINEAGE_URL")
    if not url or METRICS not in command.options:
        return None
    return LineageTarget(url, read_setting("OPENLINEAGE_API_KEY"), read_setting("OPENLINEAGE_NAMESPACE", "event_lake"))
