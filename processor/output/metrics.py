"""What Prometheus is told of a lake: how the last run ended, what all runs did, how the database stands."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from processor.output.run_tally import Record
from processor.reducers.events import REASONS
from processor.run_tally import Listener

if TYPE_CHECKING:
    from prometheus_client import Metric

    from state.reads import Row

# Seconds: from a small file on an empty database to a large one on a slow disk.
BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
OUTCOMES = ("counted", "unchanged", "failed", "forgotten")


class Metrics:
    """What is known so far, in a registry of its own; what is not known yet is left out.

    Counters go on from what the database knows of earlier runs (`go_on`), so that those of a nightly run grow from one
    night to the next. A program that stays up makes a `record` for each batch, and says how it `ended`.
    """

    def __init__(self) -> None:
        """Nothing is known yet."""
        from prometheus_client import CollectorRegistry, Histogram

        self._commits = Histogram(
            "event_lake_commit_duration_seconds",
            "How long the transactions took that ingested files, in this run or since the program began.",
            buckets=BUCKETS,
            registry=None,
        )
        names = (*(f"files_{outcome}" for outcome in OUTCOMES), "events", "bytes")
        # What earlier runs did, by name and by reason, and the present one; replaced at once, for a scrape under way.
        self._sums: tuple[dict[str, int], dict[str, int], Record | None] = (
            dict.fromkeys(names, 0),
            dict.fromkeys(REASONS, 0),
            None,
        )
        self._goes_on = False
        self._gauges: dict[str, tuple[str, float]] = {}
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def go_on(self, history: "Row") -> None:
        """Take in what earlier runs did, as the database knows it: `Answers.history`."""
        did, reasons, record = self._sums
        did = {name: count + history[name] for name, count in did.items()}
        self._sums = did, {code: count + history["reasons"].get(code, 0) for code, count in reasons.items()}, record
        self._goes_on = True

    def record(self, listener: Listener) -> Record:
        """A listener for a run or a batch, whose numbers are told while they grow; it passes all on."""
        record = Record(listener, self._commits.observe)
        self._sums = *self._totals(), record
        return record

    def ended(self, exit_code: int, seconds: float) -> None:
        """Take in how a run or a batch ended just now."""
        at = time.time()
        self._set("last_run_timestamp_seconds", "When the last run ended.", at)
        self._set("last_run_duration_seconds", "How long the last run took.", seconds)
        self._set("last_run_exit_code", "How the last run ended: 0 done, anything else is a failure.", exit_code)
        if exit_code == 0:
            self._succeeded(at)

    def know(self, health: "Row", holder: "Row | None") -> None:
        """Take in how the database stands: `Answers.health` and `Answers.holder`."""
        if health["succeeded_at"] is not None:
            self._succeeded(health["succeeded_at"])
        newest_at, began = health["newest_at"], holder and holder["xact_start"]  # another role's is not told
        self._set("failed_files", "Lake files whose present version cannot be read.", health["failed_files"])
        self._set(
            "newest_event_timestamp_seconds",
            "When the latest event of all counted files was; a wrong clock may set it in the future.",
            float("nan") if newest_at is None else newest_at,
        )
        self._set("lock_held", "Whether a run is at work on the database: 1 or 0.", holder is not None)
        self._set(
            "lock_since_timestamp_seconds",
            "Since when that run is at work; 0 without one.",
            began.timestamp() if began else 0,
        )

    def _succeeded(self, at: float) -> None:
        name = "last_success_timestamp_seconds"
        _, before = self._gauges.get(name, ("", at))
        self._set(name, "When a run that counts last ended with exit code 0.", max(before, at))

    def _set(self, name: str, meaning: str, value: float) -> None:
        self._gauges = {**self._gauges, name: (meaning, value)}  # a scrape may be under way

    def _totals(self) -> tuple[dict[str, int], dict[str, int]]:
        did, reasons, record = self._sums
        if record is None:
            return did, reasons
        did = {name: count + record.did[name] for name, count in did.items()}
        return did, {reason: count + record.reasons[reason] for reason, count in reasons.items()}

    def collect(self) -> Iterator["Metric"]:
        """All that is known, as prometheus_client asks for it."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        for name, (meaning, value) in self._gauges.items():
            yield GaugeMetricFamily(f"event_lake_{name}", meaning, value=value)
        if self._goes_on:
            did, reasons = self._totals()
            files = CounterMetricFamily(
                "event_lake_files", "Files that runs met, by what became of them.", labels=["outcome"]
            )
            for outcome in OUTCOMES:
                files.add_metric([outcome], did[f"files_{outcome}"])
            yield files
            yield CounterMetricFamily("event_lake_events", "Events in counted files.", value=did["events"])
            lines = CounterMetricFamily(
                "event_lake_rejected_lines", "Lines of counted files that count nowhere, by reason.", labels=["reason"]
            )
            for reason in REASONS:
                lines.add_metric([reason], reasons[reason])
            yield lines
            read = "Bytes read from the lake, as they are stored there."
            yield CounterMetricFamily("event_lake_read_bytes", read, value=did["bytes"])
        for family in self._commits.collect():
            family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
            yield family
