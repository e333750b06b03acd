"""A partial as rows for COPY into the tables new_*."""

from datetime import date
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from processor.reducers import Counts, Partial

EPOCH = date(1970, 1, 1).toordinal()

_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


def copy_rows(partial: "Partial") -> dict[str, bytes]:
    """A partial as rows of COPY's text format, by the name of the statement that takes them."""
    rows = {
        "copy_article_days": _days(partial.article_days),
        "copy_user_days": _days(partial.user_days),
        "copy_sessions": [
            f"{_escaped(user)}\t{_escaped(session)}\t{first}\t{last}\t{events}\n"
            for (user, session), (first, last, events) in partial.sessions.items()
        ],
        "copy_article_texts": _texts(partial),
        "copy_chunks": [f"{begin}\t{chunk.lines}\n" for begin, chunk in partial.chunks.items()],
        "copy_rejected_lines": [
            f"{begin}\t{number}\t{rejection.reason}\t\\\\x{rejection.raw.hex()}\n"
            for (begin, number), rejection in partial.rejections.items()
        ],
    }
    return {name: "".join(lines).encode() for name, lines in rows.items() if lines}


def _days(days: "dict[tuple[str, int], Counts]") -> list[str]:
    dates = {day: date.fromordinal(EPOCH + day).isoformat() for day in {day for _, day in days}}
    return [
        f"{_escaped(name)}\t{dates[day]}\t{displays}\t{clicks}\n" for (name, day), (displays, clicks) in days.items()
    ]


def _texts(partial: "Partial") -> list[str]:
    nothing = (r"\N", None)
    rows = []
    for article in partial.titles.keys() | partial.categories.keys():
        title_at, title = partial.titles.get(article, nothing)
        category_at, category = partial.categories.get(article, nothing)
        rows.append(f"{_escaped(article)}\t{title_at}\t{category_at}\t{_field(title)}\t{_field(category)}\n")
    return rows


def _field(text: str | None) -> str:
    return r"\N" if text is None else _escaped(text)


def _escaped(text: str) -> str:
    if "\\" in text or "\t" in text or "\n" in text or "\r" in text:
        return text.translate(_ESCAPES)
    return text
