"""The facts that events of OpenLineage are made from, without its client."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from state.connection import Place
from state.row_reads import Row


@dataclass(frozen=True, slots=True)
class LineageTarget:
    """Where events go: the URL of the service, its key if it needs one, and the namespace of the jobs."""

    url: str = field(repr=False)
    key: str = field(repr=False)
    namespace: str


class RunFacts(NamedTuple):
    """What is known of a run when it starts.

    job: the command's name. stays_up: whether it runs until a signal ends it. lake_url: the lake that it reads. place:
    where the tables are that it writes. tables: the columns of each, as `Reads.read_columns` returns them.
    """

    run_id: UUID
    job: str
    stays_up: bool
    lake_url: str
    place: Place
    tables: Mapping[str, Sequence[Row]]


class Inputs(NamedTuple):
    """A lake file, or all that a run ingested: their number, lines and bytes."""

    key: str
    files: int
    lines: int
    size: int


class RunEnd(NamedTuple):
    """How a run ended: the error if it failed, some files that it ingested, and the sums over all of them."""

    error: str | None
    files: Sequence[Inputs]
    all_files: Inputs


class EventFacts(NamedTuple):
    """What an event says: when it happened, which run it is about and, once it has ended, how."""

    at: datetime
    run: RunFacts
    end: RunEnd | None
