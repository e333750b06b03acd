"""Small files of events, and lakes of them."""

import gzip

COLUMNS = b"TIMESTAMP\tMD5(SESSION_ID)\tEVENT_NAME\tMD5(USER_ID)\tATTRIBUTES"
HEADER = COLUMNS + b"\n"
CLICK = b'2019-02-15 10:00:00.000 +0000\ts1\tarticle_viewed\tu1\t{"id": "a1", "title": "T", "category": "C"}\n'


def events(first_minute: int, lines: int, title: str) -> bytes:
    """Return a file of `lines` events of three users, whose sessions continue in other such files."""
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
