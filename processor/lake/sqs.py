"""Notifications of S3 through a queue of SQS."""

from collections.abc import Callable, Collection, Iterator
from math import ceil
from typing import Any
from urllib.parse import unquote_plus

from processor.backoff import Backoff
from processor.lake.aws_client import AwsClient
from processor.lake.aws_errors import Cause, ServiceError, UnreachableError
from processor.lake.base import LakeError, LakeSettingError
from processor.lake.keys import escape_unstorable, is_lake_file

MAX_POLL_SECONDS = 20  # the longest poll that SQS allows
BATCH_MESSAGES = 10  # the most messages that SQS sends or deletes at once
MAX_MESSAGES = 100
PERMISSIONS = "sqs:ReceiveMessage and sqs:DeleteMessage"


class QueueNotifications:
    """Notifications of new objects that the lake's bucket sends to a queue.

    A message is deleted once all files that it names are acknowledged. Until then SQS sends it again whenever its
    visibility timeout ends. If the queue becomes unavailable, this waits for it; the lake is listed all the same.
    """

    def __init__(self, url: str, lake_url: str, warn: Callable[[str], None]) -> None:
        """Receive the first messages of the queue; raises LakeError.

        url: the queue's. lake_url: the URL of the lake, which other files do not concern. warn: logs a line.
        """
        self._url, self._warn, self._client = url, warn, AwsClient("sqs")
        self._bucket, _, self._prefix = lake_url.removeprefix("s3://").partition("/")
        self._backoff = Backoff(warn, "the queue answers again")
        # The keys that are not acknowledged yet, by the receipt of their message.
        self._unacknowledged: dict[str, set[str]] = {}
        self._has_warned_of_others = False
        self._first_messages = self._receive(0)

    def restart(self) -> None:
        """Forget the messages that are not acknowledged: SQS sends them again."""
        self._unacknowledged.clear()

    def wait(self, seconds: float) -> list[str]:
        """Return the paths below the lake's URL that messages name, or none after `seconds`."""
        messages, self._first_messages = self._first_messages, []
        try:
            messages += self._receive(0 if messages else max(1, min(ceil(seconds), MAX_POLL_SECONDS)))
            while len(messages) % BATCH_MESSAGES == 0 and 0 < len(messages) < MAX_MESSAGES:
                more = self._receive(0)
                messages += more
                if not more:
                    break
        except LakeError as error:
            self._report(error)
            if not messages:
                self._backoff.wait(seconds)
        else:
            self._backoff.end()
        names = list(dict.fromkeys(name for message in messages for name in self._read(message)))
        self.acknowledge(())
        return names

    def acknowledge(self, keys: Collection[str]) -> None:
        """Delete the messages that name no other files than these and those acknowledged before."""
        for left in self._unacknowledged.values():
            left.difference_update(keys)
        done = [receipt for receipt, left in self._unacknowledged.items() if not left]
        try:
            for start in range(0, len(done), BATCH_MESSAGES):
                receipts = done[start : start + BATCH_MESSAGES]
                entries = [{"Id": str(n), "ReceiptHandle": receipt} for n, receipt in enumerate(receipts)]
                # SQS sends a message again that it did not delete.
                self._request("delete_message_batch", Entries=entries)
        except LakeError as error:
            self._report(error)
        for receipt in done:
            del self._unacknowledged[receipt]

    def close(self) -> None:
        """Do nothing, as nothing is open."""

    def _report(self, error: LakeError) -> None:
        self._backoff.report(f"{error}; until then new files are found by listing the lake")

    def _read(self, message: Any) -> Iterator[str]:
        """Return the paths that a message names; it is kept until they are acknowledged."""
        receipt = message.get("ReceiptHandle")
        # A message without a receipt cannot be deleted.
        keys = set[str]() if receipt is None else self._unacknowledged.setdefault(receipt, set())
        try:
            objects = parse_notification(message.get("Body") or "")
        except ValueError as error:
            self._warn(f"a message of the queue was ignored: {error}")
            return
        for bucket, key in objects:
            name = key.removeprefix(self._prefix)
            if bucket != self._bucket or not key.startswith(self._prefix):
                if not self._has_warned_of_others:
                    self._has_warned_of_others = True
                    self._warn("the queue also names objects outside of the lake; they are ignored")
            elif is_lake_file(name):
                keys.add(escape_unstorable(name))
                yield name

    def _receive(self, seconds: int) -> list[Any]:
        answer = self._request("receive_message", MaxNumberOfMessages=BATCH_MESSAGES, WaitTimeSeconds=seconds)
        return list(answer.get("Messages", ()))

    def _request(self, operation: str, **parameters: Any) -> Any:
        """Return the queue's answer; raises LakeError."""
        try:
            return self._client.request(operation, QueueUrl=self._url, **parameters)
        except ServiceError as error:
            advice = error.advice
            if error.cause is Cause.PERMISSION:
                advice = f"allow {error.permission or PERMISSIONS}, or fix QUEUE_URL or the AWS_* settings"
            is_setting = error.cause not in (Cause.CLOCK, Cause.TEMPORARY, Cause.UNKNOWN)
            kind = LakeSettingError if is_setting else LakeError
            raise kind(f"the queue cannot be used ({error.code}): {advice}") from error
        except UnreachableError as error:
            raise LakeError(f"the queue cannot be reached: {error}; look at QUEUE_URL and the network") from error


def parse_notification(body: str) -> list[tuple[str, str]]:
    """Return bucket and key of each object that a message names; raises ValueError if S3 did not send it.

    The message comes from S3 itself, whose keys are URL-encoded, also through SNS, or from EventBridge, whose keys are
    not encoded. The kind of event does not matter: messages come late, repeatedly and in any order, so the caller looks
    at the object.

    >>> parse_notification('{"source": "aws.s3", "detail": {"bucket": {"name": "b"}, "object": {"key": "a+b.tsv"}}}')
    [('b', 'a+b.tsv')]
    """
    import orjson

    match orjson.loads(body):
        case {"Type": "Notification", "Message": str() as message}:
            return parse_notification(message)
        case {"Records": [*records]}:
            return [_parse_record(record) for record in records]
        case {"source": "aws.s3", "detail": {"bucket": {"name": str() as bucket}, "object": {"key": str() as key}}}:
            return [(bucket, key)]
        case {"Event": "s3:TestEvent"}:
            raise ValueError("it is the test message that S3 sends when notifications are set up")
    raise ValueError("it is not an event notification of S3")


def _parse_record(record: object) -> tuple[str, str]:
    match record:
        case {"s3": {"bucket": {"name": str() as bucket}, "object": {"key": str() as key}}}:
            return bucket, unquote_plus(key)
    raise ValueError("it is not an event notification of S3")
