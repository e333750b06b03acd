"""Lists the objects of a bucket, and checks page by page that the listing is complete."""

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import chain
from multiprocessing.pool import ThreadPool
from typing import Any, NamedTuple, TypeVar, cast
from urllib.parse import unquote_plus

from processor.lake.aws_client import AwsClient
from processor.lake.aws_errors import Cause, ServiceError, UnreachableError
from processor.lake.base import LakeError, LakeSettingError
from processor.lake.selection import KeyRange

URL_ENCODED = re.compile(r"(?:[!-$&-~]|%[0-9A-Fa-f]{2})*")
# Requests for pages at a time.
LISTING_REQUESTS = 8
SETTING_CAUSES = (Cause.CREDENTIALS, Cause.SETTING, Cause.SERVICE, Cause.PERMISSION)


T = TypeVar("T")


class ListedObject(NamedTuple):
    """An object of a listing: its key below the prefix, S3's entry for it, and the time of S3's answer by its clock."""

    name: str
    entry: dict[str, Any]
    answered_at: datetime | None


class _IgnoredStartError(Exception):
    """The endpoint listed from the first key on, although it was asked for later ones."""


class S3Listing:
    """Lists the objects of a bucket below a prefix.

    client: sends the requests. bucket, prefix: what is listed. payer: parameters that are added to each request.
    is_ordered: false if S3 may list the keys of this bucket in any order.
    """

    def __init__(self, client: AwsClient, bucket: str, prefix: str, payer: dict[str, str], *, is_ordered: bool) -> None:
        self._client, self._bucket, self._prefix, self._payer = client, bucket, prefix, payer
        self._is_ordered = is_ordered
        self._url = f"s3://{bucket}/{prefix}"

    def list_objects(self, begin: str, **parameters: Any) -> Iterator[ListedObject]:
        """List the objects whose keys below the prefix begin with `begin`.

        `parameters` are added to each request. Raises LakeError, also if the listing is incomplete.
        """
        tokens, names, last_key = set[str](), set[str](), b""
        while True:
            page = self._request_page(Prefix=self._prefix + begin, **parameters)
            token, answered_at = self._next_token(page), _answered_at(page)
            for key, entry in _decode_keys(page):
                if not key.startswith(self._prefix + begin):
                    raise self._incomplete("S3 sent a key outside of the prefix, or an empty key")
                name = key.removeprefix(self._prefix)
                raw_key = _encode(key)
                if name in names or (self._is_ordered and raw_key <= last_key):
                    raise self._incomplete("S3 sent keys twice or out of order")
                if self._is_ordered:
                    last_key = raw_key
                else:
                    names.add(name)
                yield ListedObject(name, entry, answered_at)
            if token is None:
                return
            if token in tokens:
                raise self._incomplete("S3 sent the same continuation token twice")
            tokens.add(token)
            parameters.pop("StartAfter", None)  # the token says where to continue
            parameters["ContinuationToken"] = token

    def list_ranges(self, ranges: Sequence[KeyRange], keep: Callable[[ListedObject], T | None]) -> list[T]:
        """List ranges of keys below the prefix at the same time, and return what `keep` returns of their objects.

        ranges: in their order; the limits need not exist. keep: called by several threads, also with objects outside of
        the ranges if the endpoint cannot list from a key on; None leaves an object out. Raises LakeError as
        `list_objects` does.
        """

        def list_range(keys: KeyRange) -> list[T]:
            kept = []
            start = {"StartAfter": self._prefix + keys.after} if keys.after else {}
            for item in self.list_objects(keys.prefix, **start):
                name = _encode(item.name)
                if keys.after and name <= _encode(keys.after):
                    raise _IgnoredStartError
                if keys.last is not None and name > _encode(keys.last):
                    break
                found = keep(item)
                if found is not None:
                    kept.append(found)
                if keys.last is not None and name == _encode(keys.last):
                    break
            return kept

        # Daemon threads, which do not delay the process's end.
        with ThreadPool(min(LISTING_REQUESTS, len(ranges))) as threads:
            try:
                parts = threads.map(list_range, ranges, 1)
            except _IgnoredStartError:  # by an endpoint that does not know this parameter
                return [kept for kept in map(keep, self.list_objects("")) if kept is not None]
        return list(chain.from_iterable(parts))

    def _request_page(self, **parameters: Any) -> dict[str, Any]:
        try:
            # Without EncodingType, botocore decodes the keys itself, and does not notice if they are not encoded.
            answer = self._client.request(
                "list_objects_v2", Bucket=self._bucket, EncodingType="url", **parameters, **self._payer
            )
        except ServiceError as error:
            raise self._translate(error) from error
        except UnreachableError as error:
            raise LakeError(
                f"{self._url} cannot be reached: {error}; look at AWS_ENDPOINT_URL and the network"
            ) from error
        return cast("dict[str, Any]", answer)

    def _next_token(self, page: dict[str, Any]) -> str | None:
        """Return the token of the page after this one, None at the end; raises LakeError if that is uncertain."""
        sent = len(page.get("Contents") or ()) + len(page.get("CommonPrefixes") or ())
        is_truncated, token = page.get("IsTruncated"), page.get("NextContinuationToken") or None
        if page.get("KeyCount") not in (None, sent):
            raise self._incomplete(f"S3 counts {page['KeyCount']} keys and sent {sent}")
        if is_truncated is None:
            raise self._incomplete("S3 does not say whether more keys follow")
        if is_truncated and token is None:
            raise self._incomplete("S3 says that more keys follow, but sent no continuation token")
        if is_truncated and not sent:
            raise self._incomplete("S3 says that more keys follow, but sent none")
        if token is not None and not is_truncated:
            raise self._incomplete("S3 says that no more keys follow, but sent a continuation token")
        return token

    def _incomplete(self, reason: str) -> LakeError:
        return LakeError(
            f"the listing of {self._url} is incomplete: {reason}; run again, and if it happens again, "
            "use an endpoint that supports ListObjectsV2 (AWS_ENDPOINT_URL)"
        )

    def _translate(self, error: ServiceError) -> LakeError:
        """Return why the lake cannot be listed: a wrong setting, unless the same settings worked before."""
        advice = error.advice
        if error.code == "NoSuchBucket":
            return LakeSettingError(f"there is no bucket {self._bucket}: fix LAKE_URL {self._url}")
        if error.cause is Cause.PERMISSION:
            advice = f"allow {error.permission or 's3:ListBucket'}, or fix the AWS_* settings"
            if self._client.is_anonymous:
                advice = f"the request was sent without credentials: set the AWS_* settings, or {advice}"
            elif not error.permission:
                advice += " (AWS_REQUEST_PAYER, if the reader pays)"
        if error.cause not in SETTING_CAUSES:
            return LakeError(f"{self._url} cannot be listed ({error.code}); {advice}")
        kind = LakeError if self._client.has_answered else LakeSettingError
        return kind(f"listing {self._url} was refused ({error.code}): {advice}")


def _encode(key: str) -> bytes:
    """Return the bytes of a key, by which S3 sorts keys."""
    return key.encode(errors="surrogateescape")


def _decode_keys(page: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return the keys of a page, each with S3's entry for its object; a missing key is empty.

    If one key is not URL-encoded, none is: some endpoints claim to encode the keys and do not.
    """
    entries = page.get("Contents") or []
    keys = [entry.get("Key") or "" for entry in entries]
    if page.get("EncodingType") == "url" and all(map(URL_ENCODED.fullmatch, keys)):
        keys = [unquote_plus(key, errors="surrogateescape") for key in keys]
    return zip(keys, entries, strict=True)


def _answered_at(page: dict[str, Any]) -> datetime | None:
    headers = (page.get("ResponseMetadata") or {}).get("HTTPHeaders") or {}
    try:
        return parsedate_to_datetime(headers["date"]).astimezone(UTC)
    except (KeyError, ValueError):
        return None
