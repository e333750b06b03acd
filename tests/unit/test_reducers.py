"""The laws of partials: any order and any split of the lines give the same result."""

import copy
from collections import Counter
from datetime import date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from processor.reducers.definition import Definition
from processor.reducers.events import Event, HeaderError
from processor.reducers.fold import read_header, reduce_text
from processor.reducers.partial import Counts, Partial, Span, Text, hash_content
from tests.support import strategies
from tests.support.partials import merged, numbered, rejected, without_chunk_starts

TIMES = st.integers(-3, 3) | st.integers(86_400_000_000 - 2, 86_400_000_000 + 2)
EVENTS = st.builds(
    Event,
    TIMES,
    st.sampled_from([None, "u1", "u2"]),
    st.sampled_from([None, "s1", "s2"]),
    st.sampled_from(["article_viewed", "top_news_card_viewed", "my_news_card_viewed", "other"]),
    st.sampled_from([None, "a1", "a2"]),
    st.sampled_from([None, "t1", "t2"]),
    st.sampled_from([None, "c1", "c2"]),
)


def of(events: list[Event]) -> Partial:
    partial = Partial()
    for event in events:
        partial.add(event, Definition())
    return partial


PARTIALS = st.lists(EVENTS, max_size=8).map(of)


@given(PARTIALS)
def test_the_empty_partial_is_the_identity(partial: Partial) -> None:
    assert merged(partial, Partial()) == partial == merged(Partial(), partial)


@given(PARTIALS, PARTIALS)
def test_merge_is_commutative(a: Partial, b: Partial) -> None:
    assert merged(a, b) == merged(b, a)


@given(PARTIALS, PARTIALS, PARTIALS)
def test_merge_is_associative(a: Partial, b: Partial, c: Partial) -> None:
    assert merged(merged(a, b), c) == merged(a, merged(b, c))


@given(PARTIALS, PARTIALS)
def test_merge_leaves_the_other_as_it_is(a: Partial, b: Partial) -> None:
    before = copy.deepcopy(b)
    merged(a, b).merge(a)
    assert b == before


@given(st.lists(EVENTS, max_size=20), st.randoms(use_true_random=False), st.integers(0, 20))
def test_any_order_and_any_split_give_the_same(events: list[Event], random: object, cut: int) -> None:
    shuffled = list(events)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert of(events) == merged(of(shuffled[:cut]), of(shuffled[cut:]))


@given(PARTIALS, st.integers(1, 5))
def test_the_shards_of_a_partial_merge_to_it(partial: Partial, shards: int) -> None:
    before = copy.deepcopy(partial)
    parts = partial.split(shards)
    assert list(parts) == list(range(shards))
    assert merged(*parts.values()) == partial == before


@given(PARTIALS, PARTIALS, st.integers(1, 5))
def test_all_entries_of_an_id_are_in_one_shard(a: Partial, b: Partial, shards: int) -> None:
    parts = {shard: merged(part, b.split(shards)[shard]) for shard, part in a.split(shards).items()}
    for ids in (
        lambda part: {article for article, _ in part.article_days} | part.titles.keys() | part.categories.keys(),
        lambda part: {user for user, _ in part.user_days} | {user for user, _ in part.sessions},
    ):
        assert sum(len(ids(part)) for part in parts.values()) == len(ids(merged(a, b)))


@given(st.lists(EVENTS, max_size=20))
def test_a_partial_is_the_sum_of_its_events(events: list[Event]) -> None:
    partial = of(events)
    counted = [event for event in events if event.name != "other"]
    assert partial.events == len(events)
    assert partial.newest_at == max((event.at for event in events), default=None)
    assert partial.event_days == Counter((event.name, day_of(event)) for event in counted)
    for (article, day), counts in partial.article_days.items():
        its = [event for event in counted if event.article == article and day_of(event) == day]
        clicks = sum(event.name == "article_viewed" for event in its)
        assert counts == Counts(len(its) - clicks, clicks)
    assert partial.article_days.keys() == {(e.article, day_of(e)) for e in counted if e.article}
    assert partial.user_days.keys() == {(e.user, day_of(e)) for e in counted if e.user}
    assert sum(sum(counts) for counts in partial.user_days.values()) == sum(e.user is not None for e in counted)
    for (user, session), span in partial.sessions.items():
        times = [event.at for event in events if (event.user, event.session) == (user, session)]
        assert span == Span(min(times), max(times), len(times))
    assert sum(span.events for span in partial.sessions.values()) == sum(bool(e.user and e.session) for e in events)
    for article in {event.article for event in counted if event.article}:
        titles = [Text(e.at, e.title) for e in counted if e.article == article and e.title]
        assert partial.titles.get(article) == max(titles, default=None)


def day_of(event: Event) -> int:
    return ((datetime(1970, 1, 1) + timedelta(microseconds=event.at)).date() - date(1970, 1, 1)).days


def ranges(data: bytes, chunk: int) -> list[Partial]:
    """Return the partials of every byte range of a file, each read separately, as a worker does."""
    header = read_header([data], Definition())
    partials: list[Partial] = []
    for start in range(0, max(len(data), 1), chunk):
        text = data[start - 1 :] if start else data
        partials += reduce_text(iter([text]), Definition(), start, start + chunk, header if start else None, chunk)
    return partials


@given(strategies.files(), st.integers(1, 30), st.integers(1, 300), st.randoms(use_true_random=False))
def test_ranges_blocks_and_chunks_change_nothing(data: bytes, chunks: int, blocks_wanted: int, random: object) -> None:
    chunk, block = len(data) // chunks + 1, len(data) // blocks_wanted + 1
    blocks = [data[at : at + block] for at in range(0, len(data), block)]
    try:
        whole = merged(*reduce_text(blocks, Definition()))
    except HeaderError:
        return
    chunked = merged(*reduce_text(blocks, Definition(), chunk_bytes=chunk))
    ranged = ranges(data, chunk)
    random.shuffle(ranged)  # type: ignore[attr-defined]
    apart = merged(*ranged)
    assert without_chunk_starts(apart) == without_chunk_starts(chunked) == without_chunk_starts(whole)
    assert hash_content(apart.chunks) == hash_content(chunked.chunks)
    assert numbered(apart) == numbered(whole) == [(bad.line_number, bad.reason) for bad in rejected(data)]
