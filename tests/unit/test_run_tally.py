"""What a run did: the columns of its row in the history of runs, and its clock."""

import json
from types import SimpleNamespace

import pytest

from processor.run_tally import RunTally
from state.files import FileVersion

VERSION = FileVersion("a.tsv", "1", 99, b"hash", 7, 4, 2, 1, None, "{}", {"wrong_field_count": 2}, {0: 0})


def test_a_tally_is_the_row_of_a_run_until_its_clock_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("processor.run_tally.time", SimpleNamespace(monotonic=lambda: now[0]))
    tally = RunTally()
    tally.listed(3)
    tally.read(6)
    tally.ingested(VERSION)
    tally.ingested(VERSION)
    tally.unchanged("b.tsv")
    tally.forgotten("c.tsv")
    tally.failed("d.tsv", "it is broken")
    now[0] = 102.5
    tally.stop_clock()
    now[0] = 200.0
    assert tally.summary() == {
        "files_counted": 2, "files_unchanged": 4, "files_failed": 1, "files_forgotten": 1, "events": 8, "rejected": 4,
        "seconds": 2.5,
    }  # fmt: skip
    columns = tally.columns()
    assert (columns.pop("bytes"), json.loads(str(columns.pop("reasons")))) == (6, {"wrong_field_count": 4})
    assert columns == tally.summary()
