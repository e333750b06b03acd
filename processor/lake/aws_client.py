"""A client of S3 or SQS that renews refused credentials and says why a request failed."""

import threading
from typing import TYPE_CHECKING, Any, Literal

from processor.lake.aws_errors import EXPIRED, Cause, ServiceError, UnreachableError, explain_service_error
from processor.lake.aws_settings import make_client
from processor.lake.base import LakeError, LakeSettingError
from processor.safe_text import describe_error

if TYPE_CHECKING:
    from botocore.credentials import ReadOnlyCredentials

# The requests of this program; botocore sends all others to get credentials.
OPERATIONS = ("ListObjectsV2", "GetObject", "ReceiveMessage", "DeleteMessageBatch")


class AwsClient:
    """A service of AWS, as the AWS_* settings describe it; threads may share a client.

    botocore itself renews credentials that expire: roles, web identities, SSO, the metadata of a machine or container.
    It reads keys in a file or in the environment only once. So if credentials are refused, this client reads them
    again, and repeats the request if they have changed.
    """

    def __init__(self, service: Literal["s3", "sqs"]) -> None:
        """Name the service; the first request makes botocore's client."""
        self._service: Literal["s3", "sqs"] = service
        self._made: tuple[Any, ReadOnlyCredentials | None] | None = None
        self._lock = threading.Lock()
        self.has_answered = False

    @property
    def is_anonymous(self) -> bool:
        """Return whether credentials are missing; raises LakeError."""
        return self._client_and_credentials()[1] is None

    def request(self, operation: str, **parameters: Any) -> Any:
        """Return the answer to a request; raises ServiceError, UnreachableError, LakeError."""
        client, credentials = self._client_and_credentials()
        try:
            return self._send(client, operation, parameters)
        except ServiceError as error:
            if error.cause is not Cause.CREDENTIALS or not self._renew(credentials):
                raise
            client, _ = self._client_and_credentials()
            return self._send(client, operation, parameters)

    def _send(self, client: Any, operation: str, parameters: dict[str, Any]) -> Any:
        try:
            answer = getattr(client, operation)(**parameters)
        except Exception as error:
            raise translate_error(error) from error
        self.has_answered = True
        return answer

    def _client_and_credentials(self) -> "tuple[Any, ReadOnlyCredentials | None]":
        with self._lock:
            if self._made is None:
                self._made = make_client(self._service)
            return self._made

    def _renew(self, refused: "ReadOnlyCredentials | None") -> bool:
        """Replace refused credentials, unless another thread did; return whether they have changed."""
        with self._lock:
            if self._made is not None and self._made[1] != refused:
                return True
            try:
                made = make_client(self._service)
            except LakeError:  # a file that is just being written, for example; the first refusal says more
                return False
            if made[1] in (None, refused):
                return False
            self._made = made
            return True


def translate_error(error: Exception) -> Exception:
    """Return a failed request's error as ServiceError, UnreachableError or LakeSettingError."""
    from botocore import exceptions as of
    from botocore.parsers import ResponseParserError

    if isinstance(error, of.ClientError):
        meaning = explain_service_error(error)
        if error.operation_name in OPERATIONS:
            return meaning
        advice = meaning.advice or f"allow {meaning.permission or error.operation_name}"
        advice = f"the AWS credentials cannot be renewed: {error.operation_name} was refused ({meaning.code}); {advice}"
        return ServiceError(meaning.code, Cause.CREDENTIALS, advice)
    if isinstance(error, of.ConnectionError | of.HTTPClientError):
        return UnreachableError(describe_error(error))
    if isinstance(error, RuntimeError):
        return ServiceError("NoCredentials", Cause.CREDENTIALS, EXPIRED)
    if isinstance(
        error,
        of.CredentialRetrievalError | of.MetadataRetrievalError | of.NoCredentialsError | of.PartialCredentialsError
        | of.NoAuthTokenError | of.TokenRetrievalError | of.SSOError | of.LoginError | of.RefreshWithMFAUnsupportedError
        | OSError,
    ):  # fmt: skip
        advice = f"the AWS credentials cannot be renewed ({describe_error(error)})"
        return ServiceError("NoCredentials", Cause.CREDENTIALS, advice)
    if isinstance(error, of.ParamValidationError):
        return LakeSettingError(f"LAKE_URL or QUEUE_URL is wrong: {describe_error(error)}; fix it")
    if isinstance(error, of.BotoCoreError) and not isinstance(error, ResponseParserError):
        return LakeSettingError(f"the AWS_* settings are wrong: {describe_error(error).rstrip('.')}; fix them")
    return UnreachableError(f"its answer cannot be read ({describe_error(error)})")
