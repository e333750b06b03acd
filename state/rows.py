"""A partial as rows for COPY into the tables new_*."""

from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from processor.reducers import Partial, Text

DAY = 86_400_000_000
EPOCH = date(1970, 1, 1).toordinal()
BEGINNING = (1 - EPOCH) * DAY  # the year 1, which no time lies before

_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


def copy_rows(partial: "Partial") -> dict[str, bytes]:
    """A partial as rows of COPY's text format, by the name of the statement that takes them."""
    rows = {
        "copy_article_days": _article_days(partial),
        "copy_user_days": [
            f"{_escaped(user)}\t{_iso(day)}\t{displays}\t{clicks}\n"
            for (user, day), (displays, clicks) in partial.user_days.items()
        ],
        "copy_sessions": [
            f"{_escaped(user)}\t{_escaped(session)}\t{first}\t{last}\t{events}\n"
            for (user, session), (first, last, events) in partial.sessions.items()
        ],
        "copy_chunks": [f"{begin}\t{chunk.lines}\n" for begin, chunk in partial.chunks.items()],
        "copy_rejected_lines": [
            f"{begin}\t{number}\t{rejection.reason}\t\\\\x{rejection.raw.hex()}\n"
            for (begin, number), rejection in partial.rejections.items()
        ],
    }
    return {name: "".join(lines).encode() for name, lines in rows.items() if lines}


def _article_days(partial: "Partial") -> list[str]:
    """The days of articles; a text stands with the day on which it was carried, its time before it."""
    rows = []
    for (article, day), (displays, clicks) in partial.article_days.items():
        title, category = (_stamped(texts.get(article), day) for texts in (partial.titles, partial.categories))
        rows.append(f"{_escaped(article)}\t{_iso(day)}\t{displays}\t{clicks}\t{title}\t{category}\n")
    return rows


def _stamped(text: "Text | None", day: int) -> str:
    if text is None or text.at // DAY != day:
        return r"\N"
    return f"{text.at - BEGINNING:018}{_escaped(text.text)}"


@lru_cache(10_000)
def _iso(day: int) -> str:
    return date.fromordinal(EPOCH + day).isoformat()


def _escaped(text: str) -> str:
    if "\\" in text or "\t" in text or "\n" in text or "\r" in text:
        return text.translate(_ESCAPES)
    return text
