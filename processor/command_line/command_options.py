"""The options of the commands, as the command line takes them."""

import argparse
from dataclasses import dataclass
from typing import Any

from processor.setting_values import has_day_form, parse_day, parse_integer


class Option:
    """An option or an argument: its names, and what argparse needs to know about it."""

    def __init__(self, *names: str, **about: Any) -> None:
        """Take the parameters of `ArgumentParser.add_argument`."""
        self.names, self._about = names, about

    @property
    def dest(self) -> str:
        """The field of `Options` that it fills."""
        return self.names[0].lstrip("-").replace("-", "_")

    def add_to(self, parser: argparse.ArgumentParser) -> None:
        """Let the parser take this option."""
        parser.add_argument(*self.names, **self._about)

    def value(self, options: "Options") -> object:
        """Return the value of this option."""
        return getattr(options, self.dest)

    def __str__(self) -> str:
        """Return its name, as the command line takes it."""
        return self.names[0]


@dataclass
class Options:
    """The options of one command line; an option that was left out has its default."""

    command: str | None = None
    lake: str | None = None
    database: str | None = None
    relocated: bool = False
    workers: int = 0
    engine: str = ""
    metrics: str | None = None
    json: bool = False
    since: str | None = None
    until: str | None = None
    dry_run: bool = False
    rebuild: bool = False
    recount: bool = False
    prune: bool = False
    prune_all: bool = False
    queue: str | None = None
    interval: int | None = None
    article: str | None = None
    day: str | None = None
    user: str | None = None
    users: str | None = None
    key: str | None = None
    tsv: bool = False


def parse_positive(text: str) -> int:
    """Return the whole number above 0 in a text; raises argparse.ArgumentTypeError."""
    number = parse_integer(text)
    if not number:
        raise argparse.ArgumentTypeError("must be a whole number above 0")
    return number


def parse_date_or_key(text: str) -> str:
    """Return the same text; raises argparse.ArgumentTypeError for a date that does not exist."""
    if has_day_form(text) and parse_day(text) is None:
        raise argparse.ArgumentTypeError(f"{text!r} is a date that does not exist")
    return text


LAKE = Option("--lake", metavar="URL", help="s3://bucket/prefix/ or a folder (LAKE_URL)")
DATABASE = Option(
    "--database",
    metavar="URL",
    help="libpq URI (DATABASE_URL); by default PG*, or else an embedded server. Everyone on this machine "
    "can see a password given here: put it into DATABASE_URL, PGPASSFILE or PGSERVICE",
)
RELOCATED = Option("--relocated", action="store_true", help="confirm that the lake has moved to this LAKE_URL")
WORKERS = Option(
    "--workers",
    metavar="N",
    type=parse_positive,
    help="how many worker processes reduce; by default one for each core",
)
ENGINE = Option(
    "--engine", metavar="MASTER", help="reduce on Apache Spark: local[4], spark://host:7077, yarn, k8s://... (ENGINE)"
)
METRICS = Option(
    "--metrics",
    metavar="TARGET",
    help="export metrics for Prometheus: a run to a file that ends in .prom or the http:// URL of a Pushgateway, "
    "watch on a port such as 9109 (METRICS)",
)
JSON = Option("--json", action="store_true", help="print the result as one line of JSON")
SINCE, UNTIL = (
    Option(
        f"--{end}",
        metavar="DATE|KEY",
        type=parse_date_or_key,
        help=f"the {which} file to consider: a key, or a date such as 2019-02-15, which is compared with the date "
        "in each key",
    )
    for end, which in (("since", "first"), ("until", "last"))
)
DRY_RUN = Option("--dry-run", action="store_true", help="show what a run would do, and change nothing")
REBUILD = Option(
    "--rebuild", action="store_true", help="ingest the whole lake again; the old tables stay until it is done"
)
RECOUNT = Option(
    "--recount",
    action="store_true",
    help="ingest the files from --since to --until again, even if they have not changed",
)
PRUNE = Option("--prune", action="store_true", help="also retract files that are missing from the lake")
PRUNE_ALL = Option(
    "--prune-all",
    action="store_true",
    help="like --prune, but even if the listing is empty or more than half of the files are missing",
)
QUEUE = Option(
    "--queue", metavar="URL", help="SQS queue that gets the event notifications of the lake's bucket (QUEUE_URL)"
)
INTERVAL = Option(
    "--interval",
    metavar="SECONDS",
    type=parse_positive,
    help="seconds from one listing of the whole lake to the next (WATCH_INTERVAL; 60)",
)
ARTICLE = Option("article", metavar="ARTICLE", nargs="?", help="the article's id")
DAY = Option("day", metavar="DAY", nargs="?", help="one day only, as YYYY-MM-DD")
USER = Option("--user", metavar="USER", help="the user's id, instead of an article's")
KEY = Option("key", metavar="KEY", nargs="?", help="the file's path below the lake's URL")
FORGOTTEN_USER = Option(
    "--user",
    metavar="ID",
    help="forget a user instead, for good. Everyone on this machine can see an id given here: --users hides it",
)
FORGOTTEN_USERS = Option(
    "--users",
    metavar="FILE",
    help="forget each user whose id is in FILE, one per line; - reads standard input",
)
ANY_KEY = Option("key", metavar="KEY", nargs="?", help="show those of one file only: its path below the lake's URL")
TSV = Option(
    "--tsv", action="store_true", help="print TSV; printf %%b turns its last column into the bytes of the line"
)
