"""Notifications from a queue: its requests, the messages that it deletes, and how it reports faults."""

import json
from collections.abc import Callable
from itertools import chain
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from botocore.parsers import ResponseParserError

from processor.lake import aws_client
from processor.lake.base import LakeError, LakeSettingError
from processor.lake.keys import escape_unstorable
from processor.lake.sqs import QueueNotifications, parse_notification
from tests.support.secret import SECRET

URL = "https://sqs.eu-west-1.amazonaws.com/1/q"
# Errors about a setting or a permission, with some words of their advice.
WRONG = {
    "AccessDenied": "allow sqs:ReceiveMessage and sqs:DeleteMessage, or fix QUEUE_URL or the AWS_",
    "AccessDeniedException": "allow sqs:ReceiveMessage and sqs:DeleteMessage, or fix QUEUE_URL or the AWS_",
    "AWS.SimpleQueueService.NonExistentQueue": "fix QUEUE_URL",
    "ExpiredToken": "renew them",
    "InvalidAddress": "fix QUEUE_URL",
    "InvalidClientTokenId": "look at AWS_ACCESS_KEY_ID",
    "QueueDoesNotExist": "fix QUEUE_URL",
    "SignatureDoesNotMatch": "look at AWS_SECRET_ACCESS_KEY",
}
PASSING = {"InternalError": "run again later", "Throttling": "run again later", "": "look up the error 0"}


def body(*keys: str, bucket: str = "events") -> str:
    """Return a notification of these objects."""
    return json.dumps({"Records": [{"s3": {"bucket": {"name": bucket}, "object": {"key": key}}} for key in keys]})


class Client:
    """A client of a queue that contains messages and may fail."""

    def __init__(self) -> None:
        self.bodies: list[str] = []
        self.asked: list[tuple[int, int]] = []
        self.deleted: list[list[str]] = []
        self.errors: list[Exception] = []
        self.received = 0

    def _fail(self, url: str) -> None:
        assert url == URL
        if self.errors:
            raise self.errors.pop(0)

    def receive_message(self, *, QueueUrl: str, MaxNumberOfMessages: int, WaitTimeSeconds: int) -> dict[str, Any]:  # noqa: N803
        self._fail(QueueUrl)
        self.asked.append((MaxNumberOfMessages, WaitTimeSeconds))
        given, self.bodies = self.bodies[:MaxNumberOfMessages], self.bodies[MaxNumberOfMessages:]
        messages = []
        for text in given:
            self.received += 1
            messages.append({"ReceiptHandle": f"r{self.received}", "Body": text})
        return {"Messages": messages} if messages else {}

    def delete_message_batch(self, *, QueueUrl: str, Entries: list[dict[str, str]]) -> None:  # noqa: N803
        self._fail(QueueUrl)
        assert [entry["Id"] for entry in Entries] == [str(n) for n in range(len(Entries))]
        self.deleted.append([entry["ReceiptHandle"] for entry in Entries])


Opener = Callable[..., QueueNotifications]


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    """The client of each queue."""
    made = Client()
    monkeypatch.setattr(aws_client, "make_client", lambda service: ({"sqs": made}[service], None))
    return made


@pytest.fixture
def lines() -> list[str]:
    """The lines that a queue logs."""
    return []


@pytest.fixture
def opened(client: Client, lines: list[str]) -> Opener:
    """A function that opens a queue with these messages."""

    def queue(*bodies: str, lake: str = "s3://events/lake/") -> QueueNotifications:
        client.bodies += bodies
        return QueueNotifications(URL, lake, lines.append)

    return queue


@pytest.mark.parametrize(("seconds", "asked"), [(0, 1), (0.2, 1), (1, 1), (1.2, 2), (20, 20), (20.1, 20), (300, 20)])
def test_a_poll_lasts_as_long_as_allowed(opened: Opener, client: Client, seconds: float, asked: int) -> None:
    queue = opened()
    assert client.asked == [(10, 0)]  # the first request does not wait
    assert queue.wait(seconds) == []
    assert client.asked[1:] == [(10, asked)]


def test_the_first_messages_of_a_queue_are_returned_at_once(opened: Opener, client: Client) -> None:
    queue = opened(body("lake/a.tsv"))
    assert queue.wait(20) == ["a.tsv"]
    assert client.asked == [(10, 0), (10, 0)]
    assert queue.wait(20) == []
    assert client.asked[2:] == [(10, 20)]


