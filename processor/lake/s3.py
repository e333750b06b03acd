"""A lake in S3: a listing that is checked page by page, and objects that are read by byte ranges of one version."""

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple, cast
from urllib.parse import unquote_plus

from processor.lake.aws import ATTEMPTS, Blame, Client, RefusedError, UnreachableError
from processor.lake.base import (
    ChangedError,
    FileError,
    LakeError,
    LakeFile,
    LakeSettingError,
    Stream,
    describe_error,
    is_lake_file,
    make_lake_file,
)

ENCODED = re.compile(r"(?:[!-$&-~]|%[0-9A-Fa-f]{2})*")
# The names of directory buckets end so. S3 promises no order of their keys, and takes prefixes of whole folders only.
UNORDERED = "--x-s3"
ETAG = re.compile("[!#-~]+")
# No ETag holds a space, so that none looks like a time.
MODIFIED, TIME_FORMAT = "modified ", "%Y-%m-%dT%H:%M:%S.%f%z"
GRAIN = timedelta(seconds=1)
FRESH = "~"
REFUSED = (Blame.CREDENTIALS, Blame.SETTING, Blame.SERVICE, Blame.RIGHT)


class Item(NamedTuple):
    """An object of a listing: its key below the prefix, what S3 said of it, and when S3 said that by its own clock."""

    name: str
    said: dict[str, Any]
    said_at: datetime | None


