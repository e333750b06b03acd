"""What all notifications promise: the same cases for those of a folder and those of a queue."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import boto3
import pytest

from processor.lake.base import Lake
from processor.lake.notifications import NoNotifications, Notifications
from processor.lake.open_lake import open_lake
from tests.support.event_files import HEADER
from tests.support.proxies import put

PATIENCE_SECONDS = 30.0
# A message that is not acknowledged comes again after this time, so the longer silence would show it.
VISIBILITY_SECONDS, SILENCE_SECONDS = 1, 2
ODD_NAMES = ["ä ö.tsv", "a+b &=%41.tsv", "year=2019/a.tsv.gz", "日本/ü.tsv.zst"]


@dataclass
class Source:
    """A lake, its notifications, and their warnings."""

    lake: Lake
    notifications: Notifications
    write: Callable[[str], None]
    warned: list[str] = field(default_factory=list)

    def wait_for(self, *names: str) -> set[str]:
        """Return all names until these have come."""
        found, end = set[str](), time.monotonic() + PATIENCE_SECONDS
        while not found >= set(names) and time.monotonic() < end:
            found.update(self.notifications.wait(1))
        assert found >= set(names)
        return found

    def wait_in_silence(self) -> set[str]:
        """Return all names that come for a while."""
        found, end = set[str](), time.monotonic() + SILENCE_SECONDS
        while time.monotonic() < end:
            found.update(self.notifications.wait(0.5))
        return found


@pytest.fixture(params=["folder", "queue"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Source]:
    """Notifications of an empty lake of each kind, which have started."""
    warned: list[str] = []
    if request.param == "folder":
        folder, queue = tmp_path / "lake", ""
        folder.mkdir()
        lake = open_lake(str(folder))

        def write(name: str) -> None:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(HEADER)
    else:
        endpoint: str = request.getfixturevalue("bucket")
        sqs = boto3.client("sqs", endpoint_url=endpoint)
        attributes = {"VisibilityTimeout": str(VISIBILITY_SECONDS)}
        queue = sqs.create_queue(QueueName="notifications", Attributes=attributes)["QueueUrl"]  # type: ignore[arg-type]
        lake = open_lake("s3://events/lake/")

        def write(name: str) -> None:
            put(endpoint, f"lake/{name}", HEADER)
            detail = {"bucket": {"name": "events"}, "object": {"key": f"lake/{name}"}}
            sqs.send_message(QueueUrl=queue, MessageBody=json.dumps({"source": "aws.s3", "detail": detail}))

    with closing(lake.open_notifications(queue, warned.append)) as notifications:
        notifications.restart()
        yield Source(lake, notifications, write, warned)
    assert warned == []


def test_a_new_file_and_a_changed_one_are_named(source: Source) -> None:
    source.write("a.tsv")
    assert source.wait_for("a.tsv") == {"a.tsv"}
    source.notifications.acknowledge({"a.tsv"})
    source.write("a.tsv")
    source.write("x/b.tsv.gz")
    assert source.wait_for("a.tsv", "x/b.tsv.gz") == {"a.tsv", "x/b.tsv.gz"}


def test_hidden_files_and_other_files_are_not_named(source: Source) -> None:
    for name in ("_a.tsv", ".b/a.tsv", "x/_temporary/0/a.tsv", "lost+found/a.tsv", "x/d.csv"):
        source.write(name)
    source.write("x/a_.tsv")
    assert source.wait_for("x/a_.tsv") | source.wait_in_silence() == {"x/a_.tsv"}


def test_what_is_named_is_found_in_the_lake(source: Source) -> None:
    for name in ODD_NAMES:
        source.write(name)
    named = source.wait_for(*ODD_NAMES)
    assert named == set(ODD_NAMES)
    assert {file and file.key for file in map(source.lake.find, named)} == set(ODD_NAMES)


def test_without_new_files_waiting_returns_nothing_and_ends(source: Source) -> None:
    begun = time.monotonic()
    assert source.notifications.wait(0) == []
    assert source.notifications.wait(0.3) == []
    assert 0.3 <= time.monotonic() - begun < PATIENCE_SECONDS / 2


def test_waiting_ends_once_a_file_is_named(source: Source) -> None:
    source.write("a.tsv")
    begun = time.monotonic()
    assert source.notifications.wait(PATIENCE_SECONDS) == ["a.tsv"]
    assert time.monotonic() - begun < PATIENCE_SECONDS / 2


def test_an_acknowledged_file_is_not_named_again(source: Source) -> None:
    source.write("a.tsv")
    source.wait_for("a.tsv")
    source.notifications.acknowledge({"a.tsv", "never-named.tsv"})
    source.notifications.acknowledge({"a.tsv"})
    source.notifications.restart()
    assert source.wait_in_silence() == set()


def test_notifications_may_restart_at_any_time(source: Source) -> None:
    source.notifications.restart()
    source.write("a.tsv")
    source.wait_for("a.tsv")
    source.notifications.restart()  # as before each listing, which finds the files that were not acknowledged
    source.notifications.restart()
    source.write("b.tsv")
    assert source.wait_for("b.tsv") <= {"a.tsv", "b.tsv"}


def test_closing_twice_does_no_harm(source: Source) -> None:
    source.notifications.close()
    source.notifications.close()


def test_no_notifications_name_nothing_and_wait(bucket: str) -> None:
    with closing(open_lake("s3://events/lake/").open_notifications("", pytest.fail)) as notifications:
        assert isinstance(notifications, NoNotifications)
        notifications.restart()
        put(bucket, "lake/a.tsv", HEADER)
        begun = time.monotonic()
        assert notifications.wait(0.3) == []
        assert time.monotonic() - begun >= 0.3
        notifications.acknowledge({"a.tsv"})
