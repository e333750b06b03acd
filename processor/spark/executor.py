"""What Spark's executors run: they fold byte ranges, split the partials by id, and stage the merged partials."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from processor.lake.base import FileError, Lake, LakeError, LakeSettings
from processor.lake.location import open_lake
from processor.reducers.partial import Partial
from processor.reducing.byte_ranges import ByteRange
from processor.reducing.copy_rows import copy_rows
from processor.reducing.in_process import fold_byte_range
from processor.reducing.reducer import ReducedPartial
from state.staging import Staging

# Some ids of a file, chosen by their hash: the file's position in its job, and the number of the bucket.
Bucket = tuple[int, int]


class RangeError(NamedTuple):
    """Why a byte range that begins at `start` could not be reduced."""

    start: int
    message: str
    is_lake_error: bool  # a LakeError, not a FileError


@dataclass(slots=True)
class BucketPartial:
    """A partial of a bucket on its way through Spark's shuffle."""

    partial: Partial
    size: int = 0  # bytes that were read for it
    errors: list[RangeError] = field(default_factory=list)

    def merge(self, other: "BucketPartial") -> "BucketPartial":
        """Merge another partial of the same bucket into this one and return it."""
        self.partial.merge(other.partial)
        self.size += other.size
        self.errors += other.errors
        return self


class BucketResult(NamedTuple):
    """A bucket with its merged partial, whose rows are staged, and the errors of its file."""

    bucket: Bucket
    reduced: ReducedPartial
    errors: list[RangeError]


class FoldTask(NamedTuple):
    """The first half of a Spark job, sent to the executors: it folds byte ranges.

    lake_settings: how the lake is read. environment: the AWS_* variables, with credentials, which botocore reads.
    buckets: for each file of the job, the number of its buckets.
    """

    lake_url: str
    lake_settings: LakeSettings
    chunk_bytes: int
    environment: dict[bytes, bytes]
    buckets: Sequence[int]

    def __repr__(self) -> str:
        """Return nothing that a log must not show."""
        return "FoldTask()"

    def run(self, task: Iterable[tuple[int, ByteRange]]) -> Iterator[tuple[Bucket, BucketPartial]]:
        """Yield the partials of a task's byte ranges, by bucket; each range comes with its file's position."""
        os.environb.update(self.environment)
        lake = _open_cached(self.lake_url, self.lake_settings)
        for position, byte_range in task:
            yield from self._fold(lake, position, byte_range)

    def _fold(self, lake: Lake, position: int, byte_range: ByteRange) -> Iterator[tuple[Bucket, BucketPartial]]:
        sizes: list[int] = []
        errors = []
        try:
            for partial in fold_byte_range(lake, byte_range, self.chunk_bytes, sizes.append):
                for number, part in partial.split(self.buckets[position]).items():
                    yield (position, number), BucketPartial(part)
        except (FileError, LakeError) as error:
            errors.append(RangeError(byte_range.start, str(error), isinstance(error, LakeError)))
        yield (position, 0), BucketPartial(Partial(), sum(sizes), errors)


def make_stage_task(staging: Staging) -> Callable[[Iterable[tuple[Bucket, BucketPartial]]], Iterator[BucketResult]]:
    """Return the second half of a Spark job: a function that stages the merged partials of buckets."""

    def stage(merged: Iterable[tuple[Bucket, BucketPartial]]) -> Iterator[BucketResult]:
        with staging.open() as connection:
            for bucket, found in merged:
                rows = connection.stage(copy_rows(found.partial))
                yield BucketResult(bucket, ReducedPartial.of(found.partial, rows, found.size), found.errors)

    return stage


@lru_cache(1)
def _open_cached(url: str, settings: LakeSettings) -> Lake:
    """Return the lake of a URL; later tasks of the same process use its connections again."""
    return open_lake(url, settings)
