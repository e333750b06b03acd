"""Rates to draw."""

import datetime

from processor.report.summary import CategoryDay

FIRST = datetime.date(2019, 2, 15)


def day(category: str | None = "news", after: int = 0, displays: int = 1000, clicks: int = 40) -> CategoryDay:
    """A row `after` days after the first day of the assignment."""
    return CategoryDay(category, FIRST + datetime.timedelta(days=after), displays, clicks)


HOSTILE = [
    "$x^2$ and $\\frac{",
    "$",
    "a_b^c",
    "_hidden",
    "<b>bold</b>&amp;",
    "%s {0} {days} %d",
    "#%&~\\{}",
    "\\alpha",
    "line\nbreak\r\n",
    "\x00\x07\x1b[31m\x7f",
    "\t",
    " ",
    "",
    "\u2028\u2029",
    "\u202eevil\u202c",
    "\ufeff",
    "long " * 60,
    "W" * 100_000,
    "العربية אבגד",
    "日本語カテゴリ",
    "😀🎉👨\u200d👩",
    "Z" + "\u0301" * 80,
    "\ufdfd" * 40,
    "\ud800",
    "\ue000\ufffe\U0010ffff",
    "हिन्दी",
    None,
    "(no category)",
]