@pytest.mark.parametrize(
    ("messages", "calls"), [(0, 1), (1, 1), (9, 1), (10, 2), (11, 2), (20, 3), (95, 10), (100, 10), (250, 10)]
)
def test_a_full_queue_is_polled_up_to_a_limit(opened: Opener, client: Client, messages: int, calls: int) -> None:
    queue = opened()
    client.bodies = [body(f"lake/{n}.tsv") for n in range(messages)]
    assert queue.wait(5) == [f"{n}.tsv" for n in range(min(messages, 100))]
    assert client.asked[1:] == [(10, 5), *[(10, 0)] * (calls - 1)]


def test_each_name_comes_once_and_as_the_lake_lists_it(opened: Opener, lines: list[str]) -> None:
    queue = opened(
        body("lake/b.tsv", "lake/a.tsv", "lake/b.tsv"), body("lake/x/%C3%A4+b.tsv.gz"), body("lake/a.tsv", "lake/a.csv")
    )
    assert queue.wait(1) == ["b.tsv", "a.tsv", "x/ä b.tsv.gz"]
    assert lines == []


@pytest.mark.parametrize(
    ("lake", "named"),
    [
        ("s3://events/lake/", ["a.tsv"]),
        ("s3://events/", ["lake/a.tsv", "lake2/a.tsv"]),
        ("s3://other/lake/", ["a.tsv"]),
    ],
)
def test_objects_outside_of_the_lake_are_reported_once(
    opened: Opener, client: Client, lines: list[str], lake: str, named: list[str]
) -> None:
    queue = opened(
        *[body("lake/a.tsv"), body("lake2/a.tsv"), body("lake/a.tsv", bucket="other"), body("x", bucket="third")],
        lake=lake,
    )
    assert queue.wait(1) == named
    assert queue.wait(1) == []
    client.bodies = [body("x", bucket="third")]
    assert queue.wait(1) == []
    assert lines == ["the queue also names objects outside of the lake; they are ignored"]
    queue.acknowledge([escape_unstorable(name) for name in named])
    assert sorted(chain.from_iterable(client.deleted)) == ["r1", "r2", "r3", "r4", "r5"]


def test_a_message_is_deleted_once_all_its_files_are_acknowledged(opened: Opener, client: Client) -> None:
    queue = opened(body("lake/a.tsv", "lake/b.tsv"), body("lake/a.tsv"), body("lake/c.csv"))
    queue.wait(1)
    assert client.deleted == [["r3"]]  # it names no lake file
    queue.acknowledge(["a.tsv"])
    assert client.deleted[1:] == [["r2"]]
    queue.acknowledge(["a.tsv", "z.tsv"])
    queue.acknowledge([])
    assert client.deleted[2:] == []
    queue.acknowledge(["b.tsv"])
    assert client.deleted[2:] == [["r1"]]
    queue.acknowledge(["b.tsv"])
    assert client.deleted[3:] == []


def test_messages_are_deleted_ten_at_a_time(opened: Opener, client: Client) -> None:
    queue = opened(*[body("lake/a.tsv")] * 25)
    queue.wait(1)
    queue.acknowledge(["a.tsv"])
    assert client.deleted == [[f"r{n}" for n in numbers] for numbers in (range(1, 11), range(11, 21), range(21, 26))]


def test_messages_with_unstorable_names_are_deleted_too(opened: Opener, client: Client) -> None:
    queue = opened(body(b"lake/a\\u0000.tsv".decode("unicode_escape")))
    (name,) = queue.wait(1)
    queue.acknowledge([escape_unstorable(name)])
    assert client.deleted == [["r1"]]


def test_a_message_from_before_a_restart_is_not_deleted(opened: Opener, client: Client) -> None:
    queue = opened(body("lake/a.tsv"))
    queue.wait(1)
    queue.restart()
    queue.acknowledge(["a.tsv"])
    assert client.deleted == []


@pytest.mark.parametrize("text", ["{", "{}", '{"Event": "s3:TestEvent"}'])
def test_a_message_that_is_not_a_notification_is_reported_and_deleted(
    opened: Opener, client: Client, lines: list[str], text: str
) -> None:
    queue = opened(text, body("lake/a.tsv"))
    assert queue.wait(1) == ["a.tsv"]
    (line,) = lines
    assert line.startswith("a message of the queue was ignored: ")
    assert client.deleted == [["r1"]]


