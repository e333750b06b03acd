"""Rows of the click-through rate per category and day."""

import datetime

from processor.report.summary import CategoryDay

FIRST_DAY = datetime.date(2019, 2, 15)


def day(category: str | None = "news", after: int = 0, displays: int = 1000, clicks: int = 40) -> CategoryDay:
    """A row `after` days after the first day of the assignment."""
    return CategoryDay(category, FIRST_DAY + datetime.timedelta(days=after), displays, clicks)
