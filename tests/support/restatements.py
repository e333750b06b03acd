"""The view `restatements`, compared with two oracles: of the files that counted before a run, and after it."""

from collections.abc import Collection, Mapping
from datetime import date

from tests.support.database_queries import ask
from tests.support.oracle import (
    ASSIGNMENT,
    DayTotals,
    Definition,
    decompressed,
    displays_and_clicks,
    expected,
    local_day,
    read_file,
    restated,
)

MAX_FILES = 20


def last_run(url: str) -> int:
    """Return the number of the last run."""
    return int(str(ask(url, "select coalesce(max(run_id), 0) from state.runs")[0][0]))


def check_restatements(
    url: str,
    run_before: int,
    before: Mapping[str, bytes],
    after: Mapping[str, bytes],
    old_definition: Definition = ASSIGNMENT,
    definition: Definition = ASSIGNMENT,
    forgotten: tuple[Collection[str], Collection[str]] = ((), ()),
) -> None:
    """Fail unless the one run after `run_before` restated what the oracles say.

    before, after: the bytes of the files that counted before the run, and after it. old_definition, definition: what
    their lines meant. forgotten: the users who were forgotten before the run, and after it.
    """
    rows = ask(
        url,
        "select date, (displays_before, clicks_before, sessions_before)::text, (displays_after, clicks_after,"
        " sessions_after)::text, session_seconds_before, session_seconds_after, files, file_count"
        f" from restatements where run_id > {run_before}",
    )
    wanted = restated(
        expected(before, forgotten=forgotten[0], definition=old_definition),
        expected(after, forgotten=forgotten[1], definition=definition),
    )
    assert {row[0]: (row[1:3], row[3:5]) for row in rows} == {
        day: ((whole(found), whole(left)), (found.session_seconds, left.session_seconds))
        for day, (found, left) in wanted.items()
    }
    assert len(rows) == len(wanted)
    texts = ({key: decompressed(data, key) for key, data in lake.items()} for lake in (before, after))
    old, new = texts
    changed = {key for key in old.keys() | new.keys() if old.get(key) != new.get(key)}
    for day, _, _, _, _, files, file_count in rows:
        assert isinstance(day, date)
        assert isinstance(files, list)
        named = set(files)
        assert files == sorted(named)
        assert len(files) == min(int(str(file_count)), MAX_FILES)
        assert named <= changed
        if definition != old_definition:
            continue
        assert files or forgotten[0] != forgotten[1]
        must = {
            key
            for key in changed
            if article_counts(old, key, day, definition) != article_counts(new, key, day, definition)
        }
        assert must <= named or len(files) == MAX_FILES


def whole(totals: DayTotals) -> str:
    """Return the whole numbers of a day's totals, as Postgres shows them."""
    return f"({totals.displays},{totals.clicks},{totals.sessions})"


def article_counts(lake: Mapping[str, bytes], key: str, day: date, definition: Definition) -> tuple[int, int]:
    """Return the displays and clicks of articles that a file contributes to a day."""
    if key not in lake:
        return 0, 0
    events = read_file(lake[key], key.removesuffix(".gz").removesuffix(".zst"), definition).events
    its = [event for event in events if event.article is not None and local_day(event.when, definition) == day]
    return displays_and_clicks(its, definition)