class S3Lake:
    """A lake in S3 or what speaks like it; the fingerprint is the ETag, or else LastModified, and the size.

    `has_files_without_etag` says whether a file was listed without an ETag.
    """

    def __init__(self, bucket: str, prefix: str) -> None:
        """The lake of the objects of a bucket whose keys begin with the prefix, a folder; raises LakeSettingError."""
        self._bucket, self._payer = bucket, payer()
        self._prefix = prefix if not prefix or prefix.endswith("/") else f"{prefix}/"
        self._is_ordered = not bucket.endswith(UNORDERED)
        self.url = f"s3://{bucket}/{self._prefix}"
        self._client = Client("s3")
        self.has_files_without_etag = False

    @property
    def access(self) -> str:
        """Whether there are credentials, in words; raises LakeError."""
        return "read anonymously" if self._client.is_anonymous else "read with credentials"

    def list_files(self) -> Iterator[LakeFile]:
        """Every lake file below the prefix, from as many pages as there are; raises LakeError where one is missing."""
        for item in self._items(""):
            if is_lake_file(item.name):
                file = _file(item)
                self.has_files_without_etag = self.has_files_without_etag or file.fingerprint.startswith(MODIFIED)
                yield file

    def find(self, name: str) -> LakeFile | None:
        """Return one file below the prefix as `list_files` would list it now, or None; raises LakeError.

        It is a listing of one object, as that says the same, takes no other right, and tells what is gone from what is
        forbidden, which the head of an object does not.
        """
        if not is_lake_file(name):
            return None
        if self._is_ordered:
            first = next(self._items(name, MaxKeys=1), None)  # nothing that begins with the name sorts before it
            return _file(first) if first is not None and first.name == name else None
        folder = name.rpartition("/")[0]
        return next((_file(item) for item in self._items(folder and f"{folder}/") if item.name == name), None)

    def _items(self, begin: str, **more: Any) -> Iterator[Item]:
        """The objects whose paths begin so; raises LakeError, also where the listing does not come to its end."""
        tokens, names, last = set[str](), set[str](), b""
        while True:
            page = self._page(Prefix=self._prefix + begin, **more)
            token, said_at = self._next_token(page), _answered_at(page)
            for key, said in _keys(page):
                if not key.startswith(self._prefix + begin):
                    raise self._broken("S3 sent a key outside of the prefix, or none")
                name = key.removeprefix(self._prefix)
                place = key.encode(errors="surrogateescape")
                if name in names or (self._is_ordered and place <= last):
                    raise self._broken("S3 sent keys twice or out of order")
                if self._is_ordered:
                    last = place
                else:
                    names.add(name)
                yield Item(name, said, said_at)
            if token is None:
                return
            if token in tokens:
                raise self._broken("S3 sent the same continuation token twice")
            tokens.add(token)
            more["ContinuationToken"] = token

    def _page(self, **request: Any) -> dict[str, Any]:
        try:
            # botocore would decode the keys by itself, and not notice where they are not encoded.
            answer = self._client.ask(
                "list_objects_v2", Bucket=self._bucket, EncodingType="url", **request, **self._payer
            )
        except RefusedError as error:
            raise self._refused(error) from error
        except UnreachableError as error:
            raise LakeError(
                f"{self.url} cannot be reached: {error}; look at AWS_ENDPOINT_URL and the network"
            ) from error
        return cast("dict[str, Any]", answer)

    def _next_token(self, page: dict[str, Any]) -> str | None:
        """Where a listing goes on after a page, None at its end; raises LakeError where that is not sure."""
        held = len(page.get("Contents") or ()) + len(page.get("CommonPrefixes") or ())
        is_more, token = page.get("IsTruncated"), page.get("NextContinuationToken") or None
        if page.get("KeyCount") not in (None, held):
            raise self._broken(f"S3 speaks of {page['KeyCount']} keys and sent {held}")
        if is_more is None:
            raise self._broken("S3 does not say whether more keys follow")
        if is_more and token is None:
            raise self._broken("S3 says that more keys follow, and not where")
        if is_more and not held:
            raise self._broken("S3 says that more keys follow, and sent none")
        if token is not None and not is_more:
            raise self._broken("S3 says that no more keys follow, and where they do")
        return token

    def _broken(self, why: str) -> LakeError:
        return LakeError(
            f"the listing of {self.url} is not whole: {why}; run again, and if it stays so, "
            "use an endpoint that knows ListObjectsV2 (AWS_ENDPOINT_URL)"
        )

    def _refused(self, error: RefusedError) -> LakeError:
        """Why there is no listing; a wrong setting, unless it was a right one before."""
        advice = error.advice
        if error.code == "NoSuchBucket":
            return LakeSettingError(f"there is no bucket {self._bucket}: fix LAKE_URL {self.url}")
        if error.blame is Blame.RIGHT:
            advice = f"allow {error.right or 's3:ListBucket'}, or fix the AWS_* settings"
            if self._client.is_anonymous:
                advice = f"it was asked without credentials: set the AWS_* settings, or {advice}"
            elif not error.right:
                advice += " (AWS_REQUEST_PAYER, where the reader pays)"
        if error.blame not in REFUSED:
            return LakeError(f"{self.url} cannot be listed ({error.code}); {advice}")
        kind = LakeError if self._client.has_answered else LakeSettingError
        return kind(f"listing {self.url} was refused ({error.code}): {advice}")

    def open(self, file: LakeFile, start: int = 0, stop: int | None = None) -> Stream:
        """The bytes [start, stop) of an object; a broken connection is taken up where it broke."""
        return _S3Stream(self, file, start, stop)

    def get(self, file: LakeFile, start: int, stop: int) -> Any:
        """The body with the bytes [start, stop) of the version that was listed.

        Raises FileError, and LakeError where the whole lake is out of reach.
        """
        stretch = f"{start}-{stop - 1}"
        version = _Version.of(file)
        try:
            answer = self._client.ask(
                "get_object",
                Bucket=self._bucket,
                Key=self._prefix + file.key,
                Range=f"bytes={stretch}",
                **version.condition(),
                **self._payer,
            )
        except RefusedError as error:
            raise self._object_error(file, error) from error
        except UnreachableError as error:  # the client has tried again by itself, so the next file would fare no better
            raise LakeError(f"{self.url} cannot be reached any more: {error}; run again when it can") from error
        # Not all that speaks like S3 knows conditions and ranges.
        try:
            if not version.is_of(answer):
                raise self._changed(file)
            found = answer.get("ContentRange") or ""
            if found in (f"bytes {stretch}/{file.size}", f"bytes {stretch}/*"):
                return answer["Body"]
            if found.startswith(f"bytes {stretch}/"):
                raise self._changed(file)
            raise FileError(
                "S3 sent other bytes than were asked for; use an endpoint that knows byte ranges (AWS_ENDPOINT_URL)"
            )
        except BaseException:
            answer["Body"].close()
            raise

    def _object_error(self, file: LakeFile, error: RefusedError) -> FileError | LakeError:
        """Why an object cannot be read; a LakeError where no other can be read either."""
        if error.code in ("PreconditionFailed", "412", "InvalidRange", "416"):
            return self._changed(file)
        if error.code in ("NoSuchKey", "404"):
            if self._is_listed(file):
                return FileError("S3 lists it and does not find it; write it again, or look at AWS_ENDPOINT_URL")
            return ChangedError("it is gone since it was listed; the next run settles it")
        if error.blame in (Blame.CREDENTIALS, Blame.CLOCK, Blame.SETTING):
            return LakeError(f"{self.url} cannot be read any more ({error.code}): {error.advice}")
        if error.blame is Blame.RIGHT:
            right = error.right or "s3:GetObject"
            what = "with its KMS key" if right.startswith("kms:") else "on it"
            return FileError(f"reading it was refused ({error.code}); allow {right} {what}")
        if error.blame is Blame.NOTHING:
            return FileError(f"S3 answered {error.code}; the next run tries again")
        return FileError(f"S3 refused it ({error.code}): {error.advice}")

    def _changed(self, file: LakeFile) -> FileError:
        """Why the version that was listed is not there: another is, or the listing never gave the object's own."""
        if self._is_listed(file):
            return FileError(
                "S3 lists it with another ETag, time or size than the object has, so that its versions cannot be told "
                "apart; write it again, or use another endpoint (AWS_ENDPOINT_URL)"
            )
        return ChangedError("it was replaced since it was listed; the next run reads it again")

    def _is_listed(self, file: LakeFile) -> bool:
        """Whether a file is listed as before."""
        found = self.find(file.key)
        return found is not None and found.fingerprint.replace(FRESH, "") == file.fingerprint.replace(FRESH, "")


