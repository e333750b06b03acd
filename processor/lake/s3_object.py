"""Reads byte ranges of one version of an object, over another connection if one breaks."""

from collections.abc import Callable
from typing import Any, cast

from processor.backoff import retry
from processor.lake.aws_client import AwsClient
from processor.lake.aws_errors import Cause, ServiceError, UnreachableError
from processor.lake.base import ChangedError, FileError, LakeError, LakeFile
from processor.lake.s3_version import S3Version, is_same_version
from processor.safe_text import describe_error


class S3Objects:
    """Requests byte ranges of the objects of a lake.

    client: sends the requests. bucket, prefix: where the lake is. payer: parameters that are added to each request.
    find: lists one file of the lake again, by its key; raises LakeError.
    """

    def __init__(
        self,
        client: AwsClient,
        bucket: str,
        prefix: str,
        payer: dict[str, str],
        find: Callable[[str], LakeFile | None],
    ) -> None:
        self._client, self._bucket, self._prefix, self._payer, self._find = client, bucket, prefix, payer, find
        self._url = f"s3://{bucket}/{prefix}"

    def request_body(self, file: LakeFile, start: int, stop: int) -> Any:
        """Return the body of an answer that holds bytes of the version of a file that was listed.

        file: as it was listed. start: the first byte. stop: the byte after the last one.
        Raises FileError, and LakeError if the whole lake is unavailable.
        """
        byte_range = f"{start}-{stop - 1}"
        version = S3Version(file)
        try:
            answer = self._client.request(
                "get_object",
                Bucket=self._bucket,
                Key=self._prefix + file.key,
                Range=f"bytes={byte_range}",
                **version.condition(),
                **self._payer,
            )
        except ServiceError as error:
            raise self._translate(file, error) from error
        except UnreachableError as error:  # the client has already tried again, so other files would fail as well
            raise LakeError(f"{self._url} cannot be reached any more: {error}; run again when it can") from error
        # Not every store that is compatible with S3 supports conditions and ranges.
        try:
            if not version.matches(answer):
                raise self._changed(file)
            content_range = answer.get("ContentRange") or ""
            if content_range in (f"bytes {byte_range}/{file.size}", f"bytes {byte_range}/*"):
                return answer["Body"]
            if content_range.startswith(f"bytes {byte_range}/"):
                raise self._changed(file)
            raise FileError(
                "S3 sent other bytes than requested; use an endpoint that supports byte ranges (AWS_ENDPOINT_URL)"
            )
        except BaseException:
            answer["Body"].close()
            raise

    def _translate(self, file: LakeFile, error: ServiceError) -> FileError | LakeError:
        """Return why an object cannot be read; a LakeError if no other object can be read either."""
        if error.code in ("PreconditionFailed", "412", "InvalidRange", "416"):
            return self._changed(file)
        if error.code in ("NoSuchKey", "404"):
            if self._is_listed(file):
                return FileError("S3 lists it but does not find it; write it again, or look at AWS_ENDPOINT_URL")
            return ChangedError("it was deleted after it was listed; the next run notices that")
        if error.cause in (Cause.CREDENTIALS, Cause.CLOCK, Cause.SETTING):
            return LakeError(f"{self._url} cannot be read any more ({error.code}): {error.advice}")
        if error.cause is Cause.PERMISSION:
            permission = error.permission or "s3:GetObject"
            where = "with its KMS key" if permission.startswith("kms:") else "on it"
            return FileError(f"reading it was refused ({error.code}); allow {permission} {where}")
        if error.cause is Cause.TEMPORARY:
            return FileError(f"S3 answered {error.code}; the next run tries again")
        return FileError(f"S3 refused it ({error.code}): {error.advice}")

    def _changed(self, file: LakeFile) -> FileError:
        """Return why the listed version cannot be read: it was replaced, or the listing never matched the object."""
        if self._is_listed(file):
            return FileError(
                "S3 lists it with another ETag, time or size than the object has, so its versions cannot be "
                "distinguished; write it again, or use another endpoint (AWS_ENDPOINT_URL)"
            )
        return ChangedError("it was replaced after it was listed; the next run reads it again")

    def _is_listed(self, file: LakeFile) -> bool:
        """Whether the lake still lists the same version of a file."""
        found = self._find(file.key)
        return found is not None and is_same_version(found, file)


class S3Stream:
    """The bytes of an object, from as many requests as are needed."""

    def __init__(self, objects: S3Objects, file: LakeFile, start: int, stop: int | None) -> None:
        """Name the bytes, which the first `read` requests.

        objects: requests them. file: as it was listed. start: the first byte. stop: the byte after the last one; None
        for the object's end.
        """
        self._objects, self._file = objects, file
        self._position = start
        self._stop = file.size if stop is None else min(stop, file.size)
        self._body: Any = None

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes, all that are left if it is negative; raises FileError, LakeError."""
        left = self._stop - self._position
        size = left if size < 0 else min(size, left)
        if size <= 0:
            return b""
        try:
            # botocore repeats requests, but not the reading of an answer's body.
            return retry(lambda: self._read(size), lambda error: isinstance(error, _BrokenBodyError))
        except _BrokenBodyError as error:
            raise FileError(f"it cannot be read ({describe_error(error)}); the next run tries again") from error

    def _read(self, size: int) -> bytes:
        from botocore.exceptions import BotoCoreError

        if self._body is None:
            self._body = self._objects.request_body(self._file, self._position, self._stop)
        try:
            block = cast("bytes", self._body.read(size))
            if not block:
                raise _BrokenBodyError("the connection ended before the object did")
        except (BotoCoreError, OSError) as error:
            self.close()
            raise _BrokenBodyError(describe_error(error)) from error
        except BaseException:
            self.close()
            raise
        self._position += len(block)
        return block

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._body is not None:
            self._body.close()
            self._body = None


class _BrokenBodyError(Exception):
    """The body of an answer ended too early or could not be read to its end."""
