"""The rights of the containers and the content of their images, according to the Dockerfile and the compose file."""

import re
import subprocess
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from tests.support.paths import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))[
    "services"
]
SECRET = re.compile("password|secret|token|_key|://[^/ ]*@", re.IGNORECASE)


def test_images_are_pinned_to_an_exact_version() -> None:
    images = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    images += [service["image"] for service in SERVICES.values() if "image" in service]
    assert len(set(images)) == 2
    for image in images:
        assert re.fullmatch(r"[a-z]+:\d+\.\d+(\.\d+)?-[a-z-]+(@sha256:[0-9a-f]{64})?", image), image


def test_the_program_runs_without_root_and_without_rights() -> None:
    users = re.findall(r"^USER (\S+)", DOCKERFILE, re.MULTILINE)
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", users[-1])
    assert DOCKERFILE.index("USER") < DOCKERFILE.index("ENTRYPOINT")
    etl = SERVICES["etl"]
    assert etl["read_only"] is True
    assert etl["cap_drop"] == ["ALL"]
    assert "ports" not in etl
    assert [volume for volume in etl["volumes"] if not volume.endswith(":ro")] == ["report:/app/report"]


def test_the_watch_runs_the_same_image_and_starts_with_its_profile_only() -> None:
    watch = dict(SERVICES["watch"])
    assert (watch.pop("profiles"), watch.pop("command"), watch.pop("restart")) == (["watch"], "watch", "on-failure")
    assert watch | {"container_name": SERVICES["etl"]["container_name"]} == SERVICES["etl"]
    assert [name for name, service in SERVICES.items() if "profiles" not in service] == ["etl", "postgres"]
    assert {"QUEUE_URL", "WATCH_INTERVAL"} <= set(watch["environment"])


def test_the_container_gets_every_setting() -> None:
    documents = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `([A-Z_]+)` \|", documents, re.MULTILINE))
    documented |= set(re.findall(r"`((?:AWS|REQUESTS)_[A-Z0-9_]+)`", documents))
    passed = {line.partition("=")[0] for line in SERVICES["etl"]["environment"]}
    # The image holds no Spark, the container has no terminal, and the file is mounted where the program looks for it.
    assert passed == documented - {"ENGINE", "NO_COLOR", "LAKE_DEFINITION"}


def test_no_setting_of_the_container_replaces_one_of_the_shell() -> None:
    """podman-compose takes a variable of the file from the container's environment, if that sets it."""
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    for service in SERVICES.values():
        for name, is_set, value in (line.partition("=") for line in service["environment"]):
            assert not is_set or value.startswith(f"${{{name}:-") or f"${{{name}" not in text, name


def test_every_setting_that_is_read_is_documented() -> None:
    documents = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    read = set[str]()
    for module in (ROOT / "processor").rglob("*.py"):
        source = module.read_text(encoding="utf-8")
        for names in re.findall(
            r'read_(?:setting|whole|decimal)\("([A-Z_]+)"|"((?:AWS|REQUESTS)_[A-Z0-9_]*[A-Z0-9])"', source
        ):
            read |= set(filter(None, names))
    assert len(read) > 15
    assert {name for name in read if f"`{name}`" not in documents} == set()


@pytest.mark.parametrize("name", SERVICES)
def test_no_container_gains_rights_or_reaches_into_the_host(name: str) -> None:
    service = SERVICES[name]
    assert service["security_opt"] == ["no-new-privileges"]
    assert not {"privileged", "cap_add", "network_mode", "pid", "ipc", "userns_mode", "devices"} & service.keys()
    assert not any("docker.sock" in volume for volume in service["volumes"])


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_on_loopback(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


def test_no_secret_is_in_a_layer() -> None:
    instructions = [line for line in DOCKERFILE.splitlines() if not line.startswith("#")]
    assert not [line for line in instructions if SECRET.search(line)]
    assert not [line for line in instructions if re.match(r"\s*(ARG|ADD)\b", line)]
    allowed = [
        line for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line.startswith("!")
    ]
    assert (ROOT / ".dockerignore").read_text(encoding="utf-8").startswith("*\n")
    maker = ["!tests/support/made_lake.py", "!tests/support/event_files.py"]
    assert allowed == ["!requirements.txt", "!run.py", "!lake.toml", "!processor", "!state", *maker]


def test_credentials_pass_through_and_are_in_no_file() -> None:
    settings = dict(setting.partition("=")[::2] for setting in SERVICES["etl"]["environment"])
    assert all(value == "" for name, value in settings.items() if name.startswith("AWS_"))


def test_every_setting_of_aws_that_the_documents_name_passes_through() -> None:
    documents = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
    named = set(
        re.findall(r"\bAWS_[A-Z0-9_]*[A-Z0-9]\b", "".join(path.read_text(encoding="utf-8") for path in documents))
    )
    passed = {setting for setting in SERVICES["etl"]["environment"] if setting.startswith("AWS_")}
    assert "AWS_REQUEST_PAYER" in named
    assert named <= passed


def test_every_requirement_is_pinned_with_hashes() -> None:
    assert "--require-hashes" in DOCKERFILE
    asked = [ROOT / "requirements.in", *ROOT.glob("requirements/*.in"), ROOT / "benchmarks" / "requirements.in"]
    assert len(asked) >= 4
    for path in asked:
        text = path.with_suffix(".txt").read_text(encoding="utf-8")
        pins = re.findall(r"^[a-zA-Z0-9][^\n]*", text, re.MULTILINE)
        assert pins
        assert all(re.match(r"[\w.\[\],-]+==[\w.]+[^\n]*\\$", pin) for pin in pins)
        assert len(re.findall(r"^\S.*\\\n\s+--hash=sha256:", text, re.MULTILINE)) == len(pins)


def test_the_dockerfile_passes_its_linter() -> None:
    done = subprocess.run(
        [ROOT / ".venv/bin/hadolint", ROOT / "Dockerfile"], check=False, capture_output=True, encoding="utf-8"
    )
    assert (done.returncode, done.stdout) == (0, "")
