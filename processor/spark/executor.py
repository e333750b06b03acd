"""What Spark's executors do: reduce units of work, share what they say out by their ids, and stage what was merged."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from processor.lake.base import FileError, Lake, LakeError
from processor.lake.location import open_lake
from processor.reducers.partial import Partial
from processor.reducing.byte_ranges import Reduced, Stretch, partials, ready
from processor.reducing.copy_rows import copy_rows
from state.staging import Staging

# A part of a file: its place among the files of the job, and which share of its ids.
Part = tuple[int, int]


class Trouble(NamedTuple):
    """Why the lines from a place in a file could not be reduced; whether the whole lake is out of reach."""

    start: int
    message: str
    is_lakes: bool


@dataclass(slots=True)
class Share:
    """A partial on its way through the shuffle, with the bytes that were read for it and what went wrong."""

    partial: Partial
    size: int = 0
    troubles: list[Trouble] = field(default_factory=list)

    def merge(self, other: "Share") -> "Share":
        """This one, with what another share of the same part says."""
        self.partial.merge(other.partial)
        self.size += other.size
        self.troubles += other.troubles
        return self


class Outcome(NamedTuple):
    """What became of a part: where it was staged and what is checked of it, or what went wrong."""

    part: Part
    reduced: Reduced
    troubles: list[Trouble]


class Job(NamedTuple):
    """How to reduce the files of a job: `shares` tells into how many parts each of them is cut by its ids.

    `environment` holds the lake's settings, credentials too.
    """

    lake_url: str
    chunk: int
    environment: dict[bytes, bytes]
    shares: Sequence[int]

    def __repr__(self) -> str:
        """Nothing that a log may not show."""
        return "Job()"

    def shared(self, unit: Iterable[tuple[int, Stretch]]) -> Iterator[tuple[Part, Share]]:
        """What the stretches of a unit say, each with its file's place, by part."""
        os.environb.update(self.environment)
        lake = _lake(self.lake_url)
        for place, stretch in unit:
            yield from self._shared(lake, place, stretch)

    def _shared(self, lake: Lake, place: int, stretch: Stretch) -> Iterator[tuple[Part, Share]]:
        sizes: list[int] = []
        troubles = []
        try:
            for partial in partials(lake, stretch, self.chunk, sizes.append):
                for share, said in partial.split(self.shares[place]).items():
                    yield (place, share), Share(said)
        except (FileError, LakeError) as error:
            troubles.append(Trouble(stretch.start, str(error), isinstance(error, LakeError)))
        yield (place, 0), Share(Partial(), sum(sizes), troubles)


def staging(staging: Staging) -> Callable[[Iterable[tuple[Part, Share]]], Iterator[Outcome]]:
    """A function that stages parts once they are merged, and tells where."""

    def stage(parts: Iterable[tuple[Part, Share]]) -> Iterator[Outcome]:
        with staging.opened() as opened:
            for part, share in parts:
                staged = opened.put(copy_rows(share.partial))
                yield Outcome(part, ready(share.partial, staged, share.size), share.troubles)

    return stage


@lru_cache(1)
def _lake(url: str) -> Lake:
    """The lake of a URL, whose connections later tasks of the same process take up."""
    return open_lake(url)
