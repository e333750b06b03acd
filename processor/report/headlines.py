"""What the numbers say, in words: who leads, what changed, and whether that is more than chance."""

import math
from collections.abc import Sequence

from processor.formats import pluralize
from processor.report.formats import (
    format_days,
    format_interval,
    format_name,
    format_period,
    format_points,
    format_rate,
    name_panels,
)
from processor.report.page_data import ChangedArticle, RestatedDay
from processor.report.rates import ClickThrough, difference_interval, wilson_interval
from processor.report.summary import FIRM_DISPLAYS, Step, Summary


def write_headlines(summary: Summary, changed_article: ChangedArticle | None = None) -> list[str]:
    """Return sentences about the categories, the last day, and the article that changed most, as far as known."""
    headlines = [_compare_categories(summary), _compare_days(summary), _name_article(summary, changed_article)]
    return [headline for headline in headlines if headline]


def describe_restatements(restated: Sequence[RestatedDay]) -> list[str]:
    """Return a sentence about the published days that the last run changed; none if it changed none."""
    if not restated:
        return []
    its = restated[0]
    more = ((its.more_clicks, "click"), (its.more_displays, "display"), (its.more_sessions, "session"))
    changes = [f"{pluralize(abs(count), noun)} {'more' if count > 0 else 'fewer'}" for count, noun in more if count]
    sentence = (
        f"The last run changed {pluralize(its.days, 'day')} that had been published before, "
        f"{format_days((its.first_date, its.last_date))}{': ' if changes else ''}{', '.join(changes)}."
    )
    return [sentence]


def _compare_categories(summary: Summary) -> str:
    """Name the categories with the highest and the lowest rate among those with enough displays."""
    ranked = sorted(
        (
            (panel.total.rate, name, panel.total)
            for panel, name in zip(summary.panels, name_panels(summary.panels), strict=True)
            if panel.categories == 1 and panel.total.displays >= FIRM_DISPLAYS and wilson_interval(panel.total)
        ),
        reverse=True,
    )
    if len(ranked) < 2:
        return ""
    (_, leader, most), (_, last, least) = ranked[0], ranked[-1]
    pairs = len(ranked) * (len(ranked) - 1) // 2  # any two of them could have come first and last
    return (
        f"{leader} leads: {_quote(most)} of its displays were clicked. {last} trails with {_quote(least)}. "
        f"{_judge(least, most, pairs)}"
    )


def _compare_days(summary: Summary) -> str:
    """Compare the rate of the last day with that of the day before."""
    if len(summary.last_days) < 2:
        return ""
    (day, after), (day_before, before) = summary.last_days
    difference = after.rate - before.rate
    change = f"{format_points(difference)} {'above' if difference > 0 else 'below'}" if difference else "the same as"
    return (
        f"On {format_period(day, 'day')}, {_quote(after)} of all displays were clicked, {change} "
        f"{format_period(day_before, 'day')}. {_judge(before, after)}"
    ).rstrip()


def _name_article(summary: Summary, article: ChangedArticle | None) -> str:
    """Name the article whose clicks changed most."""
    if article is None:
        return ""
    change = article.clicks_after - article.clicks_before
    title = format_name(article.article_id if article.title is None else article.title)
    title = title if title.startswith("“") else f"“{title}”"
    return (
        f"{title} changed most: {pluralize(article.clicks_after, 'click')} on "
        f"{format_period(summary.last_days[0][0], 'day')}, {abs(change):,} {'more' if change > 0 else 'fewer'} than on "
        f"{format_period(summary.last_days[1][0], 'day')}."
    )


def _quote(counts: ClickThrough) -> str:
    interval = f" (95 %: {format_interval(counts)})" if wilson_interval(counts) else ""
    return f"{format_rate(counts.rate)}{interval}"


def _judge(before: ClickThrough, after: ClickThrough, comparisons: int = 1) -> str:
    """Say whether two rates differ by more than chance."""
    interval = difference_interval(before, after, comparisons)
    if interval is None:
        return ""
    low, high = interval
    if low <= 0 <= high:
        return "Chance alone could explain the difference."
    return "Chance alone hardly explains the difference."


def describe_change(values: Sequence[float], step: Step, are_rates: bool = False) -> str:
    """Return how much the last of some values differs from the one before it, such as "+12 % on the day before".

    values: by whole period, NaN where there is none. step: the length of the periods. are_rates: whether to return the
    difference in percentage points. The text is empty if there is nothing to compare.
    """
    known = [value for value in values if not math.isnan(value)]
    if len(known) < 2 or not (are_rates or known[-2]):
        return ""
    change = known[-1] - known[-2] if are_rates else known[-1] / known[-2] - 1
    size = format_points(change) if are_rates else f"{100 * abs(change):,.{0 if abs(change) >= 0.0995 else 1}f} %"
    sign = "+" if change > 0 else "\N{MINUS SIGN}" if change < 0 else "±"
    return f"{sign}{size} {'on the day before' if step == 'day' else f'in the last whole {step}'}"
