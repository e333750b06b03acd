"""The meaning of errors from S3, SQS and the credential services of AWS."""

import re
from enum import Enum
from typing import Any

# Only parts of an answer that have these forms are shown to the user.
CODE = re.compile(r"[A-Za-z0-9.]{1,80}")
REGION = re.compile(r"[a-z]{2,12}(-[a-z0-9]{1,12}){1,4}")
PERMISSION = re.compile(r"not authorized to perform: ([a-z0-9-]{1,40}:[A-Za-z0-9]{1,80})(?![\w*:])")
REGION_IN_TEXT = re.compile(r"expecting '([^']*)'|The (\S+) location constraint|s3[.-]([a-z0-9-]+)\.amazonaws")


class Cause(Enum):
    """What has to change before a refused request succeeds."""

    CREDENTIALS = "credentials"
    CLOCK = "clock"
    SETTING = "setting"
    SERVICE = "service"
    PERMISSION = "permission"
    OBJECT = "object"
    TEMPORARY = "temporary"  # it succeeds later, without a change
    UNKNOWN = "unknown"


EXPIRED = "the AWS credentials have expired; renew them"
_UNKNOWN_KEY = "AWS does not know these credentials; look at AWS_ACCESS_KEY_ID, AWS_SESSION_TOKEN or AWS_PROFILE"
_MISMATCH = "the secret key does not belong to the access key; look at AWS_SECRET_ACCESS_KEY or AWS_PROFILE"
_ACCOUNT = "the AWS account or the bucket is disabled; ask its owner"
_CLOCK = "the clock of this machine is wrong; set it"
_REGION = "the bucket is in another region; set AWS_DEFAULT_REGION to it"
_KMS_KEY = "its KMS key cannot be used; enable or restore the key"
_UNKNOWN_REQUEST = "the endpoint does not know this request; look at AWS_ENDPOINT_URL"
MEANINGS: dict[str, tuple[Cause, str]] = {
    **dict.fromkeys(
        ("ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired"),
        (Cause.CREDENTIALS, EXPIRED),
    ),
    **dict.fromkeys(
        ("InvalidAccessKeyId", "InvalidClientTokenId", "InvalidToken", "UnrecognizedClientException", "AuthFailure",
         "InvalidSecurity", "MissingAuthenticationToken", "MissingSecurityHeader", "CredentialsNotSupported",
         "InvalidIdentityToken", "IDPCommunicationError", "IDPRejectedClaim"),
        (Cause.CREDENTIALS, _UNKNOWN_KEY),
    ),
    **dict.fromkeys(
        ("SignatureDoesNotMatch", "InvalidSignatureException", "IncompleteSignature"),
        (Cause.CREDENTIALS, _MISMATCH),
    ),
    **dict.fromkeys(
        ("AccountProblem", "AllAccessDisabled", "NotSignedUp", "OptInRequired", "UnauthorizedAccess"),
        (Cause.SETTING, _ACCOUNT),
    ),
    **dict.fromkeys(("RequestTimeTooSkewed", "RequestInTheFuture"), (Cause.CLOCK, _CLOCK)),
    **dict.fromkeys(
        ("AuthorizationHeaderMalformed", "PermanentRedirect", "TemporaryRedirect", "Redirect", "301", "302", "307",
         "IllegalLocationConstraintException", "IncorrectEndpoint", "InvalidRegionName"),
        (Cause.SETTING, _REGION),
    ),
    **dict.fromkeys(("NoSuchBucket", "InvalidBucketName"), (Cause.SETTING, "there is no such bucket; fix LAKE_URL")),
    **dict.fromkeys(
        ("MethodNotAllowed", "NotImplemented", "404", "405", "501", "InvalidURI"), (Cause.SERVICE, _UNKNOWN_REQUEST)
    ),
    **dict.fromkeys(
        ("NonExistentQueue", "QueueDoesNotExist", "InvalidAddress", "QueueDeletedRecently"),
        (Cause.SETTING, "there is no such queue; fix QUEUE_URL"),
    ),
    **dict.fromkeys(
        ("AccessDenied", "AccessDeniedException", "403", "401", "KmsAccessDenied", "KMS.AccessDeniedException"),
        (Cause.PERMISSION, ""),
    ),
    "InvalidObjectState": (Cause.OBJECT, "it is in an archive; restore it, then run again"),
    **dict.fromkeys(
        ("KMS.DisabledException", "KMS.NotFoundException", "KMS.InvalidStateException", "KMS.KMSInvalidStateException",
         "KMS.InvalidKeyUsageException", "KMS.OptInRequired", "KmsDisabled", "KmsInvalidState", "KmsNotFound",
         "KmsInvalidKeyUsage", "KmsOptInRequired"),
        (Cause.OBJECT, _KMS_KEY),
    ),
    **dict.fromkeys(
        ("BandwidthLimitExceeded", "InternalError", "InternalFailure", "OperationAborted", "OverLimit", "429", "408",
         "PriorRequestNotComplete", "RequestLimitExceeded", "RequestThrottled", "RequestThrottledException",
         "RequestTimeout", "ServiceUnavailable", "SlowDown", "Throttling", "ThrottlingException", "ThrottledException",
         "TooManyRequestsException", "KMS.ThrottlingException", "KmsThrottled"),
        (Cause.TEMPORARY, "run again later"),
    ),
}  # fmt: skip