def payer() -> dict[str, str]:
    """What a request says of who pays for it, as AWS_REQUEST_PAYER wants it; raises LakeSettingError."""
    named = os.environ.get("AWS_REQUEST_PAYER")
    if not named:
        return {}
    if named != "requester":
        raise LakeSettingError("AWS_REQUEST_PAYER can only be requester; set it to that, or unset it")
    return {"RequestPayer": named}


def _keys(page: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The keys of a page, empty where S3 sent none, each with what else S3 said of its object.

    Where one key cannot be URL-encoded, none is: an endpoint may say that it encodes, and not do it.
    """
    contents = page.get("Contents") or []
    sent = [item.get("Key") or "" for item in contents]
    if page.get("EncodingType") == "url" and all(map(ENCODED.fullmatch, sent)):
        sent = [unquote_plus(key, errors="surrogateescape") for key in sent]
    return zip(sent, contents, strict=True)


def _answered_at(page: dict[str, Any]) -> datetime | None:
    headers = (page.get("ResponseMetadata") or {}).get("HTTPHeaders") or {}
    try:
        return parsedate_to_datetime(headers["date"]).astimezone(UTC)
    except (KeyError, ValueError):
        return None


def _file(item: Item) -> LakeFile:
    """A file of the lake as S3 lists it; one whose versions cannot be told apart has an error."""
    size, etag = item.said.get("Size"), (item.said.get("ETag") or "").strip('"')
    if size is None or size < 0:
        return make_lake_file(item.name, "", 0, "S3 lists it without its size; look at AWS_ENDPOINT_URL")
    if not ETAG.fullmatch(_opaque(etag)):
        modified = _moment(item.said.get("LastModified"))
        if modified is None:
            error = "S3 lists it with neither ETag nor LastModified, so that its versions cannot be told apart"
            return make_lake_file(item.name, "", size, f"{error}; look at AWS_ENDPOINT_URL")
        etag = MODIFIED + modified.strftime(TIME_FORMAT)
        # It may be replaced once more within the same second, so that the next run reads it again.
        if item.said_at is not None and item.said_at - modified <= GRAIN:
            etag += FRESH
    return make_lake_file(item.name, f"{etag}-{size}", size)


def _moment(said: object) -> datetime | None:
    """The time that S3 said, in UTC; None where it is none of an object that somebody wrote."""
    if not isinstance(said, datetime) or not 1970 <= said.year < 9999:
        return None
    return said.replace(tzinfo=UTC) if said.tzinfo is None else said.astimezone(UTC)


class _Version:
    """The version of an object that a fingerprint names."""

    def __init__(self, etag: str, modified: datetime | None) -> None:
        self._etag, self._modified = etag, modified

    @classmethod
    def of(cls, file: LakeFile) -> "_Version":
        named = file.fingerprint.rpartition("-")[0]
        if not named.startswith(MODIFIED):
            return cls(_opaque(named), None)
        time = datetime.strptime(named.removeprefix(MODIFIED).removesuffix(FRESH), TIME_FORMAT).astimezone(UTC)
        return cls("", time)

    def condition(self) -> dict[str, Any]:
        """What makes S3 refuse any other version; a weak ETag would never match as such."""
        if self._modified is None:
            return {"IfMatch": f'"{self._etag}"'}
        # The header knows no parts of a second.
        is_whole = not self._modified.microsecond
        return {"IfUnmodifiedSince": self._modified if is_whole else self._modified.replace(microsecond=0) + GRAIN}

    def is_of(self, answer: dict[str, Any]) -> bool:
        """Whether S3 answered with this version; raises FileError where it does not say so."""
        name, found = (
            ("ETag", answer.get("ETag")) if self._modified is None else ("Last-Modified", answer.get("LastModified"))
        )
        if not found:
            raise FileError(
                f"S3 answered without {name}, so that nobody knows which version it sent; look at AWS_ENDPOINT_URL"
            )
        if self._modified is None:
            return _opaque(found) == self._etag
        return _moment(found) == self._modified.replace(microsecond=0)


def _opaque(etag: str) -> str:
    """An ETag without its quotes, and without the mark of a weak one."""
    return etag.removeprefix("W/").strip('"')


class _BrokenBody(Exception):  # noqa: N818
    """The body of an answer ended too early or could not be read on."""


class _S3Stream:
    def __init__(self, lake: S3Lake, file: LakeFile, start: int, stop: int | None) -> None:
        self._lake, self._file = lake, file
        self._position = start
        self._stop = file.size if stop is None else min(stop, file.size)
        self._body: Any = None

    def read(self, size: int = -1, /) -> bytes:
        from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

        size = self._stop - self._position if size < 0 else min(size, self._stop - self._position)
        if size <= 0:
            return b""
        try:
            return Retrying(
                retry=retry_if_exception_type(_BrokenBody),
                stop=stop_after_attempt(ATTEMPTS),
                wait=wait_random_exponential(multiplier=0.2, max=10),
                reraise=True,
            )(self._read, size)
        except _BrokenBody as error:
            raise FileError(f"it cannot be read ({describe_error(error)}); the next run tries again") from error

    def _read(self, size: int) -> bytes:
        from botocore.exceptions import BotoCoreError

        if self._body is None:
            self._body = self._lake.get(self._file, self._position, self._stop)
        try:
            block = cast("bytes", self._body.read(size))
            if not block:
                raise _BrokenBody("the connection ended before the object did")
        except (BotoCoreError, OSError) as error:
            self.close()
            raise _BrokenBody(describe_error(error)) from error
        except BaseException:
            self.close()
            raise
        self._position += len(block)
        return block

    def close(self) -> None:
        if self._body is not None:
            self._body.close()
            self._body = None
