"""The metrics that the program exports, and the alerts that promtool derives from them on a moved clock."""

import json
import math
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.paths import ROOT

PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed")
RULES = ROOT / "docs" / "alerts.yml"
MINUTES = 4  # between two scrapes, and two evaluations of the rules; Prometheus keeps a series for 5 minutes


def samples(text: str) -> dict[str, float]:
    """Return the series of an exposition as PromQL writes them, with their values."""
    return {
        f"{sample.name}{{{','.join(f'{name}={json.dumps(value)}' for name, value in sample.labels.items())}}}": (
            sample.value
        )
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


class Phase(NamedTuple):
    """Some hours in which Prometheus scrapes the same, and all alerts that fire at their end."""

    hours: float
    scraped: dict[str, float]
    firing: set[str]


def check_alerts(*phases: Phase) -> None:
    """Fail unless the rules fire as the phases expect; on the moved clock, each run ends when its phase begins."""
    assert PROMTOOL is not None
    runs: dict[float, float] = {}
    begun = 0.0
    for phase in phases:
        if phase.scraped:
            runs.setdefault(phase.scraped["event_lake_last_run_timestamp_seconds{}"], begun)
        begun += 3600 * phase.hours
    series = {name: "" for phase in phases for name in phase.scraped}
    end, looks = 0, []
    for phase in phases:
        count = round(phase.hours * 60 / MINUTES)
        for name in series:
            value = phase.scraped.get(name, math.nan)
            moved = _moved(value, runs) if "_timestamp_seconds" in name else value
            series[name] += f"_x{count} " if math.isnan(moved) else f"{moved!r}+0x{count - 1} "
        end += count
        looks.append(
            {
                "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                "eval_time": f"{(end - 1) * MINUTES}m",
                "exp_samples": [{"labels": f'{{alertname="{alert}"}}', "value": 1} for alert in sorted(phase.firing)],
            }
        )
    test = {
        "interval": f"{MINUTES}m",
        "input_series": [{"series": name, "values": values.strip()} for name, values in series.items()],
        "promql_expr_test": looks,
    }
    whole = {"rule_files": [str(RULES)], "evaluation_interval": f"{MINUTES}m", "tests": [test]}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "test.yml")
        path.write_text(json.dumps(whole), encoding="utf-8")  # JSON is YAML, too
        done = subprocess.run([PROMTOOL, "test", "rules", path], check=False, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout + done.stderr


def _moved(at: float, runs: dict[float, float]) -> float:
    """Return a time on the moved clock, at the same distance from the end of the run that contains or follows it."""
    ended = next((ended for ended in runs if at <= ended), max(runs))
    return at - ended + runs[ended]
