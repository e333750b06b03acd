"""Clients of S3 and SQS: how the AWS_* settings make them, how credentials are renewed, and what refusals mean."""

import os
import re
import ssl
import threading
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from processor.lake.base import LakeError, LakeSettingError, describe_error

if TYPE_CHECKING:
    from botocore.credentials import ReadOnlyCredentials
    from botocore.session import Session

CONNECTIONS = 64  # no request waits for another's connection
ATTEMPTS = 5
# What this program asks for; all else is botocore's own way to credentials.
OPERATIONS = ("ListObjectsV2", "GetObject", "ReceiveMessage", "DeleteMessageBatch")
# Of what a service answers nothing is shown that is not of these forms.
CODE = re.compile(r"[A-Za-z0-9.]{1,80}")
REGION = re.compile(r"[a-z]{2,12}(-[a-z0-9]{1,12}){1,4}")
RIGHT = re.compile(r"not authorized to perform: ([a-z0-9-]{1,40}:[A-Za-z0-9]{1,80})(?![\w*:])")
REGION_IN_TEXT = re.compile(r"expecting '([^']*)'|The (\S+) location constraint|s3[.-]([a-z0-9-]+)\.amazonaws")


class Blame(Enum):
    """What has to change before a refused request passes."""

    CREDENTIALS = "credentials"
    CLOCK = "clock"
    SETTING = "setting"
    SERVICE = "service"
    RIGHT = "right"
    OBJECT = "object"
    NOTHING = "nothing"  # it passes later by itself
    UNKNOWN = "unknown"


_EXPIRED = "the AWS credentials have expired; renew them"
_UNKNOWN_KEY = "AWS does not know these credentials; look at AWS_ACCESS_KEY_ID, AWS_SESSION_TOKEN or AWS_PROFILE"
_UNFIT_KEY = "the secret key does not belong to the access key; look at AWS_SECRET_ACCESS_KEY or AWS_PROFILE"
_ACCOUNT = "the AWS account or the bucket is disabled; ask its owner"
_CLOCK = "the clock of this machine is wrong; set it"
_REGION = "the bucket is in another region; set AWS_DEFAULT_REGION to it"
_KMS_KEY = "its KMS key cannot be used; enable or restore the key"
_NO_SERVICE = "what answers does not know this request; look at AWS_ENDPOINT_URL"
MEANINGS: dict[str, tuple[Blame, str]] = {
    **dict.fromkeys(
        ("ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired"),
        (Blame.CREDENTIALS, _EXPIRED),
    ),
    **dict.fromkeys(
        ("InvalidAccessKeyId", "InvalidClientTokenId", "InvalidToken", "UnrecognizedClientException", "AuthFailure",
         "InvalidSecurity", "MissingAuthenticationToken", "MissingSecurityHeader", "CredentialsNotSupported",
         "InvalidIdentityToken", "IDPCommunicationError", "IDPRejectedClaim"),
        (Blame.CREDENTIALS, _UNKNOWN_KEY),
    ),
    **dict.fromkeys(
        ("SignatureDoesNotMatch", "InvalidSignatureException", "IncompleteSignature"),
        (Blame.CREDENTIALS, _UNFIT_KEY),
    ),
    **dict.fromkeys(
        ("AccountProblem", "AllAccessDisabled", "NotSignedUp", "OptInRequired", "UnauthorizedAccess"),
        (Blame.SETTING, _ACCOUNT),
    ),
    **dict.fromkeys(("RequestTimeTooSkewed", "RequestInTheFuture"), (Blame.CLOCK, _CLOCK)),
    **dict.fromkeys(
        ("AuthorizationHeaderMalformed", "PermanentRedirect", "TemporaryRedirect", "Redirect", "301", "302", "307",
         "IllegalLocationConstraintException", "IncorrectEndpoint", "InvalidRegionName"),
        (Blame.SETTING, _REGION),
    ),
    **dict.fromkeys(("NoSuchBucket", "InvalidBucketName"), (Blame.SETTING, "there is no such bucket; fix LAKE_URL")),
    **dict.fromkeys(
        ("MethodNotAllowed", "NotImplemented", "404", "405", "501", "InvalidURI"), (Blame.SERVICE, _NO_SERVICE)
    ),
    **dict.fromkeys(
        ("NonExistentQueue", "QueueDoesNotExist", "InvalidAddress", "QueueDeletedRecently"),
        (Blame.SETTING, "there is no such queue; fix QUEUE_URL"),
    ),
    **dict.fromkeys(
        ("AccessDenied", "AccessDeniedException", "403", "401", "KmsAccessDenied", "KMS.AccessDeniedException"),
        (Blame.RIGHT, ""),
    ),
    "InvalidObjectState": (Blame.OBJECT, "it is in an archive; restore it, then run again"),
    **dict.fromkeys(
        ("KMS.DisabledException", "KMS.NotFoundException", "KMS.InvalidStateException", "KMS.KMSInvalidStateException",
         "KMS.InvalidKeyUsageException", "KMS.OptInRequired", "KmsDisabled", "KmsInvalidState", "KmsNotFound",
         "KmsInvalidKeyUsage", "KmsOptInRequired"),
        (Blame.OBJECT, _KMS_KEY),
    ),
    **dict.fromkeys(
        ("BandwidthLimitExceeded", "InternalError", "InternalFailure", "OperationAborted", "OverLimit", "429", "408",
         "PriorRequestNotComplete", "RequestLimitExceeded", "RequestThrottled", "RequestThrottledException",
         "RequestTimeout", "ServiceUnavailable", "SlowDown", "Throttling", "ThrottlingException", "ThrottledException",
         "TooManyRequestsException", "KMS.ThrottlingException", "KmsThrottled"),
        (Blame.NOTHING, "run again later"),
    ),
}  # fmt: skip


