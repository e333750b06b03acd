"""The settings of one command, as everything below the command line gets them."""

import datetime
from dataclasses import dataclass, field

from processor.batches import BatchLimits
from processor.checks import CheckLimits
from processor.command_line.command_registry import Command
from processor.lake.base import LakeSettings
from processor.lake.selection import Selection
from processor.output.lineage_facts import LineageTarget
from processor.output.metrics_export import Target
from processor.output.open_console import LogSettings


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one command.

    command: which one. lake_settings: how the lake's files are read, and what their lines mean.
    database_url: a libpq URI; if empty, libpq's own variables apply. is_embedded: the database is on the program's own
    server, as nothing names another one. wait_seconds: how long to wait for a database that does not answer.
    engine: Spark's master; if empty, `workers` processes reduce. metrics, lineage: where they go; None for nowhere.
    batch_limits: the most that a batch holds. check_limits: the limits beyond which `check` reports something.
    log: what is logged, and how. errors: a line for each wrong setting, for the command that reports them all; the
    first one ends the other commands.
    """

    command: Command
    lake_url: str
    lake_settings: LakeSettings
    database_url: str = field(repr=False)
    is_embedded: bool
    wait_seconds: float
    workers: int
    engine: str
    metrics: Target | None
    lineage: LineageTarget | None
    selection: Selection
    batch_limits: BatchLimits
    check_limits: CheckLimits
    log: LogSettings
    is_relocated: bool = False
    prints_json: bool = False
    # of the command that ingests
    rebuilds: bool = False
    recounts: bool = False
    prunes: bool = False
    prunes_all: bool = False
    # of `watch`
    queue_url: str = ""
    interval_seconds: float = 0
    # of `explain`: an article or a user; no day means all days
    article: str | None = None
    user: str | None = None
    day: datetime.date | None = None
    # of `rejected` and `forget`: the key of a file
    key: str | None = None
    # of `forget`: the ids of users, instead of a key
    user_ids: tuple[str, ...] = field(default=(), repr=False)
    prints_tsv: bool = False
    errors: tuple[str, ...] = ()
