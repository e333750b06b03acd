"""The alert rules of docs/alerts.yml: each fires when its fault really happens, and none fires on a healthy lake."""

import re
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from processor.checks import CHECKS
from processor.output.metrics import Metrics, RunCounters
from processor.run_tally import RunTally
from state.database import Database
from state.run import begin_run
from tests.support.database_queries import held, is_waiting
from tests.support.event_files import CLICK, HEADER
from tests.support.paths import ROOT
from tests.support.program_runs import Run, run
from tests.support.prometheus import PROMTOOL, RULES, Phase, check_alerts, needs_promtool, samples
from tests.support.waiting import wait_until

GUIDE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
NOWHERE = "postgresql://user@127.0.0.1:9/nowhere"


def click(age: timedelta = timedelta(hours=1)) -> bytes:
    """Return a line with a click of that age."""
    return CLICK.replace(b"2019-02-15 10:00:00.000", f"{datetime.now(UTC) - age:%Y-%m-%d %H:%M:%S.000}".encode())


class Watched:
    """A lake whose runs write their metrics to a file."""

    def __init__(self, folder: Path, database: str) -> None:
        """Begin a lake with one file of new events."""
        self.lake, self.file, self._database = folder / "lake", folder / "event_lake.prom", database
        self.lake.mkdir()
        (self.lake / "a.tsv").write_bytes(HEADER + click() * 1000)

    def run(self, code: int, database: str | None = None, **settings: str) -> dict[str, float]:
        """Return what Prometheus scrapes after a run, which must end with that exit code."""
        url = self._database if database is None else database
        settings = {"CHECK_UNDISPLAYED_PERCENT": "100", **settings}
        done = run(lake=self.lake, database=url, METRICS=str(self.file), **settings)
        assert done.returncode == code, done.stderr
        return samples(self.file.read_text(encoding="utf-8"))


@pytest.fixture
def watched(tmp_path: Path, database: str) -> Watched:
    return Watched(tmp_path, database)


@needs_promtool
def test_the_rules_are_rules() -> None:
    assert PROMTOOL is not None
    subprocess.run([PROMTOOL, "check", "rules", RULES], check=True, capture_output=True)


@needs_promtool
def test_a_healthy_lake_fires_nothing_until_its_runs_stop(watched: Watched) -> None:
    scraped = watched.run(0)
    check_alerts(
        Phase(24, scraped, set()),
        Phase(3, scraped, {"EventLakeNoSuccess"}),
        Phase(20, scraped, {"EventLakeNoSuccess"}),
        Phase(4, scraped, {"EventLakeNoSuccess", "EventLakeStale"}),
    )


@needs_promtool
def test_a_file_that_cannot_be_read_fires_until_it_is_fixed(watched: Watched) -> None:
    first = watched.run(0)
    (watched.lake / "b.tsv").write_bytes(b"no header\n")
    failed = watched.run(1)
    (watched.lake / "b.tsv").write_bytes(HEADER + click())
    fixed = watched.run(0)
    both = {"EventLakeFileFails", "EventLakeRunFailed"}
    check_alerts(Phase(1, first, set()), Phase(1, failed, both), Phase(1, fixed, set()))


@needs_promtool
def test_an_unavailable_database_fires_and_keeps_the_other_metrics(watched: Watched) -> None:
    first = watched.run(0)
    unavailable = watched.run(1, NOWHERE, DATABASE_WAIT="0")
    succeeded = "event_lake_last_success_timestamp_seconds{}"
    assert unavailable[succeeded] == first[succeeded]
    counters = [name for name in first if "_total{" in name]
    assert [unavailable[name] for name in counters] == [first[name] for name in counters]
    check_alerts(
        Phase(20, first, set()),
        Phase(1, unavailable, {"EventLakeRunFailed"}),
        Phase(6, unavailable, {"EventLakeRunFailed", "EventLakeNoSuccess"}),
    )


@needs_promtool
def test_a_jump_in_rejected_lines_fires_for_a_day(watched: Watched) -> None:
    (watched.lake / "b.tsv").write_bytes(HEADER + click() * 900 + b"bad\n" * 3)
    first = watched.run(0)
    (watched.lake / "c.tsv").write_bytes(HEADER + click() * 500 + b"bad\n" * 5)
    usual = watched.run(0)
    (watched.lake / "d.tsv").write_bytes(HEADER + click() * 500 + b"bad\n" * 50)
    jumped = watched.run(0)
    nothing = watched.run(0)
    assert jumped['event_lake_rejected_lines_total{reason="wrong_field_count"}'] == 58
    check_alerts(
        Phase(23, first, set()),
        Phase(4, usual, set()),
        Phase(10, jumped, {"EventLakeRejectedLines", "EventLakeRejectingDay"}),
        Phase(10, nothing, {"EventLakeRejectedLines", "EventLakeRejectingDay"}),
        Phase(7, nothing, {"EventLakeStale", "EventLakeRejectingDay"}),
    )


