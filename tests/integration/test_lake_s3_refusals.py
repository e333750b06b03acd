"""Refusals of S3: what each one means, and what the user should do."""

from itertools import count
from typing import Any

import pytest

from processor.lake.base import FileError, LakeError, LakeSettingError
from processor.lake.open_lake import open_lake
from tests.support.event_files import FILES, LAKE, events
from tests.support.lake_files import failed, fingerprints, read_lake_file
from tests.support.odd_s3 import OddS3, S3Error
from tests.support.program_runs import run
from tests.support.tables import Model


def line_of(done: Any) -> str:
    """Return the only line of a run that failed."""
    (line,) = [
        line for line in done.stderr.splitlines() if not line.startswith(("nothing was counted", "Done", "Nothing"))
    ]
    return str(line)


# Refusals by S3, each with the exit code of the run and some words of its message.

AGAIN = "run again later|next run tries again"
KMS = "User: arn:aws:iam::1:user/x is not authorized to perform: kms:Decrypt on resource: arn:aws:kms:eu-west-1:1:key/k"
LIST = "User: x is not authorized to perform: s3:ListBucket on resource: y with an explicit deny"
MALFORMED = "The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-west-1'"
LOCATION = (
    "The me-south-1 location constraint is incompatible for the region specific endpoint this request was sent to."
)
LISTINGS = [
    (S3Error(400, "AuthorizationHeaderMalformed", MALFORMED), 2, "in region eu-west-1; set AWS_DEFAULT_REGION"),
    (S3Error(400, "AuthorizationHeaderMalformed", "other"), 2, "another region; set AWS_DEFAULT_REGION"),
    (S3Error(400, "AuthorizationHeaderMalformed", "expecting '\x9b; drop'"), 2, "another region; set AWS"),
    (S3Error(301, "PermanentRedirect", "", "<Endpoint>lake.s3.eu-west-2.amazonaws.com</Endpoint>"), 2, "eu-west-2"),
    (S3Error(301, ""), 2, "another region; set AWS_DEFAULT_REGION"),
    (S3Error(301, "", headers=(("x-amz-bucket-region", "eu-north-1"),)), 2, "eu-north-1"),
    (S3Error(400, "IllegalLocationConstraintException", LOCATION), 2, "me-south-1"),
    (S3Error(403, "RequestTimeTooSkewed"), 1, "the clock of this machine is wrong; set it"),
    (S3Error(403, "AccessDenied", "Access Denied"), 2, "allow s3:ListBucket.*AWS_REQUEST_PAYER"),
    (S3Error(403, "AccessDenied", LIST), 2, "allow s3:ListBucket, or fix the AWS"),
    (S3Error(403, "AccessDenied", KMS), 2, "allow kms:Decrypt"),
    (S3Error(403, "AccessDenied", "not authorized to perform: s3:\x9bX; do"), 2, "allow s3:ListBucket"),
    (S3Error(403, ""), 2, "allow s3:ListBucket"),
    (S3Error(403, "AccessDenied", "Bucket is a Requester Pays bucket"), 2, "set AWS_REQUEST_PAYER to requester"),
    (S3Error(400, "ExpiredToken"), 2, "the AWS credentials have expired; renew them"),
    (S3Error(400, "TokenRefreshRequired"), 2, "expired; renew them"),
    (S3Error(403, "InvalidAccessKeyId"), 2, "AWS does not know these credentials"),
    (S3Error(403, "SignatureDoesNotMatch"), 2, "the secret key does not belong to the access key"),
    (S3Error(403, "SignatureDoesNotMatch", "Signature expired: 2024 is now earlier than 2025"), 1, "the clock"),
    (S3Error(403, "AllAccessDisabled"), 2, "disabled; ask its owner"),
    (S3Error(404, "NoSuchBucket"), 2, "there is no bucket lake"),
    (S3Error(404, ""), 2, "look at AWS_ENDPOINT_URL"),
    (S3Error(405, "MethodNotAllowed"), 2, "look at AWS_ENDPOINT_URL"),
    (S3Error(501, "NotImplemented"), 2, "look at AWS_ENDPOINT_URL"),
    (S3Error(400, "InvalidRequest"), 1, "look up the error InvalidRequest"),
    (S3Error(400, "\x9b31m"), 1, "look up the error 400"),
    (S3Error(503, "SlowDown"), 1, AGAIN),
    (S3Error(500, "InternalError"), 1, AGAIN),
    (S3Error(502, ""), 1, AGAIN),
    (S3Error(429, "TooManyRequests"), 1, AGAIN),
]  # fmt: skip