class RefusedError(Exception):
    """A service answered with an error.

    `code` is the service's word for it, `blame` what has to change, `advice` one line on that, empty where the caller
    knows better. `right` names the permission that is missing, where the service does.
    """

    def __init__(self, code: str, blame: Blame, advice: str, right: str | None = None, text: str = "") -> None:
        """What was answered; `text` is the service's own message, which is not to be shown."""
        super().__init__(f"{code}: {advice}")
        self.code, self.blame, self.advice, self.right, self.text = code, blame, advice, right, text


class UnreachableError(Exception):
    """A service gives no answer, or none that can be read; the message says why."""


class Client:
    """A service of AWS as the AWS_* settings reach it.

    botocore renews by itself what has an end: roles, web identities, SSO, the metadata of a machine or container. Keys
    in a file or in the environment it reads once. So where credentials are refused, they are read again, and the
    request is repeated if there are others. Threads may share a client.
    """

    def __init__(self, service: Literal["s3", "sqs"]) -> None:
        """A client that is made when it is first asked."""
        self._service: Literal["s3", "sqs"] = service
        self._made: tuple[Any, ReadOnlyCredentials | None] | None = None
        self._making = threading.Lock()
        self.has_answered = False

    @property
    def is_anonymous(self) -> bool:
        """Whether there are no credentials; raises LakeError."""
        return self._client_and_credentials()[1] is None

    def ask(self, operation: str, **request: Any) -> Any:
        """The answer to a request; raises RefusedError, UnreachableError, LakeError."""
        client, credentials = self._client_and_credentials()
        try:
            return self._asked(client, operation, request)
        except RefusedError as error:
            if error.blame is not Blame.CREDENTIALS or not self._is_renewed(credentials):
                raise
            client, _ = self._client_and_credentials()
            return self._asked(client, operation, request)

    def _asked(self, client: Any, operation: str, request: dict[str, Any]) -> Any:
        try:
            answer = getattr(client, operation)(**request)
        except Exception as error:
            raise _trouble(error) from error
        self.has_answered = True
        return answer

    def _client_and_credentials(self) -> "tuple[Any, ReadOnlyCredentials | None]":
        with self._making:
            if self._made is None:
                self._made = _made(self._service)
            return self._made

    def _is_renewed(self, refused: "ReadOnlyCredentials | None") -> bool:
        """Take up credentials that took the place of refused ones, unless another thread did; whether there are any."""
        with self._making:
            if self._made is not None and self._made[1] != refused:
                return True
            try:
                made = _made(self._service)
            except LakeError:  # a file that is being written, say; what was answered first says more
                return False
            if made[1] in (None, refused):
                return False
            self._made = made
            return True


