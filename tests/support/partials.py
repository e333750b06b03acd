"""Partials, merged and compared."""

from processor.reducers.partial import Partial
from tests.support import oracle


def merged(*partials: Partial) -> Partial:
    whole = Partial()
    for partial in partials:
        whole.merge(partial)
    return whole


def without_chunk_starts(partial: Partial) -> tuple[object, ...]:
    """Return what a partial contributes, without the bytes at which its chunks begin."""
    lines = sum(chunk.lines for chunk in partial.chunks.values())
    return (
        (partial.article_days, partial.user_days, partial.sessions, partial.titles, partial.categories),
        partial.event_days,
        (partial.events, partial.empty, lines, partial.newest_at),
    )


def numbered(partial: Partial) -> list[tuple[int, str]]:
    """Return the rejections by their lines in the file."""
    numbers = []
    for (begin, line), rejection in partial.rejections.items():
        before = sum(chunk.lines for start, chunk in partial.chunks.items() if start < begin)
        numbers.append((before + line + 1, rejection.reason))
    return sorted(numbers)


def rejected(data: bytes) -> list[oracle.Rejected]:
    """Return the oracle's rejections, even of a file that fails because most lines are bad."""
    try:
        return oracle.read_file(data, "a.tsv").rejected
    except oracle.Unreadable:
        columns = oracle.header(data.split(b"\n")[0].removesuffix(b"\r"))
        found = []
        for number, line in enumerate(data.split(b"\n")[1:], 2):
            row = line.removesuffix(b"\r")
            try:
                if row:
                    oracle.parse(row, columns)
            except oracle.LineError as error:
                found.append(oracle.Rejected(number, str(error), row[:1000]))
        return found
