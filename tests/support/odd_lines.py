"""Lines of events whose attributes are odd."""

from collections.abc import Iterator

from tests.support import strategies

LINE = b"2019-02-15 03:07:03.662 +0000\ts1\tarticle_viewed\tu1\t"


def attributes() -> Iterator[bytes]:
    """Attributes of every kind that the strategies draw, and bytes that are not UTF-8."""
    for text in (*strategies.ARTICLES, *strategies.ODD_ARTICLES):
        yield b'{"id": %s, "title": "t", "category": "c"}' % text.encode()
    for text in (*strategies.TEXTS, *strategies.ODD_TEXTS):
        yield b'{"id": "a1", "title": %s, "category": %s}' % (text.encode(), text.encode())
    yield from (b'{"id": "a1", %s}' % member.encode() for member in strategies.MEMBERS)
    yield from (text.encode() for text in (*strategies.NULL_ATTRIBUTES, *strategies.BAD_JSON))
    yield from (b'{"id": "a\xff"}', b'{"id": "a", "title": "\xed\xa0\x80"}', b'{"id": "a", "x": "\xc0\x80"}', b"{}\xff")
    yield from (b'{"id": "a\x01"}', b'{"id": "a\\u0000"}', b'{"x": "\\u0000"}', b'{"x": "\\\\u0000", "id": "a"}')