def _made(service: Literal["s3", "sqs"]) -> "tuple[Any, ReadOnlyCredentials | None]":
    """A client as the AWS_* settings want it, and its credentials now; raises LakeError."""
    import boto3
    import botocore.session
    from botocore import UNSIGNED
    from botocore.config import Config

    config = Config(
        retries={"mode": "standard", "max_attempts": ATTEMPTS},
        connect_timeout=10,
        read_timeout=60,
        max_pool_connections=CONNECTIONS,
        # Some endpoints send the checksum of the whole object with a byte range of it.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    core = botocore.session.get_session()
    try:
        _check_files(core)
        session = boto3.Session(botocore_session=core)
        if session.region_name == "":
            raise LakeSettingError("AWS_DEFAULT_REGION is set but empty; unset it, or name a region as eu-west-1")
        _check_endpoints(service)
        credentials = session.get_credentials()
        frozen = None if credentials is None else credentials.get_frozen_credentials()
        if frozen is None:
            config = config.merge(Config(signature_version=UNSIGNED))
        elif any(not re.fullmatch("[!-~]*", value or "") for value in frozen[:3]):
            # said here: what fails at the header that holds them would repeat them
            raise LakeSettingError("the AWS_* credentials hold a space, a line break or no ASCII; set them without")
        client = session.client(service, config=config)
    except LakeError:
        raise
    except Exception as error:
        raise _setting_error(error, core) from error
    client.meta.events.register("before-parse.s3.ListObjectsV2", _read_end)
    return client, frozen


def _read_end(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: object) -> None:
    """Read whether a listing is truncated, None where it does not say so: to botocore all is false but `true`."""
    found = re.search(rb"<IsTruncated>\s*(true|false)\s*</IsTruncated>", response_dict["body"], re.IGNORECASE)
    customized_response_dict["IsTruncated"] = None if found is None else found[1].lower() == b"true"


def _check_files(core: "Session") -> None:
    """Refuse files that are there and cannot be read, which botocore passes over or finds out at the first request."""
    for name, variable in (("AWS_CONFIG_FILE", "config_file"), ("AWS_SHARED_CREDENTIALS_FILE", "credentials_file")):
        path = Path(os.path.expandvars(core.get_config_variable(variable))).expanduser()
        try:
            path.open("rb").close()
        except FileNotFoundError:
            pass
        except OSError as error:
            if name in os.environ or os.access(path, os.F_OK, effective_ids=True):
                raise LakeSettingError(
                    f"{name} leads to {path}, which cannot be read ({_reason(error)}); fix that"
                ) from error
    name, named = "AWS_CA_BUNDLE", core.get_config_variable("ca_bundle")
    if not named:
        name = "REQUESTS_CA_BUNDLE"  # botocore heeds it, too
        named = os.environ.get(name)
    if named:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(named)
        except OSError as error:
            raise LakeSettingError(
                f"{name} names {named}, which is no file of certificates ({_reason(error)}); name one that is"
            ) from error


def _check_endpoints(service: str) -> None:
    """Refuse an endpoint that is no URL, without repeating it: it may hold a password."""
    for name in (f"AWS_ENDPOINT_URL_{service.upper()}", "AWS_ENDPOINT_URL"):
        url = os.environ.get(name)
        if url:
            with suppress(ValueError):  # of a port or an address that is none
                parts = urlsplit(url)
                if parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port):
                    continue
            raise LakeSettingError(f"{name} is no URL; write it as https://host:port")


def _setting_error(error: Exception, core: "Session") -> LakeError:
    """Why there is no client."""
    from botocore import exceptions as of

    if isinstance(error, of.ClientError):
        refused = refusal(error)
        kind = LakeError if refused.blame is Blame.NOTHING else LakeSettingError
        advice = refused.advice or f"allow {refused.right or error.operation_name}"
        return kind(f"the AWS credentials cannot be had: {error.operation_name} was refused ({refused.code}); {advice}")
    if isinstance(error, of.ConnectionError | of.HTTPClientError):
        return LakeError(
            f"the AWS credentials cannot be had: {describe_error(error)}; look at the AWS_* settings and the network"
        )
    if isinstance(error, OSError) and error.filename:
        named = (name for name, value in os.environ.items() if name.startswith("AWS_") and value == error.filename)
        return LakeSettingError(
            f"{next(named, 'an AWS setting')} names {error.filename}, which cannot be used ({_reason(error)}); fix it"
        )
    if isinstance(error, RuntimeError):
        return LakeSettingError(_EXPIRED)
    if not isinstance(error, of.BotoCoreError) and (name := _misread(core)):
        return LakeSettingError(f"{name} has a value that cannot be read; fix or unset it")
    return LakeSettingError(f"the AWS_* settings are wrong: {describe_error(error).rstrip('.')}; fix them")


