"""What every listener does at each event of a run: the same cases for all who follow one."""

import io
import json
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.listener import Listener, Listeners
from processor.output.console import Console
from processor.output.json_log import JsonLog
from processor.output.lineage import Lineage
from processor.output.lineage_facts import Inputs, LineageTarget
from processor.output.metrics import Metrics
from processor.run_tally import RunTally
from state.files import FileVersion

VERSION = FileVersion("a.tsv", "1", 99, b"hash", 7, 4, 2, 1, None, "{}", {"wrong_field_count": 2}, {0: 0})
ERROR = "it is broken; write it again"
# Every event of the port, with its values.
EVENTS: dict[str, tuple[Any, ...]] = {
    "listed": (3,),
    "started": (5, 99),
    "read": (10,),
    "ingested": (VERSION,),
    "committed": (0.5,),
    "unchanged": ("b.tsv",),
    "forgotten": ("c.tsv",),
    "failed": ("d.tsv", ERROR),
    "warn": ("the database is slow",),
}
# The events that end a file.
FILE_DONE = ["ingested", "unchanged", "failed"]
BETWEEN = st.sampled_from(["read", "committed", "forgotten", "warn"])
LINES = {
    "ingested": "counted a.tsv: 4 events, 2 lines rejected",
    "unchanged": "same content b.tsv",
    "forgotten": "forgotten c.tsv",
    "failed": f"not counted d.tsv: {ERROR}",
    "warn": "the database is slow",
}
OBJECTS: dict[str, object] = {
    "started": {"level": "info", "event": "begin", "files": 5, "bytes": 99},
    "ingested": {"level": "info", "event": "counted", "file": "a.tsv", "events": 4, "rejected": 2},
    "unchanged": {"level": "info", "event": "same", "file": "b.tsv"},
    "forgotten": {"level": "info", "event": "forgotten", "file": "c.tsv"},
    "failed": {"level": "error", "event": "failed", "file": "d.tsv", "error": ERROR},
    "warn": {"level": "warning", "event": "warning", "message": "the database is slow"},
}
PASSED_ON: dict[str, object] = {name: (name, *values) for name, values in EVENTS.items()}


class Recorder(Listener):
    """A listener that records every event with its values."""

    def __init__(self) -> None:
        self.effects: list[object] = []

    def __getattribute__(self, name: str) -> Any:
        if name not in EVENTS:
            return super().__getattribute__(name)
        return lambda *values: self.effects.append((name, *values))


class Kind(NamedTuple):
    """An implementation: how it is made, what each event makes it do, and how that is seen in what it printed."""

    make: Callable[[Recorder], Listener]
    effects: dict[str, object]
    see: Callable[[Listener, Recorder, str], list[object]]


KINDS = {
    "nobody": Kind(lambda _: Listener(), {}, lambda *_: []),
    "Listeners": Kind(lambda other: Listeners(Listener(), other), PASSED_ON, lambda _, other, __: other.effects),
    "RunTally": Kind(lambda _: RunTally(), {}, lambda *_: []),
    "Console": Kind(lambda _: Console(), dict(LINES), lambda _, __, text: list(text.splitlines())),
    "Console with --json": Kind(lambda _: Console(json=True), dict(LINES), lambda _, __, text: list(text.splitlines())),
    "JsonLog": Kind(lambda _: JsonLog(), OBJECTS, lambda _, __, text: [parse(line) for line in text.splitlines()]),
    "Metrics": Kind(lambda _: Metrics(), {"committed": 0.5}, lambda listener, *_: observed(listener)),
    "Lineage": Kind(
        lambda _: Lineage(LineageTarget("", "", "")),
        {"ingested": Inputs("a.tsv", 1, 7, 99)},
        lambda listener, *_: list(vars(listener)["_files"]),
    ),
}


def parse(line: str) -> dict[str, object]:
    """Return a line of the log without its time."""
    about: dict[str, object] = json.loads(line)
    assert about.pop("time")
    return about


def observed(listener: Listener) -> list[object]:
    """Return the durations that the metrics hold, if all of them are those of `EVENTS`."""
    assert isinstance(listener, Metrics)
    name = "event_lake_commit_duration_seconds"
    count, total = (listener.registry.get_sample_value(f"{name}_{of}") or 0 for of in ("count", "sum"))
    assert total == count * 0.5
    return [0.5] * int(count)


def follow(kind: Kind, names: Sequence[str]) -> list[object]:
    """Return what a listener of that kind does at these events, one after another."""
    text, other = io.StringIO(), Recorder()
    with redirect_stdout(text), redirect_stderr(text):
        listener = kind.make(other)
        for name in names:
            getattr(listener, name)(*EVENTS[name])
    return kind.see(listener, other, text.getvalue())


def test_the_cases_hold_every_event_of_the_port() -> None:
    assert set(EVENTS) == {name for name in vars(Listener) if not name.startswith("_")}


@pytest.mark.parametrize("name", EVENTS)
@pytest.mark.parametrize("kind", KINDS)
def test_each_event_has_its_effect(kind: str, name: str) -> None:
    effects = KINDS[kind].effects
    assert follow(KINDS[kind], [name]) == ([effects[name]] if name in effects else [])


@pytest.mark.parametrize("kind", KINDS)
@given(names=st.lists(st.sampled_from(sorted(EVENTS)), max_size=20))
def test_events_in_any_order_have_their_effects_in_that_order(kind: str, names: list[str]) -> None:
    effects = KINDS[kind].effects
    assert follow(KINDS[kind], names) == [effects[name] for name in names if name in effects]


@given(names=st.lists(st.sampled_from(sorted(EVENTS)), max_size=20))
def test_the_tally_counts_every_event_once(names: list[str]) -> None:
    tally = RunTally()
    for name in names:
        getattr(tally, name)(*EVENTS[name])
    since_listing = names[len(names) - 1 - names[::-1].index("listed") :] if "listed" in names else names
    times = {name: names.count(name) for name in EVENTS}
    assert tally.summary() | {"seconds": 0} == {
        "files_counted": times["ingested"],
        "files_unchanged": since_listing.count("unchanged") + 3 * since_listing.count("listed"),
        "files_failed": times["failed"],
        "files_forgotten": times["forgotten"],
        "events": 4 * times["ingested"],
        "rejected": 2 * times["ingested"],
        "seconds": 0,
    }
    assert (tally.bytes, tally.reasons["wrong_field_count"]) == (10 * times["read"], 2 * times["ingested"])


@pytest.mark.parametrize("make", [Console, JsonLog])
@given(files=st.lists(st.sampled_from(FILE_DONE), max_size=6), others=st.data())
def test_an_output_knows_how_many_files_are_left(
    make: type[Console | JsonLog], files: list[str], others: st.DataObject
) -> None:
    console = make(level="error")
    with redirect_stderr(io.StringIO()):
        assert console.describe_remaining() == ""
        console.started(len(files), 99)
        for done, name in enumerate(files):
            for other in others.draw(st.lists(BETWEEN, max_size=2)):
                getattr(console, other)(*EVENTS[other])
            left = len(files) - done
            assert console.describe_remaining() == f" with {left} file{'' if left == 1 else 's'} left to count"
            getattr(console, name)(*EVENTS[name])
    assert console.describe_remaining() == " with 0 files left to count"
