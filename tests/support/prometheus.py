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
MINUTES = 4  # between two scrapes, and two looks at the rules; Prometheus takes a series of 5 minutes ago for present


def samples(text: str) -> dict[str, float]:
    """The series of an exposition as PromQL writes them, with their values."""
    return {
        f"{sample.name}{{{','.join(f'{name}={json.dumps(value)}' for name, value in sample.labels.items())}}}": (
            sample.value
        )
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


class Phase(NamedTuple):
    """So many hours in which Prometheus scrapes the same, and the alerts that fire, and no others, at their end."""

    hours: float
    scraped: dict[str, float]
    firing: set[str]


def check_alerts(*phases: Phase) -> None:
    """Fail unless the rules fire as the phases say; the clock is moved so that each run ended as its phase began."""
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
        path.write_text(json.dumps(whole), encoding="utf-8")  # which is YAML, too
        done = subprocess.run([PROMTOOL, "test", "rules", path], check=False, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout + done.stderr


def _moved(at: float, runs: dict[float, float]) -> float:
    """A time on the moved clock: as far before the end of the run in which or before which it lies."""
    ended = next((ended for ended in runs if at <= ended), max(runs))
    return at - ended + runs[ended]
