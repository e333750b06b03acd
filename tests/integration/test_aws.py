"""Wrong AWS_* settings, and credentials that are renewed while the program runs."""

import json
import socket
import threading
from multiprocessing.pool import ThreadPool
from pathlib import Path
from threading import Event
from typing import Any, Literal
from urllib.parse import quote_plus

import pytest

from processor.lake.aws_settings import make_client
from processor.lake.base import LakeError, LakeSettingError
from processor.lake.open_lake import open_lake
from processor.lake.sqs import QueueNotifications
from tests.support.accounts import as_nobody
from tests.support.event_files import FILES, LAKE, events
from tests.support.odd_s3 import OddS3, Request, S3Error
from tests.support.program_runs import Run, run
from tests.support.tables import Model, counted
from tests.support.waiting import wait_until

EXPIRED = S3Error(400, "ExpiredToken", "The provided token has expired.")


@pytest.fixture
def keyless(odd: OddS3, monkeypatch: pytest.MonkeyPatch) -> OddS3:
    """An S3 that the settings name, without credentials."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    return odd


class Keys:
    """A shared credentials file that another program writes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, key: str, region: str = "") -> None:
        text = f"[default]\naws_access_key_id={key}\naws_secret_access_key=x\naws_session_token=t\n{region}"
        new = self.path.with_suffix(f".{threading.get_ident()}")
        new.write_text(text, encoding="utf-8")
        new.rename(self.path)


