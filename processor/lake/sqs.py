"""What S3 tells through a queue of SQS of the objects that came."""

from collections.abc import Callable, Collection, Iterator
from math import ceil
from typing import Any
from urllib.parse import unquote_plus

from processor.backoff import Backoff
from processor.lake.aws import Blame, Client, RefusedError, UnreachableError
from processor.lake.base import LakeError, LakeSettingError, escape_unstorable, is_lake_file

MAX_POLL_SECONDS = 20  # seconds that SQS lets a poll last
BATCH_MESSAGES = 10  # messages that SQS gives and takes at once
MAX_MESSAGES = 100
RIGHTS = "sqs:ReceiveMessage and sqs:DeleteMessage"


class QueueNotifications:
    """Tells which objects of a lake came, as event notifications of its bucket in a queue say.

    A message is deleted once all that it tells of is settled. Until then it comes again when its visibility timeout is
    over. A queue that is away is waited for: the lake is listed all the same.
    """

    def __init__(self, url: str, lake_url: str, warn: Callable[[str], None]) -> None:
        """The queue at a URL, asked for the first time; raises LakeError."""
        self._url, self._warn, self._client = url, warn, Client("sqs")
        self._bucket, _, self._prefix = lake_url.removeprefix("s3://").partition("/")
        self._backoff = Backoff(warn, "the queue answers again")
        self._held: dict[str, set[str]] = {}
        self._is_elsewhere_told = False
        self._early = self._receive(0)

    def restart(self) -> None:
        """Let go of the messages that are not settled: they come again."""
        self._held.clear()

    def wait(self, seconds: float) -> list[str]:
        """The paths that messages name below the lake's URL, as soon as there are some, or none after so long."""
        messages, self._early = self._early, []
        try:
            messages += self._receive(0 if messages else max(1, min(ceil(seconds), MAX_POLL_SECONDS)))
            while len(messages) % BATCH_MESSAGES == 0 and 0 < len(messages) < MAX_MESSAGES:
                more = self._receive(0)
                messages += more
                if not more:
                    break
        except LakeError as error:
            self._backoff.report(f"{error}; until then the lake is listed only")
            if not messages:
                self._backoff.wait(seconds)
        else:
            self._backoff.end()
        names = list(dict.fromkeys(name for message in messages for name in self._take(message)))
        self.acknowledge(())
        return names

    def acknowledge(self, keys: Collection[str]) -> None:
        """Delete the messages that tell of nothing but files with these keys, and of those that were settled before."""
        for left in self._held.values():
            left.difference_update(keys)
        done = [receipt for receipt, left in self._held.items() if not left]
        try:
            for start in range(0, len(done), BATCH_MESSAGES):
                entries = [
                    {"Id": str(n), "ReceiptHandle": one} for n, one in enumerate(done[start : start + BATCH_MESSAGES])
                ]
                self._ask("delete_message_batch", Entries=entries)  # one that is not taken comes again
        except LakeError as error:
            self._backoff.report(f"{error}; until then the lake is listed only")
        for receipt in done:
            del self._held[receipt]

    def close(self) -> None:
        """Nothing is left open."""

    def _take(self, message: Any) -> Iterator[str]:
        """The paths that a message names; it is held until they are settled."""
        receipt = message.get("ReceiptHandle")
        keys = set[str]() if receipt is None else self._held.setdefault(receipt, set())  # no receipt, no deletion
        try:
            objects = parse_notification(message.get("Body") or "")
        except ValueError as error:
            self._warn(f"a message of the queue was passed over: {error}")
            return
        for bucket, key in objects:
            name = key.removeprefix(self._prefix)
            if bucket != self._bucket or not key.startswith(self._prefix):
                if not self._is_elsewhere_told:
                    self._is_elsewhere_told = True
                    self._warn("the queue tells of objects outside of the lake, too: they are passed over")
            elif is_lake_file(name):
                keys.add(escape_unstorable(name))
                yield name

    def _receive(self, seconds: int) -> list[Any]:
        answer = self._ask("receive_message", MaxNumberOfMessages=BATCH_MESSAGES, WaitTimeSeconds=seconds)
        return list(answer.get("Messages", ()))

    def _ask(self, operation: str, **request: Any) -> Any:
        """What the queue answers; raises LakeError."""
        try:
            return self._client.ask(operation, QueueUrl=self._url, **request)
        except RefusedError as error:
            advice = error.advice
            if error.blame is Blame.RIGHT:
                advice = f"allow {error.right or RIGHTS}, or fix QUEUE_URL or the AWS_* settings"
            is_wrong = error.blame not in (Blame.CLOCK, Blame.NOTHING, Blame.UNKNOWN)
            kind = LakeSettingError if is_wrong else LakeError
            raise kind(f"the queue cannot be used ({error.code}): {advice}") from error
        except UnreachableError as error:
            raise LakeError(f"the queue cannot be reached: {error}; look at QUEUE_URL and the network") from error


def parse_notification(body: str) -> list[tuple[str, str]]:
    """Bucket and key of each object that a message tells of; raises ValueError where it is no notification of S3.

    It comes from S3 itself, whose keys are URL-encoded, by way of SNS, or from EventBridge, whose keys are not. What
    happened to the object is not asked: it is looked at, as messages come late, in any order and more than once.

    >>> parse_notification('{"source": "aws.s3", "detail": {"bucket": {"name": "b"}, "object": {"key": "a+b.tsv"}}}')
    [('b', 'a+b.tsv')]
    """
    import orjson

    match orjson.loads(body):
        case {"Type": "Notification", "Message": str() as message}:
            return parse_notification(message)
        case {"Records": [*records]}:
            return [_object(record) for record in records]
        case {"source": "aws.s3", "detail": {"bucket": {"name": str() as bucket}, "object": {"key": str() as key}}}:
            return [(bucket, key)]
        case {"Event": "s3:TestEvent"}:
            raise ValueError("it is the test that S3 sends when notifications are set up")
    raise ValueError("it is no event notification of S3")


def _object(record: object) -> tuple[str, str]:
    match record:
        case {"s3": {"bucket": {"name": str() as bucket}, "object": {"key": str() as key}}}:
            return bucket, unquote_plus(key)
    raise ValueError("it is no event notification of S3")
