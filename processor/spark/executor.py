"""What Spark's executors run: they fold byte ranges, split the partials by id, and stage the merged partials."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from processor.lake.base import FileError, Files, LakeError, LakeSettings
from processor.lake.open_lake import open_lake
from processor.reducers.partial import Partial
from processor.reducing.byte_ranges import ByteRange
from processor.reducing.copy_rows import make_copy_rows
from processor.reducing.in_process import fold_byte_range
from processor.reducing.reducer import ReducedPartial
from state.staging import Staging

# Some ids of a file, chosen by their hash: the file's position in its job, and the number of the shard.
Shard = tuple[int, int]


class FailedRange(NamedTuple):
    """Why a byte range that begins at `start` could not be reduced."""

    start: int
    message: str
    is_lake_error: bool  # a LakeError, not a FileError


@dataclass(slots=True)
class ShardPartial:
    """A partial of a shard on its way through Spark's shuffle."""

    partial: Partial
    size: int = 0  # bytes that were read for it
    errors: list[FailedRange] = field(default_factory=list)

    def merge(self, other: "ShardPartial") -> "ShardPartial":
        """Merge another partial of the same shard into this one and return it."""
        self.partial.merge(other.partial)
        self.size += other.size
        self.errors += other.errors
        return self


class ShardResult(NamedTuple):
    """A shard with its merged partial, whose rows are staged, and the errors of its file."""

    shard: Shard
    reduced: ReducedPartial
    errors: list[FailedRange]


class FoldTask(NamedTuple):
    """The first half of a Spark job, sent to the executors: it folds byte ranges.

    lake_settings: how the lake is read. environment: the AWS_* variables, with credentials, which botocore reads.
    shards: for each file of the job, the number of its shards.
    """

    lake_url: str
    lake_settings: LakeSettings
    chunk_bytes: int
    environment: dict[bytes, bytes]
    shards: Sequence[int]

    def __repr__(self) -> str:
        """Return nothing that a log must not show."""
        return "FoldTask()"

    def run(self, task: Iterable[tuple[int, ByteRange]]) -> Iterator[tuple[Shard, ShardPartial]]:
        """Yield the partials of a task's byte ranges, by shard; each range comes with its file's position."""
        os.environb.update(self.environment)
        lake = _open_cached(self.lake_url, self.lake_settings)
        for position, byte_range in task:
            yield from self._fold(lake, position, byte_range)

    def _fold(self, lake: Files, position: int, byte_range: ByteRange) -> Iterator[tuple[Shard, ShardPartial]]:
        sizes: list[int] = []
        errors = []
        try:
            for partial in fold_byte_range(lake, byte_range, self.chunk_bytes, sizes.append):
                for number, part in partial.split(self.shards[position]).items():
                    yield (position, number), ShardPartial(part)
        except (FileError, LakeError) as error:
            errors.append(FailedRange(byte_range.start, str(error), isinstance(error, LakeError)))
        yield (position, 0), ShardPartial(Partial(), sum(sizes), errors)


def make_stage_task(
    staging: Staging, timezone: str
) -> Callable[[Iterable[tuple[Shard, ShardPartial]]], Iterator[ShardResult]]:
    """Return the second half of a Spark job: a function that stages the merged partials of shards.

    staging: where to. timezone: the zone by whose days they were folded.
    """

    def stage(merged: Iterable[tuple[Shard, ShardPartial]]) -> Iterator[ShardResult]:
        with staging.open() as connection:
            for shard, shard_partial in merged:
                rows = connection.stage(make_copy_rows(shard_partial.partial, timezone))
                yield ShardResult(
                    shard, ReducedPartial.of(shard_partial.partial, rows, shard_partial.size), shard_partial.errors
                )

    return stage


@lru_cache(1)
def _open_cached(url: str, settings: LakeSettings) -> Files:
    """Return the lake of a URL; later tasks of the same process use its connections again."""
    return open_lake(url, settings)
