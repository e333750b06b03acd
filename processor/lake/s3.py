"""A lake in S3."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise

from processor.lake.aws_client import AwsClient
from processor.lake.base import DEFAULT_LAKE_SETTINGS, LakeFile, LakeSettingError, LakeSettings, Stream
from processor.lake.keys import is_lake_file
from processor.lake.notifications import NoNotifications, Notifications
from processor.lake.s3_listing import ListedObject, S3Listing
from processor.lake.s3_object import S3Objects, S3Stream
from processor.lake.s3_version import MODIFIED, make_s3_file
from processor.lake.selection import EVERY_FILE, EVERY_KEY, KeyRange, Selection

# The names of directory buckets end with this. S3 lists their keys in any order, and only by prefixes of whole folders.
DIRECTORY_BUCKET = "--x-s3"
# Keys in a page of a listing, at most.
PAGE_KEYS = 1000


class S3Lake:
    """A lake in S3 or a compatible store; the fingerprint is the ETag, or else LastModified, with the size."""

    is_remote = True

    def __init__(self, bucket: str, prefix: str, settings: LakeSettings = DEFAULT_LAKE_SETTINGS) -> None:
        """Name the lake; the first request opens a connection.

        bucket: its name. prefix: the folder that holds the lake; empty for the whole bucket. settings: how files are
        read.
        """
        prefix = prefix if not prefix or prefix.endswith("/") else f"{prefix}/"
        payer = {"RequestPayer": "requester"} if settings.pays_for_requests else {}
        self.url, self.settings = f"s3://{bucket}/{prefix}", settings
        self._has_files_without_etag = False
        self._client = AwsClient("s3")
        self._is_ordered = not bucket.endswith(DIRECTORY_BUCKET)
        self._listing = S3Listing(self._client, bucket, prefix, payer, is_ordered=self._is_ordered)
        self._objects = S3Objects(self._client, bucket, prefix, payer, find=self.find)

    def open_notifications(self, queue: str, warn: Callable[[str], None]) -> Notifications:
        """Return what the bucket reports to a queue, or no notifications without one; raises LakeError."""
        from processor.lake.sqs import QueueNotifications

        if not queue:
            return NoNotifications()
        if not queue.startswith(("https://", "http://")):
            raise LakeSettingError(
                "QUEUE_URL is not the URL of a queue; write it as https://sqs.REGION.amazonaws.com/ID/NAME"
            )
        return QueueNotifications(queue, self.url, warn)

    def describe_access(self) -> str:
        """Return in words how the lake is read: with credentials or without; raises LakeError."""
        return "read anonymously" if self._client.is_anonymous else "read with credentials"

    def describe_weak_fingerprints(self) -> str | None:
        """Return a warning if a file was listed without an ETag."""
        if not self._has_files_without_etag:
            return None
        return (
            "S3 lists files without an ETag, so only LastModified and the size distinguish their versions: "
            "python run.py verify finds a file that was replaced by one with the same time and size"
        )

    def list_files(self, known: Iterable[str] = (), selection: Selection = EVERY_FILE, /) -> Iterator[LakeFile]:
        """List the selected lake files below the prefix; raises LakeError if a page of the listing is missing.

        known: keys that the lake had before. The more of them are selected, the more pages are listed at the same time.
        selection: only the pages that can hold such files are listed.
        """

        def keep(item: ListedObject) -> LakeFile | None:
            if not is_lake_file(item.name):
                return None
            file = make_s3_file(item)
            if not selection.includes(file.key):
                return None
            self._has_files_without_etag = self._has_files_without_etag or file.fingerprint.startswith(MODIFIED)
            return file

        keys = list(known)
        ranges = selection.key_ranges(keys)
        pages = list(_cut_into_pages(ranges, keys)) if self._is_ordered else [EVERY_KEY]
        if pages == [EVERY_KEY]:
            folder = ranges[0].prefix.rpartition("/")[0] if len(ranges) == 1 else ""
            yield from filter(None, map(keep, self._listing.list_objects(folder and f"{folder}/")))
        else:
            yield from self._listing.list_ranges(pages, keep)

    def find(self, name: str) -> LakeFile | None:
        """Return one file below the prefix as `list_files` would list it now, or None; raises LakeError.

        This lists one object instead of asking for its head: a listing needs no other permission, and it
        distinguishes a missing object from a forbidden one.
        """
        if not is_lake_file(name):
            return None
        if self._is_ordered:
            # No other key that begins with the name sorts before it.
            first = next(self._listing.list_objects(name, MaxKeys=1), None)
            return make_s3_file(first) if first is not None and first.name == name else None
        folder = name.rpartition("/")[0]
        items = self._listing.list_objects(folder and f"{folder}/")
        return next((make_s3_file(item) for item in items if item.name == name), None)

    def open(self, file: LakeFile, start: int = 0, stop: int | None = None) -> Stream:
        """Open bytes of an object; reading continues after a broken connection.

        The parameters are those of `Files.open`.
        """
        return S3Stream(self._objects, file, start, stop)


def _cut_into_pages(ranges: Sequence[KeyRange], known: Iterable[str]) -> Iterator[KeyRange]:
    """Cut ranges of keys into those of one page each, if the lake is still what it was."""
    names = sorted(filter(is_lake_file, known), key=str.encode)
    for keys in ranges:
        ends = list(filter(keys.holds, names))[PAGE_KEYS - 1 :: PAGE_KEYS]
        for after, last in pairwise((keys.after, *ends, keys.last)):
            assert after is not None
            yield KeyRange(after, last)