def _misread(core: "Session") -> str | None:
    """The variable of the environment that makes botocore stumble, where it is one that holds a number or a time."""
    from botocore.configprovider import BOTOCORE_DEFAUT_SESSION_VARIABLES
    from botocore.utils import parse_timestamp

    for logical, (_, name, _, convert) in BOTOCORE_DEFAUT_SESSION_VARIABLES.items():
        if convert is not None and isinstance(name, str):
            try:
                core.get_config_variable(logical)
            except ValueError:
                return name
    name = "AWS_CREDENTIAL_EXPIRATION"
    try:
        parse_timestamp(os.environ.get(name) or "0")
    except ValueError:
        return name
    return None


def _reason(error: OSError) -> str:
    return "it holds none" if isinstance(error, ssl.SSLError) else error.strerror or type(error).__name__


def _trouble(error: Exception) -> Exception:
    """What the failure of a request is, in this module's words."""
    from botocore import exceptions as of
    from botocore.parsers import ResponseParserError

    if isinstance(error, of.ClientError):
        refused = refusal(error)
        if error.operation_name in OPERATIONS:
            return refused
        advice = refused.advice or f"allow {refused.right or error.operation_name}"
        says = f"the AWS credentials cannot be renewed: {error.operation_name} was refused ({refused.code}); {advice}"
        return RefusedError(refused.code, Blame.CREDENTIALS, says)
    if isinstance(error, of.ConnectionError | of.HTTPClientError):
        return UnreachableError(describe_error(error))
    if isinstance(
        error,
        of.CredentialRetrievalError | of.MetadataRetrievalError | of.NoCredentialsError | of.PartialCredentialsError
        | of.NoAuthTokenError | of.TokenRetrievalError | of.SSOError | of.LoginError | of.RefreshWithMFAUnsupportedError
        | RuntimeError | OSError,
    ):  # fmt: skip
        says = (
            _EXPIRED
            if isinstance(error, RuntimeError)
            else f"the AWS credentials cannot be renewed ({describe_error(error)})"
        )
        return RefusedError("NoCredentials", Blame.CREDENTIALS, says)
    if isinstance(error, of.ParamValidationError):
        return LakeSettingError(f"LAKE_URL or QUEUE_URL is wrong: {describe_error(error)}; fix it")
    if isinstance(error, of.BotoCoreError) and not isinstance(error, ResponseParserError):
        return LakeSettingError(f"the AWS_* settings are wrong: {describe_error(error).rstrip('.')}; fix them")
    return UnreachableError(f"its answer cannot be read ({describe_error(error)})")


def refusal(error: Any) -> RefusedError:
    """What an error that a service answered with means; `error` is botocore's ClientError."""
    said = error.response.get("Error") or {}
    metadata = error.response.get("ResponseMetadata") or {}
    status, text = metadata.get("HTTPStatusCode", 0), str(said.get("Message") or "")
    code = str(said.get("Code") or "")
    code = code if CODE.fullmatch(code) else str(status)
    if "AWS.SimpleQueueService." in code:
        code = code.rpartition(".")[2]
    found = RIGHT.search(text)
    right = found and found[1]
    blame, advice = MEANINGS.get(code, (Blame.UNKNOWN, f"look the error {code} up in the documentation of the service"))
    if blame is Blame.UNKNOWN and (status >= 500 or status in (408, 429)):
        blame, advice = Blame.NOTHING, "run again later"
    if right:
        blame, advice = Blame.RIGHT, ""
    elif re.search("Signature (expired|not yet current)", text):
        blame, advice = Blame.CLOCK, _CLOCK
    elif re.search("requester.?pays|request-payer", text, re.IGNORECASE):
        blame, advice = Blame.SETTING, "whoever reads the bucket pays for it; set AWS_REQUEST_PAYER to requester"
    elif re.search("Server Side Encryption", text):
        blame, advice = Blame.OBJECT, "it is encrypted with a key of its writer's (SSE-C); write it with another"
    elif advice == _REGION:
        advice = _region_advice(said, metadata, text)
    return RefusedError(code, blame, advice, right, text)


def _region_advice(said: dict[str, Any], metadata: dict[str, Any], text: str) -> str:
    headers = metadata.get("HTTPHeaders") or {}
    in_text = (found for match in REGION_IN_TEXT.finditer(f"{text} {said.get('Endpoint')}") for found in match.groups())
    for region in (said.get("Region"), headers.get("x-amz-bucket-region"), *in_text):
        if region and REGION.fullmatch(str(region)):
            return f"the bucket is in region {region}; set AWS_DEFAULT_REGION to it"
    return _REGION
