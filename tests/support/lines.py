"""Files of events, made of few lines."""

import gzip
from collections.abc import Iterator

from processor.plan import Plan
from tests.support import strategies
from tests.support.program import HEADER

PLAN = Plan(chunk=500)


def events(first_minute: int, lines: int, title: str) -> bytes:
    """Lines of three users whose sessions go on in other files."""
    names = ("top_news_card_viewed", "article_viewed", "app_opened")
    return HEADER + b"".join(
        f"2019-02-15 {23 - i % 2}:{first_minute + i % 20:02}:00.5\ts{i % 4}\t{names[i % 3]}\tu{i % 3}"
        f'\t{{"id":"a{i % 5}","title":"{title}"}}\n'.encode()
        for i in range(lines)
    )


FIRST = {
    "a.tsv": events(10, 20, "first"),
    "b.tsv.gz": gzip.compress(events(0, 8, "packed")),
    "c.tsv": events(30, 6, "same") + b"bad\n",
}


LATER = FIRST | {
    "a.tsv": events(12, 15, "second") + b"bad\tline\n",
    "d/e.tsv": events(35, 9, "third") + b"\n",
    "broken.tsv": b"no header\n",
}


LAKE = "s3://lake/p/"


FILES = {f"{name}.tsv": events(number, 9, name) for number, name in enumerate("abcde")}


LINE = b"2019-02-15 03:07:03.662 +0000\ts1\tarticle_viewed\tu1\t"


def attributes() -> Iterator[bytes]:
    for text in (*strategies.ARTICLES, *strategies.ODD_ARTICLES):
        yield b'{"id": %s, "title": "t", "category": "c"}' % text.encode()
    for text in (*strategies.TEXTS, *strategies.ODD_TEXTS):
        yield b'{"id": "a1", "title": %s, "category": %s}' % (text.encode(), text.encode())
    yield from (b'{"id": "a1", %s}' % member.encode() for member in strategies.MEMBERS)
    yield from (text.encode() for text in (*strategies.NULL_ATTRIBUTES, *strategies.BAD_JSON))
    yield from (b'{"id": "a\xff"}', b'{"id": "a", "title": "\xed\xa0\x80"}', b'{"id": "a", "x": "\xc0\x80"}', b"{}\xff")
    yield from (b'{"id": "a\x01"}', b'{"id": "a\\u0000"}', b'{"x": "\\u0000"}', b'{"x": "\\\\u0000", "id": "a"}')
