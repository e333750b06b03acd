"""Click-through rates with their uncertainty."""

import math
from statistics import NormalDist
from typing import NamedTuple

from processor.formats import pluralize

CONFIDENCE = 0.95


class ClickThrough(NamedTuple):
    """Displays and clicks, of which a report shows the rate."""

    displays: int = 0
    clicks: int = 0

    @property
    def rate(self) -> float:
        """Clicks per display, above 1 if clicks outnumber displays; NaN without displays."""
        return self.clicks / self.displays if self.displays else math.nan

    def __str__(self) -> str:
        return f"{pluralize(self.clicks, 'click')} / {pluralize(self.displays, 'display')}"


def wilson_interval(counts: ClickThrough, comparisons: int = 1) -> tuple[float, float] | None:
    """Return the 95 % interval of a rate as two fractions; None without displays or if clicks outnumber them.

    The score interval of E. B. Wilson, "Probable inference, the law of succession, and statistical
    inference", Journal of the American Statistical Association 22 (1927), 209-212; it holds for small counts.

    comparisons: how many intervals must hold together; each is then wider (C. E. Bonferroni's inequality).
    """
    clicks, displays = counts.clicks, counts.displays
    if not 0 <= clicks <= displays or displays == 0:
        return None
    z = NormalDist().inv_cdf(1 - (1 - CONFIDENCE) / 2 / comparisons)
    rate, spread = counts.rate, z * z / displays
    middle = (rate + spread / 2) / (1 + spread)
    half = math.sqrt(rate * (1 - rate) * spread + spread * spread / 4) / (1 + spread)
    low, high = max(0.0, middle - half), min(1.0, middle + half)
    return low if clicks else 0.0, high if clicks < displays else 1.0


def difference_interval(before: ClickThrough, after: ClickThrough, comparisons: int = 1) -> tuple[float, float] | None:
    """Return the 95 % interval of the difference of two rates, after minus before; None if one has no interval.

    Method 10 of R. G. Newcombe, "Interval estimation for the difference between independent proportions", Statistics
    in Medicine 17 (1998), 873-890, which joins the Wilson intervals of both rates.

    before, after: what the rates are of. comparisons: how many differences must hold together.
    """
    one, other = wilson_interval(after, comparisons), wilson_interval(before, comparisons)
    if one is None or other is None:
        return None
    difference = after.rate - before.rate
    return (
        difference - math.hypot(after.rate - one[0], other[1] - before.rate),
        difference + math.hypot(one[1] - after.rate, before.rate - other[0]),
    )
