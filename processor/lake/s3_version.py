"""Which version of an object a fingerprint stands for: by its ETag, or else by LastModified."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from processor.lake.base import FileError, LakeFile, make_lake_file
from processor.lake.s3_listing import ListedObject

ETAG = re.compile("[!#-~]+")
# No ETag contains a space, so none looks like a time.
MODIFIED, TIME_FORMAT = "modified ", "%Y-%m-%dT%H:%M:%S.%f%z"
# At the end of the fingerprint of an object that was just written: it may be replaced within the same second.
RECENT = "~"
S3_RESOLUTION = timedelta(seconds=1)


def make_s3_file(item: ListedObject) -> LakeFile:
    """Return a listed object as a lake file; it has an error if its versions cannot be distinguished."""
    size, etag = item.entry.get("Size"), (item.entry.get("ETag") or "").strip('"')
    if size is None or size < 0:
        return make_lake_file(item.name, "", 0, "S3 lists it without its size; look at AWS_ENDPOINT_URL")
    if not ETAG.fullmatch(_strip_etag(etag)):
        modified = _to_utc(item.entry.get("LastModified"))
        if modified is None:
            error = "S3 lists it with neither ETag nor LastModified, so its versions cannot be distinguished"
            return make_lake_file(item.name, "", size, f"{error}; look at AWS_ENDPOINT_URL")
        etag = MODIFIED + modified.strftime(TIME_FORMAT)
        # The mark makes the next run read the object again.
        if item.answered_at is not None and item.answered_at - modified <= S3_RESOLUTION:
            etag += RECENT
    return make_lake_file(item.name, f"{etag}-{size}", size)


def is_same_version(first: LakeFile, second: LakeFile) -> bool:
    """Whether two listings of a file show the same version of it, as far as a listing can show that."""
    return first.fingerprint.replace(RECENT, "") == second.fingerprint.replace(RECENT, "")


class S3Version:
    """The version of an object that a lake file's fingerprint stands for."""

    def __init__(self, file: LakeFile) -> None:
        etag = file.fingerprint.rpartition("-")[0]
        self._etag, self._modified = _strip_etag(etag), None
        if etag.startswith(MODIFIED):
            text = etag.removeprefix(MODIFIED).removesuffix(RECENT)
            self._etag, self._modified = "", datetime.strptime(text, TIME_FORMAT).astimezone(UTC)

    def condition(self) -> dict[str, Any]:
        """Return the parameters of a request that make S3 refuse any other version."""
        if self._modified is None:
            return {"IfMatch": f'"{self._etag}"'}  # without the mark of a weak ETag, which would never match
        # The header has no fractions of a second.
        is_whole = not self._modified.microsecond
        return {
            "IfUnmodifiedSince": self._modified if is_whole else self._modified.replace(microsecond=0) + S3_RESOLUTION
        }

    def matches(self, answer: dict[str, Any]) -> bool:
        """Whether S3 answered with this version; raises FileError if the answer does not show its version."""
        name, value = (
            ("ETag", answer.get("ETag")) if self._modified is None else ("Last-Modified", answer.get("LastModified"))
        )
        if not value:
            raise FileError(
                f"S3 answered without {name}, so the version that it sent is unknown; look at AWS_ENDPOINT_URL"
            )
        if self._modified is None:
            return _strip_etag(value) == self._etag
        return _to_utc(value) == self._modified.replace(microsecond=0)


def _to_utc(value: object) -> datetime | None:
    """Return a time that S3 sent in UTC; None if it is not a time, or not one at which an object can be written."""
    if not isinstance(value, datetime) or not 1970 <= value.year < 9999:
        return None
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _strip_etag(etag: str) -> str:
    """Return an ETag without its quotes and without the mark of a weak one."""
    return etag.removeprefix("W/").strip('"')
