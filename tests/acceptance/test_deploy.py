"""The files of deploy/, checked by the tools of systemd and Kubernetes, and compared with the program and its image."""

import re
import shlex
import shutil
import subprocess
import sys
from configparser import RawConfigParser
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml  # type: ignore[import-untyped]

from processor.cli import parse_settings
from processor.errors import BUSY, WRONG_SETTING
from tests.support.paths import ROOT

DEPLOY = ROOT / "deploy"
CRON_JOB: dict[str, Any] = yaml.safe_load((DEPLOY / "cronjob.yaml").read_text(encoding="utf-8"))
JOB = CRON_JOB["spec"]["jobTemplate"]["spec"]
POD = JOB["template"]["spec"]
(CONTAINER,) = POD["containers"]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]["etl"]
SYSTEMD_ANALYZE = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(SYSTEMD_ANALYZE is None, reason="systemd is not installed")
MAX_EXPOSURE = 20  # tenths: systemd says "OK" below 3.0, and most services have 9.0 and more


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Return what systemd-analyze says about units."""
    assert SYSTEMD_ANALYZE is not None
    return subprocess.run([SYSTEMD_ANALYZE, *arguments], check=False, capture_output=True, encoding="utf-8")


@pytest.fixture
def service() -> RawConfigParser:
    parser = RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(DEPLOY / "event-lake.service", encoding="utf-8")
    return parser


@needs_systemd
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    for unit in DEPLOY.glob("event-lake.*"):
        text = unit.read_text(encoding="utf-8").replace("/opt/event-lake/.venv/bin/python", sys.executable)
        (tmp_path / unit.name).write_text(text, encoding="utf-8")
    done = analyze("verify", "--man=no", *sorted(tmp_path.iterdir()))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@needs_systemd
def test_the_service_has_few_rights() -> None:
    done = analyze("security", "--offline=true", f"--threshold={MAX_EXPOSURE}", DEPLOY / "event-lake.service")
    assert done.returncode == 0, done.stdout


def test_the_service_runs_the_program_once(service: RawConfigParser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_URL", "/lake")
    python, program, *arguments = shlex.split(service["Service"]["ExecStart"])
    assert (python, program) == ("/opt/event-lake/.venv/bin/python", "/opt/event-lake/run.py")
    assert parse_settings(arguments).command.name == "count"
    assert service["Service"]["Type"] == "oneshot"
    assert service["Service"]["SuccessExitStatus"] == str(BUSY)


@pytest.mark.parametrize("version", ["1.31", kubernetes_validate.latest_version()])
def test_kubernetes_accepts_the_cron_job(version: str) -> None:
    kubernetes_validate.validate(CRON_JOB, version, strict=True)


def test_kubernetes_runs_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_URL", "/lake")
    assert parse_settings(CONTAINER["args"]).command.name == "count"
    documents = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    assert all(f"| `{variable['name']}` |" in documents for variable in CONTAINER["env"])


def test_kubernetes_takes_no_busy_run_for_a_failure_and_repeats_no_wrong_setting() -> None:
    actions = {
        code: rule["action"]
        for rule in JOB["podFailurePolicy"]["rules"]
        if "onExitCodes" in rule
        for code in rule["onExitCodes"]["values"]
    }
    assert actions == {BUSY: "Ignore", WRONG_SETTING: "FailJob"}
    assert CRON_JOB["spec"]["concurrencyPolicy"] == "Forbid"


def test_the_pod_has_no_more_rights_than_the_container_of_compose() -> None:
    user, group = re.findall(r"^USER (\d+):(\d+)", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)[-1]
    rights = POD["securityContext"]
    assert (rights["runAsNonRoot"], rights["runAsUser"], rights["runAsGroup"]) == (True, int(user), int(group))
    assert CONTAINER["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": COMPOSE["read_only"],
        "capabilities": {"drop": COMPOSE["cap_drop"]},
    }
    mounts = {mount["mountPath"]: mount.get("readOnly", False) for mount in CONTAINER["volumeMounts"]}
    named = {
        path: bool(mode)
        for path, mode in re.findall(r":(/[^:\n]+)(:ro)?$", "\n".join(COMPOSE["volumes"]), re.MULTILINE)
    }
    named.pop("/lake")
    assert mounts == named | dict.fromkeys(COMPOSE["tmpfs"], False)


def test_the_database_comes_from_a_secret() -> None:
    (variable,) = (variable for variable in CONTAINER["env"] if variable["name"] == "DATABASE_URL")
    assert variable["valueFrom"] == {"secretKeyRef": {"name": "event-lake", "key": "DATABASE_URL"}}