class ServiceError(Exception):
    """A service answered a request with an error.

    code: the service's name for the error. cause: what has to change. advice: one line about that; empty if the caller
    knows better. permission: the missing permission, if the service names it. text: the service's own message, which
    must not be shown to the user.
    """

    def __init__(self, code: str, cause: Cause, advice: str, permission: str | None = None, text: str = "") -> None:
        super().__init__(f"{code}: {advice}")
        self.code, self.cause, self.advice, self.permission, self.text = code, cause, advice, permission, text


class UnreachableError(Exception):
    """A service does not answer, or its answer cannot be read; the message says why."""


def explain_service_error(error: Any) -> ServiceError:
    """Return the meaning of the error that a service answered with; `error` is botocore's ClientError."""
    answer = error.response.get("Error") or {}
    metadata = error.response.get("ResponseMetadata") or {}
    status, text = metadata.get("HTTPStatusCode", 0), str(answer.get("Message") or "")
    code = str(answer.get("Code") or "")
    code = code if CODE.fullmatch(code) else str(status)
    if "AWS.SimpleQueueService." in code:
        code = code.rpartition(".")[2]
    match = PERMISSION.search(text)
    permission = match and match[1]
    unknown = Cause.UNKNOWN, f"look up the error {code} in the documentation of the service"
    cause, advice = MEANINGS.get(code, unknown)
    if cause is Cause.UNKNOWN and (status >= 500 or status in (408, 429)):
        cause, advice = Cause.TEMPORARY, "run again later"
    if permission:
        cause, advice = Cause.PERMISSION, ""
    elif re.search("Signature (expired|not yet current)", text):
        cause, advice = Cause.CLOCK, _CLOCK
    elif re.search("requester.?pays|request-payer", text, re.IGNORECASE):
        cause, advice = Cause.SETTING, "whoever reads the bucket pays for it; set AWS_REQUEST_PAYER to requester"
    elif re.search("Server Side Encryption", text):
        advice = "it is encrypted with its writer's own key (SSE-C); write it with another kind of encryption"
        cause = Cause.OBJECT
    elif advice == _REGION:
        advice = _region_advice(answer, metadata, text)
    return ServiceError(code, cause, advice, permission, text)


def _region_advice(answer: dict[str, Any], metadata: dict[str, Any], text: str) -> str:
    headers = metadata.get("HTTPHeaders") or {}
    matches = REGION_IN_TEXT.finditer(f"{text} {answer.get('Endpoint')}")
    in_text = (region for match in matches for region in match.groups())
    for region in (answer.get("Region"), headers.get("x-amz-bucket-region"), *in_text):
        if region and REGION.fullmatch(str(region)):
            return f"the bucket is in region {region}; set AWS_DEFAULT_REGION to it"
    return _REGION