@needs_promtool
def test_events_that_are_old_or_of_the_future_fire(watched: Watched) -> None:
    (watched.lake / "a.tsv").write_bytes(HEADER + click(timedelta(hours=60)))
    old = watched.run(0)
    (watched.lake / "b.tsv").write_bytes(HEADER + click(timedelta(days=-400)))
    ahead = watched.run(0)
    both = {"EventLakeFutureEvent", "EventLakeEventToCome", "EventLakeLongSession"}  # the same session continues
    check_alerts(Phase(1, old, {"EventLakeStale"}), Phase(1, ahead, both))


CHECK_ALERTS = {
    "days": "EventLakeUnusualDay",
    "gaps": "EventLakeEmptyDay",
    "categories": "EventLakeSilentCategory",
    "events": "EventLakeSilentEvent",
    "rejected": "EventLakeRejectingDay",
    "future": "EventLakeEventToCome",
    "sessions": "EventLakeLongSession",
    "users": "EventLakeBusyUser",
    "displays": "EventLakeUndisplayedClicks",
}


@needs_promtool
def test_what_a_check_finds_fires_until_it_is_right(watched: Watched) -> None:
    right = watched.run(0)
    assert CHECK_ALERTS.keys() == CHECKS.keys()
    assert all(right[f'event_lake_check_findings{{check="{check}"}}'] == 0 for check in CHECKS)
    found = watched.run(0, CHECK_UNDISPLAYED_PERCENT="0", CHECK_USER_EVENTS="999")
    one_each = [
        Phase(1, right | {f'event_lake_check_findings{{check="{check}"}}': 1}, {alert})
        for check, alert in CHECK_ALERTS.items()
    ]
    both = {"EventLakeBusyUser", "EventLakeUndisplayedClicks"}
    check_alerts(Phase(1, right, set()), Phase(1, found, both), *one_each, Phase(1, right, set()))


@needs_promtool
def test_a_lock_that_is_held_for_long_fires(watched: Watched, database: str) -> None:
    with Database(database) as at_work, begin_run(at_work, str(watched.lake)):
        busy = watched.run(75)
    assert busy["event_lake_lock_held{}"] == 1
    free = watched.run(0)
    check_alerts(Phase(5, busy, set()), Phase(2, busy, {"EventLakeLockHeld"}), Phase(1, free, set()))


@pytest.mark.slow
@needs_promtool
def test_slow_commits_fire(watched: Watched, database: str) -> None:
    quick = watched.run(0)
    (watched.lake / "b.tsv").write_bytes(HEADER + click())
    settings = {
        "lake": watched.lake,
        "database": database,
        "METRICS": str(watched.file),
        "CHECK_UNDISPLAYED_PERCENT": "100",
    }
    with held(database, "lock table article_performance in access exclusive mode") as let_go, Run(**settings) as slow:  # type: ignore[arg-type]
        wait_until(lambda: is_waiting(database))
        with pytest.raises(subprocess.TimeoutExpired):
            slow.process.wait(10.5)
        let_go()
        assert slow.end() == 0
    check_alerts(
        Phase(1, quick, set()), Phase(1, samples(watched.file.read_text(encoding="utf-8")), {"EventLakeCommitsSlow"})
    )


@needs_promtool
def test_metrics_that_are_missing_fire(watched: Watched) -> None:
    scraped = watched.run(0)
    watched.file.unlink()
    check_alerts(Phase(1, scraped, set()), Phase(0.2, {}, set()), Phase(0.3, {}, {"EventLakeMetricsGone"}))


def test_the_guide_shows_every_metric_and_every_alert() -> None:
    metrics = Metrics()
    metrics.registry.register(RunCounters({**RunTally().columns(), "reasons": {}}, RunTally()))
    metrics.record_end(0, 1)
    metrics.record_checks({"days": 0})
    metrics.record_database({"succeeded_at": None, "newest_at": None, "failed_files": 0}, None)
    exported = {
        f"{family.name}_total" if family.type == "counter" else family.name for family in metrics.registry.collect()
    }
    assert set(re.findall(r"^\| `(event_lake_\w+)", GUIDE, re.MULTILINE)) == exported
    alerts = re.findall(r"alert: (\w+)", RULES.read_text(encoding="utf-8"))
    assert re.findall(r"^\| `(EventLake\w+)`", GUIDE, re.MULTILINE) == alerts
    assert (
        set(re.findall(r"event_lake_[a-z_]+", RULES.read_text(encoding="utf-8")))
        - {"event_lake_commit_duration_seconds_bucket"}
        <= exported
    )
    tests = Path(__file__).read_text(encoding="utf-8")
    assert all(f'"{alert}"' in tests for alert in alerts)
