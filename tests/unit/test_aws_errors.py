"""What the errors of S3, SQS and the credential services of AWS mean."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from processor.lake.aws_client import translate_error
from processor.lake.aws_errors import MEANINGS, PERMISSION, REGION, Cause, ServiceError, explain_service_error


def test_a_refusal_to_renew_credentials_is_not_a_refusal_of_an_object() -> None:
    answer = {"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPStatusCode": 403}}
    error = translate_error(ClientError(answer, "AssumeRoleWithWebIdentity"))  # type: ignore[arg-type]
    assert isinstance(error, ServiceError)
    assert error.cause is Cause.CREDENTIALS
    assert "AssumeRoleWithWebIdentity was refused (AccessDenied); allow AssumeRoleWithWebIdentity" in error.advice


# The cause, some words of the advice, and the codes of S3, SQS and STS with this meaning.
CODES = [
    (Cause.CREDENTIALS, "expired", "ExpiredToken ExpiredTokenException TokenRefreshRequired RequestExpired"),
    (Cause.CREDENTIALS, "does not know", """
     InvalidAccessKeyId InvalidClientTokenId InvalidToken AuthFailure InvalidSecurity
     UnrecognizedClientException MissingAuthenticationToken MissingSecurityHeader CredentialsNotSupported
     InvalidIdentityToken IDPCommunicationError IDPRejectedClaim
     """),
    (Cause.CREDENTIALS, "does not belong", "SignatureDoesNotMatch InvalidSignatureException IncompleteSignature"),
    (Cause.SETTING, "disabled", "AccountProblem AllAccessDisabled NotSignedUp OptInRequired UnauthorizedAccess"),
    (Cause.CLOCK, "clock", "RequestTimeTooSkewed RequestInTheFuture"),
    (Cause.SETTING, "AWS_DEFAULT_REGION", """
     AuthorizationHeaderMalformed PermanentRedirect TemporaryRedirect Redirect 301 302 307
     IllegalLocationConstraintException IncorrectEndpoint InvalidRegionName
     """),
    (Cause.SETTING, "LAKE_URL", "NoSuchBucket InvalidBucketName"),
    (Cause.SERVICE, "AWS_ENDPOINT_URL", "MethodNotAllowed NotImplemented 404 405 501 InvalidURI"),
    (Cause.SETTING, "QUEUE_URL", """
     NonExistentQueue QueueDoesNotExist InvalidAddress QueueDeletedRecently
     AWS.SimpleQueueService.NonExistentQueue
     """),
    (Cause.PERMISSION, "", "AccessDenied AccessDeniedException 403 401 KmsAccessDenied KMS.AccessDeniedException"),
    (Cause.OBJECT, "archive", "InvalidObjectState"),
    (Cause.OBJECT, "KMS key", """
     KMS.DisabledException KMS.NotFoundException KMS.InvalidStateException KmsInvalidState
     KMS.KMSInvalidStateException KMS.InvalidKeyUsageException KMS.OptInRequired KmsDisabled KmsNotFound
     KmsInvalidKeyUsage KmsOptInRequired
     """),
    (Cause.TEMPORARY, "run again later", """
     BandwidthLimitExceeded InternalError InternalFailure OperationAborted OverLimit 429 408
     PriorRequestNotComplete RequestLimitExceeded RequestThrottled RequestThrottledException RequestTimeout
     ServiceUnavailable SlowDown Throttling ThrottlingException ThrottledException TooManyRequestsException
     KMS.ThrottlingException KmsThrottled
     """),
    (Cause.UNKNOWN, "look up the error", "InvalidRequest Strange 400"),
]  # fmt: skip


@pytest.mark.parametrize(("cause", "word", "codes"), CODES, ids=range(len(CODES)))
def test_each_code_has_its_cause_and_advice(cause: Cause, word: str, codes: str) -> None:
    for code in codes.split():
        status = int(code) if code.isdigit() else 400
        said: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
        found = explain_service_error(ClientError(said, "x"))
        name = code.removeprefix("AWS.SimpleQueueService.")
        assert (found.code, found.cause, word in found.advice) == (name, cause, True)
        assert cause is not Cause.PERMISSION or not found.advice


def test_each_known_code_is_tested() -> None:
    held = " ".join(codes for _, _, codes in CODES[:-1]).replace("AWS.SimpleQueueService.", "")
    assert set(held.split()) == set(MEANINGS)


@pytest.mark.parametrize("text", ["kms:Decrypt", "s3:GetObject", "sqs:receivemessage"])
def test_a_permission_is_shown(text: str) -> None:
    found = PERMISSION.search(f"is not authorized to perform: {text} on resource: x")
    assert found is not None
    assert found[1] == text


@pytest.mark.parametrize("text", ["kms:\x9bDecrypt", "s3:Get<script>", "x" * 50 + ":Get", "kms", "S3:*", "a:b:c"])
def test_a_malformed_permission_is_not_shown(text: str) -> None:
    found = PERMISSION.search(f"is not authorized to perform: {text} on resource: x")
    assert found is None or found[1] == "s3:Get"


@pytest.mark.parametrize("text", ["eu west", "eu-west-1; x", "EU", "-1", "", "eu-\x9b"])
def test_a_malformed_region_is_not_shown(text: str) -> None:
    assert REGION.fullmatch(text) is None