@pytest.fixture
def once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not retry refused requests in this process."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")


@pytest.mark.usefixtures("once")
@pytest.mark.parametrize(("refusal", "code", "says"), LISTINGS, ids=count())
def test_a_refused_listing_says_what_to_do(odd: OddS3, refusal: S3Error, code: int, says: str) -> None:
    odd.refuse = lambda _: refusal
    with pytest.raises(LakeError, match=says) as raised:
        list(open_lake(LAKE).list_files())
    line = str(raised.value)
    assert isinstance(raised.value, LakeSettingError) == (code == 2)
    assert ("again" in line) == (says == AGAIN), line
    assert line.isprintable()


def test_a_refusal_is_one_line_and_an_exit_code(odd: OddS3, database: str) -> None:
    for refusal, code, says in (LISTINGS[0], LISTINGS[7]):
        odd.refuse = lambda _, refusal=refusal: refusal  # type: ignore[misc]
        for command in ([], ["watch"], ["verify"]):
            done = run(*command, lake=LAKE, database=database)
            (line,) = done.stderr.splitlines()
            assert (done.returncode, says in line) == (code, True)


OBJECTS = [
    (S3Error(403, "InvalidObjectState"), "it is in an archive; restore it"),
    (S3Error(403, "AccessDenied", KMS), "allow kms:Decrypt with its KMS key"),
    (S3Error(403, "AccessDenied", "Access Denied"), "allow s3:GetObject on it"),
    (
        S3Error(403, "AccessDenied", KMS.replace("kms:Decrypt", "s3:GetObjectVersion")),
        "allow s3:GetObjectVersion on it",
    ),
    (S3Error(400, "KMS.DisabledException"), "KMS key cannot be used; enable or restore"),
    (S3Error(400, "KMS.KMSInvalidStateException"), "KMS key cannot be used; enable or restore"),
    (S3Error(400, "InvalidRequest", "The object was stored using a form of Server Side Encryption."), "SSE-C"),
    (S3Error(501, "NotImplemented"), "look at AWS_ENDPOINT_URL"),
    (S3Error(405, "MethodNotAllowed"), "look at AWS_ENDPOINT_URL"),
    (S3Error(400, "InvalidRequest"), "look up the error InvalidRequest"),
    (S3Error(503, "SlowDown"), AGAIN),
    (S3Error(500, "InternalError"), AGAIN),
]


@pytest.mark.usefixtures("once")
@pytest.mark.parametrize(("refusal", "says"), OBJECTS, ids=count())
def test_a_refused_object_says_what_to_do(odd: OddS3, refusal: S3Error, says: str) -> None:
    odd.put(FILES)
    odd.refuse = lambda request: refusal if request.key == "p/c.tsv" and request.kind == "get" else None
    with pytest.raises(FileError, match=says) as raised:
        read_lake_file(key="c.tsv")
    assert ("again" in str(raised.value)) == (says == AGAIN or "archive" in says)
    assert read_lake_file(key="d.tsv") == FILES["d.tsv"]