def failure(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": SECRET}}, "ReceiveMessage")


@pytest.mark.parametrize(("code", "advice"), (WRONG | PASSING).items())
def test_a_refusal_by_the_queue_says_what_to_do(opened: Opener, client: Client, code: str, advice: str) -> None:
    client.errors.append(failure(code))
    with pytest.raises(LakeError, match=rf"\({code.rpartition('.')[2] or 0}\): .*{advice}") as raised:
        opened()
    assert type(raised.value) is (LakeSettingError if code in WRONG else LakeError)
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    "error",
    [
        EndpointConnectionError(endpoint_url=f"https://u:{SECRET}@h/"),
        ResponseParserError(f"no XML\n from https://u:{SECRET}@h/"),
        ValueError(f"https://u:{SECRET}@h/ is no URL"),
    ],
)
def test_an_unreachable_queue_is_reported_in_one_line(opened: Opener, client: Client, error: Exception) -> None:
    client.errors.append(error)
    with pytest.raises(LakeError, match=r"the queue cannot be reached: .*; look at QUEUE_URL") as raised:
        opened()
    assert type(raised.value) is LakeError
    assert SECRET not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_an_unavailable_queue_is_reported_once_and_then_waited_for(
    opened: Opener, client: Client, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr("processor.backoff.time.sleep", slept.append)
    queue = opened()
    client.errors += [failure("InternalError")] * 2
    assert queue.wait(0.1) == []
    assert queue.wait(20) == []
    (line,) = lines
    assert line.endswith("; until then new files are found by listing the lake")
    assert slept[0] == 0.1  # not longer than the caller waits
    assert slept[1] > 0.1
    client.bodies.append(body("lake/a.tsv"))
    assert queue.wait(20) == ["a.tsv"]
    assert lines[1:] == ["the queue answers again"]
    assert len(slept) == 2


def test_messages_from_before_an_error_are_returned(
    opened: Opener, client: Client, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("processor.backoff.time.sleep", None)  # messages must not be delayed
    queue = opened(*[body(f"lake/{n}.tsv") for n in range(10)])
    client.errors.append(failure("InternalError"))
    assert queue.wait(20) == [f"{n}.tsv" for n in range(10)]
    assert len(lines) == 1


def test_a_message_that_cannot_be_deleted_comes_again(opened: Opener, client: Client, lines: list[str]) -> None:
    queue = opened(body("lake/a.tsv"))
    queue.wait(1)
    client.errors.append(failure("InternalError"))
    queue.acknowledge(["a.tsv"])
    (line,) = lines
    assert line.endswith("; until then new files are found by listing the lake")
    queue.acknowledge(["a.tsv"])
    assert client.deleted == []  # its receipt was forgotten; it comes again with another one
    client.bodies.append(body("lake/a.tsv"))
    assert queue.wait(1) == ["a.tsv"]
    queue.acknowledge(["a.tsv"])
    assert client.deleted == [["r2"]]


RECORD = {"s3": {"bucket": {"name": "b"}, "object": {"key": "a/%C3%A4+b%2B.tsv"}}}
BRIDGE = {
    "source": "aws.s3",
    "detail-type": "Object Created",
    "detail": {"bucket": {"name": "b"}, "object": {"key": "a+%20.tsv"}},
}


def wrapped(message: object) -> dict[str, object]:
    return {"Type": "Notification", "TopicArn": "arn:aws:sns:eu-west-1:1:t", "Message": json.dumps(message)}


@pytest.mark.parametrize(
    ("message", "objects"),
    [
        ({"Records": [RECORD]}, [("b", "a/ä b+.tsv")]),
        ({"Records": [RECORD, RECORD]}, [("b", "a/ä b+.tsv")] * 2),
        (wrapped({"Records": [RECORD]}), [("b", "a/ä b+.tsv")]),
        (BRIDGE, [("b", "a+%20.tsv")]),
        (wrapped(BRIDGE), [("b", "a+%20.tsv")]),
    ],
)
def test_every_form_of_notification_is_read(message: object, objects: list[tuple[str, str]]) -> None:
    assert parse_notification(json.dumps(message)) == objects


@pytest.mark.parametrize(
    "body",
    [
        "", "no JSON", "1", "[]", "{}", "null", "[" * 100_000, '"\\ud800"', '{"Records": [1]}', '{"Records": {}}',
        '{"Records": [{"s3": {"bucket": {"name": 1}, "object": {"key": "a"}}}]}', '{"Event": "s3:TestEvent"}',
        '{"Type": "Notification", "Message": "no JSON"}', '{"detail": {}}',
    ],
)  # fmt: skip
def test_a_body_that_is_not_a_notification_is_refused(body: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_notification(body)