@pytest.fixture
def keys(keyless: OddS3, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Keys:
    """A credentials file with the key OLD."""
    assert keyless
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    made = Keys(tmp_path / "credentials")
    made.write("OLD")
    return made


def only(key: str, refusal: S3Error = EXPIRED) -> object:
    """Return a function that refuses every other key."""
    return lambda request: None if request.access_key == key else refusal


def test_a_watch_uses_renewed_credentials(odd: OddS3, keys: Keys, database: str) -> None:
    odd.put({"a.tsv": FILES["a.tsv"]})
    with Run("watch", "--interval", "1", lake=LAKE, database=database) as going:
        wait_until(lambda: "a.tsv" in counted(database))
        odd.refuse = only("NEW")  # type: ignore[assignment]
        wait_until(lambda: "have expired; renew them; watch waits" in going.errors)
        keys.write("NEW")
        odd.put({"b.tsv": FILES["b.tsv"]})
        wait_until(lambda: "b.tsv" in counted(database))
        going.process.terminate()
        assert going.end() == 0
        assert len(going.errors.splitlines()) == 2
    Model().check(database, {key: FILES[key] for key in ("a.tsv", "b.tsv")})


@pytest.mark.parametrize("code", ["ExpiredToken", "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken"])
def test_credentials_may_be_renewed_before_they_are_refused(
    odd: OddS3,
    keys: Keys,
    database: str,
    code: str,
) -> None:
    lake = {f"{number:02}.tsv": events(number, 9, f"t{number}") for number in range(40)}
    odd.put(lake)

    def refuse(request: Request) -> S3Error | None:
        if request.kind != "get" or len(odd.gets()) < 20:
            return None
        keys.write("NEW")
        return None if request.access_key == "NEW" else S3Error(403, code)

    odd.refuse = refuse
    done = run("--workers", "2", lake=LAKE, database=database)
    assert (done.returncode, done.stderr) == (0, "")
    assert {request.access_key for request in odd.requests} == {"OLD", "NEW"}
    Model().check(database, lake)


def test_a_request_is_repeated_after_another_thread_renewed_the_credentials(odd: OddS3, keys: Keys) -> None:
    odd.put(FILES)
    lake = open_lake(LAKE)
    files = list(lake.list_files())
    is_taken_up = Event()

    def refuse(request: Request) -> S3Error | None:
        if request.access_key == "NEW":
            is_taken_up.set()
            return None
        if len(odd.gets()) > 1:
            is_taken_up.wait(30)
        return EXPIRED

    odd.refuse = refuse
    keys.write("NEW")
    with ThreadPool(2) as pool:
        assert pool.map(lambda file: lake.open(file).read(), files[:2]) == [FILES["a.tsv"], FILES["b.tsv"]]


def test_concurrent_requests_share_one_client(odd: OddS3, monkeypatch: pytest.MonkeyPatch) -> None:
    odd.put(FILES)
    files, lake, made = list(open_lake(LAKE).list_files()), open_lake(LAKE), list[str]()

    def make(service: Literal["s3", "sqs"]) -> Any:
        made.append(service)
        return make_client(service)

    monkeypatch.setattr("processor.lake.aws_client.make_client", make)
    with ThreadPool(len(files)) as pool:
        assert pool.map(lambda file: lake.open(file).read(), files) == list(FILES.values())
    assert made == ["s3"]


@pytest.mark.parametrize("left", ["the same", "none", "half a file"])
def test_unchanged_credentials_are_sent_once(odd: OddS3, keys: Keys, left: str) -> None:
    odd.put(FILES)
    lake = open_lake(LAKE)
    assert list(lake.list_files())
    if left == "none":
        keys.path.unlink()
    elif left == "half a file":
        keys.path.write_text("[default", encoding="utf-8")
    odd.refuse = lambda _: EXPIRED
    count = len(odd.requests)
    with pytest.raises(LakeError, match="the AWS credentials have expired; renew them"):
        list(lake.list_files())
    assert [request.access_key for request in odd.requests[count:]] == ["OLD"]
    keys.write("NEW")
    odd.refuse = only("NEW")  # type: ignore[assignment]
    assert len(list(lake.list_files())) == len(FILES)


def test_a_queue_uses_renewed_credentials(odd: OddS3, keys: Keys, database: str) -> None:
    odd.put({"a.tsv": FILES["a.tsv"]})
    queue = f"{odd.url}/1/notifications"
    with Run("watch", "--interval", "999", "--queue", queue, lake=LAKE, database=database) as going:
        wait_until(lambda: "a.tsv" in counted(database))
        odd.refuse = only("NEW")  # type: ignore[assignment]
        wait_until(lambda: "the queue cannot be used (ExpiredToken)" in going.errors)
        keys.write("NEW")
        odd.put({"b.tsv": FILES["b.tsv"]})
        body = {"Records": [{"s3": {"bucket": {"name": "lake"}, "object": {"key": quote_plus("p/b.tsv")}}}]}
        odd.messages.append({"MessageId": "1", "ReceiptHandle": "1", "Body": json.dumps(body)})
        wait_until(lambda: "b.tsv" in counted(database))
        wait_until(lambda: "the queue answers again" in going.errors)
        wait_until(lambda: any(request.kind == "delete" for request in odd.requests))
        going.process.terminate()
        assert going.end() == 0
        assert len(going.errors.splitlines()) == 2


QUEUE = [
    (EXPIRED, LakeSettingError, "the AWS credentials have expired; renew them"),
    (S3Error(403, "AccessDeniedException", "User: x is not authorized to perform: sqs:receivemessage on resource: y"),
     LakeSettingError, "allow sqs:receivemessage, or fix QUEUE_URL"),
    (S3Error(403, "AccessDeniedException", "User: x is not authorized to perform: kms:Decrypt on resource: y"),
     LakeSettingError, "allow kms:Decrypt"),
    (S3Error(403, "AccessDeniedException"), LakeSettingError, "allow sqs:ReceiveMessage and sqs:DeleteMessage"),
    (S3Error(403, "InvalidClientTokenId"), LakeSettingError, "AWS does not know these credentials"),
    (S3Error(403, "InvalidSignatureException", "Signature expired: a is now earlier than b"), LakeError, "the clock"),
    (S3Error(400, "AWS.SimpleQueueService.NonExistentQueue"), LakeSettingError, "no such queue; fix QUEUE_URL"),
    (S3Error(400, "QueueDoesNotExist"), LakeSettingError, "no such queue; fix QUEUE_URL"),
    (S3Error(400, "KmsDisabled"), LakeSettingError, "KMS key cannot be used; enable or restore"),
    (S3Error(400, "ThrottlingException"), LakeError, "run again later"),
    (S3Error(400, "Strange"), LakeError, "look up the error Strange"),
]  # fmt: skip


@pytest.mark.parametrize(("refusal", "kind", "says"), QUEUE, ids=range(len(QUEUE)))
def test_a_queue_that_is_refused_says_what_to_do(
    odd: OddS3,
    monkeypatch: pytest.MonkeyPatch,
    refusal: S3Error,
    kind: type,
    says: str,
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    odd.refuse = lambda _: refusal
    with pytest.raises(LakeError, match=says) as raised:
        QueueNotifications(f"{odd.url}/1/notifications", LAKE, print)
    assert type(raised.value) is kind


def test_fields_of_a_message_may_be_missing(odd: OddS3) -> None:
    warned: list[str] = []
    queue = QueueNotifications(f"{odd.url}/1/notifications", LAKE, warned.append)
    body = json.dumps({"Records": [{"s3": {"bucket": {"name": "lake"}, "object": {"key": "p/b.tsv"}}}]})
    odd.messages += [{"Body": body}, {"ReceiptHandle": "1"}, {}]
    assert queue.wait(0) == ["b.tsv"]
    assert ["was ignored" in line for line in warned] == [True, True]


# Settings that make botocore fail at its start or at the first request.

WRONG = [
    ({"AWS_WEB_IDENTITY_TOKEN_FILE": "/no/such", "AWS_ROLE_ARN": "arn:aws:iam::1:role/x"},
     "AWS_WEB_IDENTITY_TOKEN_FILE is /no/such"),
    ({"AWS_WEB_IDENTITY_TOKEN_FILE": "/no/such"}, "role ARN"),
    ({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:9/",
      "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "/no/such"},
     "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE is /no/such"),
    ({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://evil.example/"}, "Unsupported host"),
    ({"AWS_PROFILE": "no-such-profile"}, "no-such-profile"),
    ({"AWS_CA_BUNDLE": "/no/such"}, "AWS_CA_BUNDLE is /no/such"),
    ({"AWS_CA_BUNDLE": "/usr"}, "AWS_CA_BUNDLE is /usr"),
    ({"AWS_CA_BUNDLE": "/etc/passwd"}, "AWS_CA_BUNDLE is /etc/passwd, which is not a file of certificates"),
    ({"REQUESTS_CA_BUNDLE": "/no/such"}, "REQUESTS_CA_BUNDLE is /no/such, which is not a file of certificates"),
    ({"AWS_CONFIG_FILE": "/etc/passwd"}, "Unable to parse config file"),
    ({"AWS_CONFIG_FILE": "/usr"}, "AWS_CONFIG_FILE is /usr"),
    ({"AWS_SHARED_CREDENTIALS_FILE": "/usr"}, "AWS_SHARED_CREDENTIALS_FILE is /usr"),
    ({"AWS_SHARED_CREDENTIALS_FILE": "/etc/passwd"}, "Unable to parse config file"),
    ({"AWS_DEFAULT_REGION": "eu west"}, "eu west"),
    ({"AWS_ENDPOINT_URL": "localhost:9000"}, "AWS_ENDPOINT_URL is not a URL; write it as https://host:port"),
    ({"AWS_ENDPOINT_URL": "ftp://localhost"}, "AWS_ENDPOINT_URL is not a URL"),
    ({"AWS_ENDPOINT_URL": "http://localhost:99999"}, "AWS_ENDPOINT_URL is not a URL"),
    ({"AWS_ENDPOINT_URL": "http://localhost:0"}, "AWS_ENDPOINT_URL is not a URL"),
    ({"AWS_ENDPOINT_URL": "http://"}, "AWS_ENDPOINT_URL is not a URL"),
    ({"AWS_ENDPOINT_URL": "http://[::1"}, "AWS_ENDPOINT_URL is not a URL"),
    ({"AWS_ENDPOINT_URL_S3": "localhost:9000"}, "AWS_ENDPOINT_URL_S3 is not a URL"),
    ({"AWS_METADATA_SERVICE_TIMEOUT": "soon"}, "AWS_METADATA_SERVICE_TIMEOUT has a value that cannot be read"),
    ({"AWS_METADATA_SERVICE_NUM_ATTEMPTS": "x"}, "AWS_METADATA_SERVICE_NUM_ATTEMPTS has a value"),
    ({"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_CREDENTIAL_EXPIRATION": "soon"},
     "AWS_CREDENTIAL_EXPIRATION has a value that cannot be read"),
    ({"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_CREDENTIAL_EXPIRATION": "2020-01-01T00:00:00Z"},
     "the AWS credentials have expired; renew them"),
    ({"AWS_ACCESS_KEY_ID": "x"}, "AWS_SECRET_ACCESS_KEY"),
    ({"AWS_DEFAULTS_MODE": "x"}, "defaults mode"),
    ({"AWS_MAX_ATTEMPTS": "x"}, "AWS_MAX_ATTEMPTS has a value that cannot be read"),
    ({"AWS_RETRY_MODE": "x"}, "AWS_RETRY_MODE must be legacy, standard or adaptive"),
    ({"AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE": "x"}, "endpoint mode"),
    ({"AWS_REQUEST_MIN_COMPRESSION_SIZE_BYTES": "x"}, "request_min_compression_size_bytes"),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "says"), WRONG, ids=range(len(WRONG)))
def test_a_wrong_setting_fails_the_first_request(
    keyless: OddS3, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], says: str
) -> None:
    assert keyless
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(LakeSettingError, match=says) as raised:
        list(open_lake(LAKE).list_files())
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("settings", "profile", "retries"),
    [
        ({}, "", {"mode": "standard", "total_max_attempts": 6}),
        ({"AWS_MAX_ATTEMPTS": "2"}, "", {"mode": "standard", "total_max_attempts": 2}),
        ({"AWS_MAX_ATTEMPTS": "9"}, "max_attempts = 3", {"mode": "standard", "total_max_attempts": 9}),
        ({"AWS_RETRY_MODE": "adaptive"}, "", {"mode": "adaptive", "total_max_attempts": 6}),
        ({}, "max_attempts = 3\nretry_mode = legacy", {"mode": "legacy", "total_max_attempts": 3}),
    ],
    ids=range(5),
)
def test_a_setting_decides_how_often_a_request_is_tried(
    odd: OddS3,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    settings: dict[str, str],
    profile: str,
    retries: dict[str, object],
) -> None:
    (tmp_path / "config").write_text(f"[default]\n{profile}\n", encoding="utf-8")
    for name, value in ({"AWS_CONFIG_FILE": str(tmp_path / "config")} | settings).items():
        monkeypatch.setenv(name, value)
    client, _ = make_client("s3")
    assert client.meta.config.retries == retries
    odd.refuse = lambda _: S3Error(503, "SlowDown")
    if settings.get("AWS_MAX_ATTEMPTS") == "2":
        with pytest.raises(LakeError, match="SlowDown"):
            list(open_lake(LAKE).list_files())
        assert len(odd.requests) == 2


def test_an_impossible_bucket_is_a_wrong_setting(odd: OddS3) -> None:
    assert odd
    with pytest.raises(LakeSettingError, match=r"^LAKE_URL or QUEUE_URL is wrong: .*Invalid bucket name"):
        list(open_lake(f"s3://{300 * 'a'}/").list_files())


@pytest.mark.parametrize("process", ["/no/such", "echo rubbish", "false", "echo {}"])
def test_a_credential_process_that_fails_is_a_wrong_setting(
    keyless: OddS3, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, process: str
) -> None:
    assert keyless
    (tmp_path / "config").write_text(f"[default]\ncredential_process = {process}\n", encoding="utf-8")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    with pytest.raises(LakeSettingError):
        list(open_lake(LAKE).list_files())


@pytest.mark.parametrize("name", ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"])
def test_an_unreadable_configuration_is_a_wrong_setting(
    keyless: OddS3,
    monkeypatch: pytest.MonkeyPatch,
    open_folder: Path,
    name: str,
) -> None:
    assert keyless
    path = open_folder / "file"
    path.write_text("", encoding="utf-8")
    path.chmod(0)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(open_folder / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(open_folder / "none"))
    monkeypatch.setenv(name, str(path))
    with as_nobody(), pytest.raises(LakeSettingError, match=f"{name} is {path}, which"):
        list(open_lake(LAKE).list_files())
    monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(open_folder))
    (open_folder / ".aws").mkdir()
    path.rename(open_folder / ".aws" / ("config" if "CONFIG" in name else "credentials"))
    with as_nobody(), pytest.raises(LakeSettingError, match=f"{name} is {open_folder}"):
        list(open_lake(LAKE).list_files())
    (open_folder / ".aws").chmod(0)  # like the home of another account
    with as_nobody():
        assert not list(open_lake(LAKE).list_files())
    monkeypatch.setenv(name, str(open_folder / ".aws" / "config"))
    with as_nobody(), pytest.raises(LakeSettingError, match=f"{name} is {open_folder}"):
        list(open_lake(LAKE).list_files())


@pytest.mark.parametrize(
    "settings",
    [WRONG[0][0], {"AWS_PROFILE": "no-such-profile"}, {"AWS_CA_BUNDLE": "/no/such"}, WRONG[24][0]],
    ids=["token", "profile", "bundle", "expired"],
)
def test_a_wrong_setting_ends_every_command_with_2(
    keyless: OddS3, monkeypatch: pytest.MonkeyPatch, database: str, settings: dict[str, str]
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "x")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "x")
        keyless.put(FILES)
        assert run(lake=LAKE, database=database).returncode == 0
    for command in ([], ["--prune"], ["--rebuild"], ["--dry-run"], ["status"], ["verify"], ["watch"],
                    ["watch", "--queue", f"{keyless.url}/1/notifications"]):  # fmt: skip
        done = run(*command, lake=LAKE, database=database, **settings)
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    found = json.loads(run("doctor", "--json", lake=LAKE, database=database, **settings).stdout)
    assert [check["check"] for check in found["checks"] if check["ok"] is False] == ["lake"]
    Model().check(database, FILES)


def test_a_failed_role_is_reported(keyless: OddS3, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("token", encoding="utf-8")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/x")
    with socket.create_server(("127.0.0.1", 0)) as free:
        nowhere = f"http://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", nowhere)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(LakeError, match="the AWS credentials cannot be obtained") as raised:
        list(open_lake(LAKE).list_files())
    assert not isinstance(raised.value, LakeSettingError)
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", keyless.url)
    keyless.sts = S3Error(403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
    with pytest.raises(LakeSettingError, match=r"AssumeRoleWithWebIdentity was refused \(AccessDenied\)"):
        list(open_lake(LAKE).list_files())

    keyless.sts = S3Error(503, "ServiceUnavailable")
    with pytest.raises(LakeError, match="ServiceUnavailable") as raised:
        list(open_lake(LAKE).list_files())
    assert not isinstance(raised.value, LakeSettingError)


def test_a_malformed_endpoint_of_the_configuration_is_a_wrong_setting(
    keyless: OddS3, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert keyless
    (tmp_path / "config").write_text("[default]\nendpoint_url = ftp://x\n", encoding="utf-8")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    with pytest.raises(LakeSettingError, match=r"the AWS_\* settings are wrong"):
        list(open_lake(LAKE).list_files())