LAKES = [
    (S3Error(400, "ExpiredToken"), "the AWS credentials have expired; renew them"),
    (S3Error(403, "InvalidAccessKeyId"), "AWS does not know these credentials"),
    (S3Error(403, "SignatureDoesNotMatch"), "the secret key does not belong"),
    (S3Error(403, "RequestTimeTooSkewed"), "the clock of this machine is wrong"),
    (S3Error(400, "InvalidToken"), "AWS does not know these credentials"),
    (S3Error(400, "TokenRefreshRequired"), "expired; renew them"),
    (S3Error(403, "AllAccessDisabled"), "disabled; ask its owner"),
    (S3Error(400, "AuthorizationHeaderMalformed", MALFORMED), "in region eu-west-1"),
    (S3Error(404, "NoSuchBucket"), "there is no such bucket"),
]


@pytest.mark.parametrize(("refusal", "says"), LAKES, ids=count())
def test_a_fault_of_the_whole_lake_is_not_a_files_fault(odd: OddS3, refusal: S3Error, says: str) -> None:
    odd.put(FILES)
    odd.refuse = lambda request: refusal if request.kind == "get" else None
    with pytest.raises(LakeError, match=says) as raised:
        read_lake_file()
    assert not isinstance(raised.value, LakeSettingError)  # the listing passed


@pytest.mark.parametrize("command", [[], ["--rebuild"], ["verify"]])
def test_a_token_that_expires_while_reading_is_reported_once(odd: OddS3, database: str, command: list[str]) -> None:
    lake = {f"{number:03}.tsv": events(number % 40, 30, f"t{number}") for number in range(120)}
    odd.put(lake)
    if command:
        assert run(lake=LAKE, database=database).returncode == 0
    before, known = len(odd.gets()), fingerprints(database) if command else {}
    odd.refuse = lambda request: (
        S3Error(400, "ExpiredToken") if request.kind == "get" and len(odd.gets()) > before + 20 else None
    )
    done = run(*command, "--workers", "2", lake=LAKE, database=database, LAKE_AHEAD="2")
    (line,) = done.stderr.splitlines()
    assert (done.returncode, "have expired; renew them" in line) == (1, True)
    assert failed(database) == []
    assert not command or fingerprints(database) == known
    assert len(odd.gets()) < before + 80  # two processes had read ahead


def test_a_token_that_expires_during_the_listing_is_not_a_wrong_setting(odd: OddS3, database: str) -> None:
    odd.put(FILES)
    odd.page = 2
    odd.refuse = lambda request: S3Error(400, "ExpiredToken") if request.token else None
    done = run("--prune-all", lake=LAKE, database=database)
    assert (done.returncode, "have expired; renew them" in done.stderr) == (1, True)
    assert fingerprints(database) == {}


def test_requests_name_the_payer_of_the_setting(odd: OddS3, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    odd.put(FILES)
    odd.refuse = lambda request: (
        None if request.headers.get("x-amz-request-payer") == "requester" else S3Error(403, "AccessDenied")
    )
    assert "AWS_REQUEST_PAYER" in run(lake=LAKE, database=database).stderr
    monkeypatch.setenv("AWS_REQUEST_PAYER", "requester")
    assert run("--workers", "2", lake=LAKE, database=database).returncode == 0
    Model().check(database, FILES)
    monkeypatch.setenv("AWS_REQUEST_PAYER", "me")
    for command in ([], ["status"], ["forget", "a.tsv"]):
        done = run(*command, lake=LAKE, database=database)
        assert (done.returncode, "AWS_REQUEST_PAYER" in line_of(done)) == (2, True)
    monkeypatch.delenv("AWS_REQUEST_PAYER")
    odd.refuse = lambda request: S3Error(403, "") if request.headers.get("x-amz-request-payer") else None
    assert run("verify", lake=LAKE, database=database).returncode == 0


def test_a_refusal_without_credentials_says_so(odd: OddS3, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    odd.refuse = lambda _: S3Error(403, "AccessDenied")
    done = run(lake=LAKE, database=database)
    assert (done.returncode, "the request was sent without credentials: set the AWS_*" in done.stderr) == (
        2,
        True,
    )
