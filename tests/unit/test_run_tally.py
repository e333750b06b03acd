"""Every listener is informed of everything, and the tally adds it up."""

import inspect
import json
from types import SimpleNamespace
from typing import Any
from unittest.mock import create_autospec

import pytest

from processor.listener import Listener, Listeners
from processor.run_tally import RunTally
from state.files import FileVersion

VERSION = FileVersion("a.tsv", "1", 99, b"hash", 7, 4, 2, 1, None, {"wrong_field_count": 2}, {0: 0})
VALUES = {"str": "x", "int": 3, "float": 0.5, "FileVersion": VERSION}
CALLS = [name for name in vars(Listener) if not name.startswith("_")]


def call(name: str, listener: Listener) -> list[Any]:
    """Call a method of a listener; return the values that it got."""
    parameters = inspect.signature(getattr(Listener, name)).parameters.values()
    values = [VALUES[getattr(it.annotation, "__name__", it.annotation)] for it in parameters if it.name != "self"]
    getattr(listener, name)(*values)
    return values


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("kind", [Listeners, RunTally])
def test_every_call_is_passed_on_to_every_listener(name: str, kind: type[Listeners]) -> None:
    first, second = (create_autospec(Listener, instance=True) for _ in range(2))
    values = call(name, kind(first, second))
    for listener in (first, second):
        assert [(called, list(args)) for called, args, _ in listener.method_calls] == [(name, values)]


def test_a_tally_adds_up(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("processor.run_tally.time", SimpleNamespace(monotonic=lambda: now[0]))
    tally = RunTally()
    for name in CALLS + CALLS:
        call(name, tally)
    now[0] = 102.5
    tally.stop_clock()
    now[0] = 200.0
    # The second listing counts the unchanged files again; after it, one file has the same content.
    assert tally.summary() == {
        "files_counted": 2, "files_unchanged": 4, "files_failed": 2, "files_forgotten": 2, "events": 8, "rejected": 4,
        "seconds": 2.5,
    }  # fmt: skip
    columns = tally.columns()
    assert (columns.pop("bytes"), json.loads(str(columns.pop("reasons")))) == (6, {"wrong_field_count": 4})
    assert columns == tally.summary()
