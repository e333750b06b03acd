"""The commands: the name of each, what it needs, and the options that it takes."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from processor.command_line.command_options import (
    ANY_KEY,
    ARTICLE,
    DAY,
    DRY_RUN,
    ENGINE,
    FORGOTTEN_USER,
    FORGOTTEN_USERS,
    INTERVAL,
    JSON,
    KEY,
    METRICS,
    PRUNE,
    PRUNE_ALL,
    QUEUE,
    REBUILD,
    RECOUNT,
    RELOCATED,
    SINCE,
    TSV,
    UNTIL,
    USER,
    WORKERS,
    Option,
)
from processor.errors import DONE, FAILED

UNCHANGED = "nothing has changed"


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    module: where its function `run` is, in `processor.commands`; imported when it runs, so that --help starts quickly.
    options: what it takes besides --lake and --database, in the order of its help.
    takes_lock: it takes the run lock, and `state.runs` keeps what it did; other commands only read, whatever
    run is at work.
    verb: what it does to files, in its messages. stopped: what is true after a signal stopped it; if empty, that
    follows from `takes_lock`. stop_code: the exit code then. reports_all_errors: it reports every wrong setting; other
    commands end at the first. reads_metrics: it reads METRICS, although it takes no option for it. stays_up: it runs
    until a signal ends it, its metrics are scraped, and other runs can take the lock in between. summary, description,
    example: its help; without them it is a way to ingest and has no name of its own.
    """

    name: str
    module: str
    options: tuple[Option, ...]
    takes_lock: bool = False
    verb: str = "counted"
    stopped: str = ""
    stop_code: int = FAILED
    reports_all_errors: bool = False
    reads_metrics: bool = False
    stays_up: bool = False
    summary: str = ""
    description: str = ""
    example: str = ""

    def describe_stop(self) -> str:
        """Return what is true after a signal stopped it, in words."""
        return self.stopped or ("the next run continues from here" if self.takes_lock else UNCHANGED)

    def load(self) -> Callable[[Any], int]:
        """Import and return the function that runs it: from a context to the exit code."""
        run: Callable[[Any], int] = import_module(f"processor.commands.{self.module}").run
        return run


INGESTING = (RELOCATED, WORKERS, ENGINE, METRICS, JSON, SINCE, UNTIL, DRY_RUN, REBUILD, RECOUNT, PRUNE, PRUNE_ALL)
FORGETTING = (RELOCATED, JSON, KEY, FORGOTTEN_USER, FORGOTTEN_USERS, DRY_RUN)
COMMANDS = {
    command.name: command
    for command in (
        Command("count", "ingest", INGESTING, takes_lock=True),
        Command(
            "rebuild",
            "ingest",
            INGESTING,
            takes_lock=True,
            stopped="the tables have not changed; pass --rebuild again",
        ),
        Command(
            "recount",
            "ingest",
            INGESTING,
            takes_lock=True,
            stopped="the rest of the range was not recounted; pass --recount again",
        ),
        Command(
            "dry-run",
            "dry_run",
            tuple(option for option in INGESTING if option is not METRICS),
        ),
        Command(
            "watch",
            "watch",
            (RELOCATED, WORKERS, METRICS, SINCE, UNTIL, QUEUE, INTERVAL),
            takes_lock=True,
            stop_code=DONE,
            stays_up=True,
            summary="stay up and ingest files as they arrive",
            description="Ingest new and changed files, stay up, and ingest files as they arrive: those that a queue or "
            "the folder\nreports at once, and those that a listing finds at intervals. SIGTERM and ^C end it.\n"
            "Other runs can take the lock in between.",
            example="watch --interval 300",
        ),
        Command(
            "status",
            "status",
            (JSON,),
            summary="show which files are counted, new, changed, missing and failed",
            description="Show on one screen which files are counted, new, changed, missing and failed, the last run "
            "and the sizes.\n"
            "Only reads: it takes no lock, and answers while a run is at work.",
            example="status --json",
        ),
        Command(
            "explain",
            "explain",
            (JSON, ARTICLE, DAY, USER),
            summary="show which files made a number",
            description="Show which files made the numbers of an article, or of a user and its sessions, and how "
            "much each contributed.\n"
            "Only reads. An id that begins with - must follow --.",
            example="explain --user 0a1b2c3d 2019-02-15",
        ),
        Command(
            "rejected",
            "rejected",
            (ANY_KEY, TSV),
            summary="show the rejected lines",
            description="Show the rejected lines of one file or of all files, each with the reason. Only reads.",
            example="rejected 2019-02-15.tsv --tsv",
        ),
        Command(
            "check",
            "check",
            (JSON,),
            summary="check that the counted events are as usual",
            description="Check that the counted events are as usual: days, categories, event names, rejected lines, "
            "sessions and users.\n"
            "Each check is a line that says what is wrong and where to look. Only reads: it takes no lock, and answers "
            "while a run\nis at work. It ends with 1 if a check is bad.",
            example="check --json",
        ),
        Command(
            "doctor",
            "doctor",
            (JSON,),
            reads_metrics=True,
            reports_all_errors=True,
            summary="check everything that a run needs",
            description="Check settings, lake, database, roles, schema, lock and disk; each check is a line that says "
            "what to do.\n"
            "Changes nothing: it tries the first writes of a run and undoes them, takes no lock, and answers while a "
            "run\nis at work.",
            example="doctor",
        ),
        Command(
            "verify",
            "verify",
            (RELOCATED, WORKERS, ENGINE, JSON, SINCE, UNTIL),
            takes_lock=True,
            verb="read",
            stopped=UNCHANGED,
            summary="read the whole lake again and name every row that differs",
            description="Read the whole lake again and name every row of the tables that differs from it. "
            "Changes nothing.",
            example="verify",
        ),
        Command(
            "forget",
            "forget",
            FORGETTING,
            takes_lock=True,
            stopped="run it again",
            summary="retract one file, or forget users for good",
            description="Retract what one file contributed. While it is in the lake, the next run ingests it again.\n"
            "Or forget users for good: the tables become what they would be if no line had ever carried their ids,\n"
            "and stay so.",
            example="forget 2019-02-15.tsv",
        ),
        Command("forget-dry-run", "forget_dry_run", FORGETTING),
    )
}
