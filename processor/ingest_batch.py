"""Ingests one batch of files and reports the result of each."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from processor.batches import BatchFile
from processor.file_reading import RowsWithheldError
from processor.lake.base import FileError, LakeFile
from processor.listener import Listener
from state.errors import DatabaseError, DatabaseUnavailableError
from state.files import Failure, FileVersion, Reading
from state.partial_rows import LostRowsError

Result = FileVersion | Exception | None  # the version that was ingested, why the file failed, or None: the same content
Results = list[tuple[LakeFile, Result]]


class Tables(Protocol):
    """The port of tables that files are ingested into: the permanent ones (`Store`), or comparison tables."""

    def ingest(self, readers: Sequence[Callable[[], Reading]], recounts: bool = False) -> list[FileVersion | None]:
        """Write what a batch of files contributes in place of what it contributed before.

        Returns the version of each file, or None if its content is the same as before, unless it `recounts`: then such
        files are written, too. Each of `readers` begins to read one file, and may be called again. If one of them or
        reading its rows raises, nothing has changed. Raises LostRowsError, DatabaseError, and what `readers` raise.
        """

    def fail(self, failures: Sequence[Failure]) -> None:
        """Record why the present versions of files cannot be ingested; contributions of earlier versions stay."""


def ingest_batch(batch: list[BatchFile], into: Tables, listener: Listener, recounts: bool = False) -> Iterator[Results]:
    """Ingest a batch of files and return the results, one list for each transaction.

    One transaction takes all files of the batch. Only if the database refuses it or rows were lost, each file gets a
    transaction and a list of its own. The caller records failures before it asks for the next list, which shows whether
    the database accepts anything at all.

    batch: files of `make_batches`. into: the tables, or the comparison tables. listener: is informed of transactions.
    recounts: whether files whose content is the same are written, too.
    Raises DatabaseUnavailableError, LakeError and BusyError.
    """
    begun = time.monotonic()
    readable = [item for item in batch if item.error is None]
    results: dict[str, Result] = {item.file.key: item.error for item in batch if item.error is not None}
    try:
        if readable:
            versions = into.ingest([item.read for item in readable], recounts)
            listener.committed(time.monotonic() - begun)
            results |= {item.file.key: version for item, version in zip(readable, versions, strict=True)}
    except DatabaseUnavailableError:
        raise
    except (FileError, DatabaseError, LostRowsError, RowsWithheldError) as error:
        if len(readable) > 1:
            for item in batch:
                yield from ingest_batch([item], into, listener, recounts)
            return
        if isinstance(error, LostRowsError | RowsWithheldError):
            readable[0].read_again(error)
            yield from ingest_batch(batch, into, listener, recounts)
            return
        results[readable[0].file.key] = error
    yield [(item.file, results[item.file.key]) for item in batch]


def record_results(results: Results, tables: Tables, listener: Listener) -> None:
    """Record in the database why files failed, and report every result; raises DatabaseError.

    results: of one transaction. tables: where failures are recorded. listener: is informed of every result.
    """
    failures = [Failure(file.key, str(result)) for file, result in results if isinstance(result, Exception)]
    if failures:
        tables.fail(failures)
    report_results(results, listener)


def report_results(results: Results, listener: Listener) -> None:
    """Report the result of each file."""
    for file, result in results:
        if result is None:
            listener.unchanged(file.key)
        elif isinstance(result, Exception):
            listener.failed(file.key, str(result))
        else:
            listener.ingested(result)
