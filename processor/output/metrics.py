"""What Prometheus sees of a lake: how the last run ended, what all runs did, and the state of the database."""

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from processor.errors import DONE, FAILED
from processor.listener import Listener
from processor.reducers.events import REASONS
from processor.run_tally import RunTally

if TYPE_CHECKING:
    from prometheus_client import Metric

    from state.row_reads import Row

# Seconds: from a small file on an empty database to a large one on a slow disk.
HISTOGRAM_BOUNDS_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
CHECK_SECONDS = 3600.0  # from one check of the counted events to the next, while a watch is up
OUTCOMES = ("counted", "unchanged", "failed", "forgotten")


class Metrics(Listener):
    """The metrics of one program, in a registry of their own; values that are not known yet are left out.

    As a listener it observes how long commits took. `RunCounters` joins the registry once the database is open.
    """

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Histogram

        self._commits = Histogram(
            "event_lake_commit_duration_seconds",
            "How long transactions that ingested files took, in this run or since the program began.",
            buckets=HISTOGRAM_BOUNDS_SECONDS,
            registry=None,
        )
        self._gauges: dict[str, tuple[str, float]] = {}  # meaning and value by name
        self._findings: dict[str, int] = {}
        self._check_at = 0.0
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def committed(self, seconds: float) -> None:
        """Observe how long a transaction that ingested files took."""
        self._commits.observe(seconds)

    def record_end(self, exit_code: int, seconds: float) -> None:
        """Set the metrics of the last run: it ended just now, and took `seconds`."""
        at = time.time()
        self._set_gauge("last_run_timestamp_seconds", "When the last run ended.", at)
        self._set_gauge("last_run_duration_seconds", "How long the last run took.", seconds)
        self._set_gauge(
            "last_run_exit_code",
            "The last run's exit code: 0 done, 1 something failed, 2 a wrong option or setting, "
            "75 another run was at work.",
            exit_code,
        )
        if exit_code == DONE:
            self._record_success(at)

    def record_database(self, health: "Row", holder: "Row | None") -> None:
        """Set the metrics of the database, from what `Reads.read_health` and `Reads.read_lock_holder` return."""
        if health["succeeded_at"] is not None:
            self._record_success(health["succeeded_at"])
        # Postgres hides when the transaction of another role began.
        newest_at, began = health["newest_at"], holder and holder["xact_start"]
        self._set_gauge("failed_files", "Lake files whose present version cannot be ingested.", health["failed_files"])
        self._set_gauge(
            "newest_event_timestamp_seconds",
            "When the latest event of all counted files was; a wrong clock may set it in the future.",
            float("nan") if newest_at is None else newest_at,
        )
        self._set_gauge("lock_held", "Whether a run is at work on the database: 1 or 0.", holder is not None)
        self._set_gauge(
            "lock_since_timestamp_seconds",
            "When that run began; 0 without one.",
            began.timestamp() if began else 0,
        )

    def record_turn(self, health: "Row", seconds: float) -> None:
        """Set the metrics of a turn of a watch, which took `seconds`, and what `Reads.read_health` returns after it."""
        self.record_end(FAILED if health["failed_files"] else DONE, seconds)
        self.record_database(health, None)  # the watch itself holds the lock, and is about to release it

    @property
    def must_check(self) -> bool:
        """Whether it is time to check the counted events again."""
        return time.monotonic() >= self._check_at

    def record_checks(self, findings: Mapping[str, int]) -> None:
        """Set how much each check found, by the check's name."""
        self._findings, self._check_at = dict(findings), time.monotonic() + CHECK_SECONDS

    def _record_success(self, at: float) -> None:
        name = "last_success_timestamp_seconds"
        _, before = self._gauges.get(name, ("", at))
        self._set_gauge(name, "When a run that ingests last ended with exit code 0.", max(before, at))

    def _set_gauge(self, name: str, meaning: str, value: float) -> None:
        self._gauges = {**self._gauges, name: (meaning, value)}  # another thread may be collecting the old ones

    def collect(self) -> Iterator["Metric"]:
        """Yield all metrics that are known; prometheus_client calls this."""
        from prometheus_client.core import GaugeMetricFamily

        for name, (meaning, value) in self._gauges.items():
            yield GaugeMetricFamily(f"event_lake_{name}", meaning, value=value)
        if self._findings:
            found = GaugeMetricFamily(
                "event_lake_check_findings", "What run.py check finds, by check; 0 if all is right.", labels=["check"]
            )
            for check, findings in self._findings.items():
                found.add_metric([check], findings)
            yield found
        for family in self._commits.collect():
            family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
            yield family


class RunCounters:
    """What earlier runs and the present one did, summed up, so that counters grow from one nightly run to the next."""

    def __init__(self, earlier_runs: "Row", tally: RunTally) -> None:
        """Start from `earlier_runs`, as `Reads.sum_runs` returns them; the tally of the present run adds to them."""
        self._earlier_runs, self._tally = earlier_runs, tally

    def collect(self) -> Iterator["Metric"]:
        """Yield the counters; prometheus_client calls this."""
        from prometheus_client.core import CounterMetricFamily

        present = self._tally.summary()
        files = CounterMetricFamily("event_lake_files", "Files that runs met, by outcome.", labels=["outcome"])
        for outcome in OUTCOMES:
            files.add_metric([outcome], self._earlier_runs[f"files_{outcome}"] + present[f"files_{outcome}"])
        yield files
        events = self._earlier_runs["events"] + self._tally.events
        yield CounterMetricFamily("event_lake_events", "Events in counted files.", value=events)
        lines = CounterMetricFamily(
            "event_lake_rejected_lines", "Rejected lines of counted files, by reason.", labels=["reason"]
        )
        for reason in REASONS:
            lines.add_metric([reason], self._earlier_runs["reasons"].get(reason, 0) + self._tally.reasons[reason])
        yield lines
        size = self._earlier_runs["bytes"] + self._tally.bytes
        yield CounterMetricFamily(
            "event_lake_read_bytes", "Bytes read from the lake, as they are stored there.", value=size
        )
