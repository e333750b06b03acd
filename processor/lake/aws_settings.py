"""Makes a client of S3 or SQS from the AWS_* settings, or reports which of them is wrong."""

import os
import re
import ssl
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from processor.lake.aws_errors import EXPIRED, Cause, explain_service_error
from processor.lake.base import LakeError, LakeSettingError
from processor.safe_text import describe_error

if TYPE_CHECKING:
    from botocore.credentials import ReadOnlyCredentials
    from botocore.session import Session

MAX_CONNECTIONS = 64  # enough for every request that is open at a time
MAX_RETRIES = 5  # of a request, unless a setting says otherwise
CONNECT_SECONDS, READ_SECONDS = 10, 60
_NO_CREDENTIALS = "the AWS credentials cannot be obtained"


def make_client(service: Literal["s3", "sqs"]) -> "tuple[Any, ReadOnlyCredentials | None]":
    """Return a client as the AWS_* settings describe it, and its present credentials; raises LakeError."""
    import boto3
    import botocore.session
    from botocore import UNSIGNED
    from botocore.config import Config

    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        max_pool_connections=MAX_CONNECTIONS,
        # Some endpoints send the checksum of the whole object with a byte range of it.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    core = botocore.session.get_session()
    try:
        _check_files(core)
        session = boto3.Session(botocore_session=core)
        if session.region_name == "":
            raise LakeSettingError(
                "AWS_DEFAULT_REGION is set but empty; unset it, or set it to a region such as eu-west-1"
            )
        _check_endpoints(service)
        if core.get_config_variable("max_attempts") is None:  # botocore applies a user's own only without ours
            config = config.merge(Config(retries={"max_attempts": MAX_RETRIES}))
        credentials = session.get_credentials()
        frozen = None if credentials is None else credentials.get_frozen_credentials()
        if frozen is None:
            config = config.merge(Config(signature_version=UNSIGNED))
        elif any(not re.fullmatch("[!-~]*", value or "") for value in frozen[:3]):
            # botocore's own error about the header would repeat the credentials.
            raise LakeSettingError(
                "the AWS_* credentials contain a space, a line break or a character outside of ASCII; "
                "set them without it"
            )
        client = session.client(service, config=config)
    except LakeError:
        raise
    except Exception as error:
        raise _setting_error(error, core) from error
    client.meta.events.register("before-parse.s3.ListObjectsV2", _read_is_truncated)
    return client, frozen


def _read_is_truncated(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: object) -> None:
    """Read IsTruncated of a listing, None if it is missing; botocore takes everything but `true` for false."""
    match = re.search(rb"<IsTruncated>\s*(true|false)\s*</IsTruncated>", response_dict["body"], re.IGNORECASE)
    customized_response_dict["IsTruncated"] = None if match is None else match[1].lower() == b"true"


def _check_files(core: "Session") -> None:
    """Refuse files that exist but cannot be read; botocore ignores them or fails at the first request."""
    for name, variable in (("AWS_CONFIG_FILE", "config_file"), ("AWS_SHARED_CREDENTIALS_FILE", "credentials_file")):
        path = Path(os.path.expandvars(core.get_config_variable(variable))).expanduser()
        try:
            path.open("rb").close()
        except FileNotFoundError:
            pass
        except OSError as error:
            if name in os.environ or os.access(path, os.F_OK, effective_ids=True):
                raise LakeSettingError(
                    f"{name} is {path}, which cannot be read ({_reason(error)}); make it readable or change {name}"
                ) from error
    name, path_of_bundle = "AWS_CA_BUNDLE", core.get_config_variable("ca_bundle")
    if not path_of_bundle:
        name = "REQUESTS_CA_BUNDLE"  # botocore reads it as well
        path_of_bundle = os.environ.get(name)
    if path_of_bundle:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path_of_bundle)
        except OSError as error:
            raise LakeSettingError(
                f"{name} is {path_of_bundle}, which is not a file of certificates ({_reason(error)}); "
                "set it to one that is"
            ) from error


def _check_endpoints(service: str) -> None:
    """Refuse an endpoint that is not a URL; the message does not repeat it, as it may contain a password."""
    for name in (f"AWS_ENDPOINT_URL_{service.upper()}", "AWS_ENDPOINT_URL"):
        url = os.environ.get(name)
        if url:
            with suppress(ValueError):  # from a malformed port or address
                parts = urlsplit(url)
                if parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port):
                    continue
            raise LakeSettingError(f"{name} is not a URL; write it as https://host:port")


def _setting_error(error: Exception, core: "Session") -> LakeError:
    """Return why no client can be made."""
    from botocore import exceptions as of

    if isinstance(error, of.ClientError):
        meaning = explain_service_error(error)
        kind = LakeError if meaning.cause is Cause.TEMPORARY else LakeSettingError
        advice = meaning.advice or f"allow {meaning.permission or error.operation_name}"
        return kind(f"{_NO_CREDENTIALS}: {error.operation_name} was refused ({meaning.code}); {advice}")
    if isinstance(error, of.ConnectionError | of.HTTPClientError):
        return LakeError(f"{_NO_CREDENTIALS}: {describe_error(error)}; look at the AWS_* settings and the network")
    if isinstance(error, OSError) and error.filename:
        names = (name for name, value in os.environ.items() if name.startswith("AWS_") and value == error.filename)
        return LakeSettingError(
            f"{next(names, 'an AWS setting')} is {error.filename}, which cannot be used ({_reason(error)}); fix it"
        )
    if isinstance(error, RuntimeError):
        return LakeSettingError(EXPIRED)
    if isinstance(error, of.InvalidRetryModeError):
        return LakeSettingError("AWS_RETRY_MODE must be legacy, standard or adaptive")
    if not isinstance(error, of.BotoCoreError) and (name := _find_malformed(core)):
        return LakeSettingError(f"{name} has a value that cannot be read; fix or unset it")
    return LakeSettingError(f"the AWS_* settings are wrong: {describe_error(error).rstrip('.')}; fix them")


def _find_malformed(core: "Session") -> str | None:
    """Return the environment variable whose number or time botocore cannot parse, if there is one."""
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
    return "it contains none" if isinstance(error, ssl.SSLError) else error.strerror or type(error).__name__
