"""A watch waits for a database, a lake or a queue that is unavailable for a while."""

import signal
import time
from contextlib import closing
from pathlib import Path

import boto3
import pytest

from tests.support.event_files import events
from tests.support.lake_folders import contents, write_lake
from tests.support.postgres import new_database
from tests.support.proxies import S3Fault, S3Proxy
from tests.support.servers import Server
from tests.support.tables import Model, counted
from tests.support.waiting import wait_until
from tests.support.watches import is_up, make_queue, stop, wait_for, wait_for_word, watch, watches


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """An empty folder."""
    folder = tmp_path / "lake"
    folder.mkdir()
    return folder


@pytest.fixture
def queue(bucket: str) -> str:
    """The URL of a queue that gets notifications of the bucket's objects below lake/notified/."""
    return make_queue(bucket)


@pytest.mark.slow
def test_a_watch_waits_for_an_unavailable_database(own_server: tuple[str, Server], lake: Path) -> None:
    uri, server = own_server
    with new_database(uri) as database:
        with watch("--interval", "5", lake=lake, database=database, DATABASE_WAIT="1") as running:
            write_lake(lake, {"a.tsv": events(1, 9, "a")})
            wait_for(database, lake)
            for number in range(2):
                server.kill(signal.SIGKILL)
                try:
                    write_lake(lake, {"a.tsv": events(2, 9, "b"), f"{number}.tsv": events(number, 30, "c")})
                    wait_for_word(running, "\n", 2 * number + 1)
                    time.sleep(3)  # longer than the wait for one connection
                finally:
                    server.start()
                wait_for(database, lake)
                wait_for_word(running, "\n", 2 * number + 2)
            stop(running)
            assert running.errors.splitlines()[1::2] == ["watch continues"] * 2
        Model().check(database, contents(lake))
        assert watches(database) == [(0, None, 4)]


def test_a_watch_waits_for_an_unavailable_folder(lake: Path, database: str) -> None:
    write_lake(lake, {"a.tsv": events(1, 9, "a")})
    with watch("--interval", "1", lake=lake, database=database) as running:
        wait_for(database, lake)
        moved = lake.rename(lake.with_name("moved"))
        wait_until(lambda: "cannot be listed" in running.errors)
        moved.rename(lake)
        wait_until(lambda: "watch continues" in running.errors)
        write_lake(lake, {"b.tsv": events(1, 9, "b")})
        wait_for(database, lake)
        stop(running)
        assert len(running.errors.splitlines()) == 2
    Model().check(database, contents(lake))


@pytest.mark.slow
def test_a_watch_waits_for_an_unavailable_s3(bucket: str, queue: str, database: str) -> None:
    s3, fault = boto3.client("s3", endpoint_url=bucket), list[S3Fault]()
    lake = {"notified/a.tsv": events(1, 9, "a"), "quiet/b.tsv": events(2, 9, "b")}
    with (
        closing(S3Proxy(bucket, lambda _: fault[0] if fault else None)) as proxy,
        watch("--queue", queue, "--interval", "2", lake="s3://events/lake/", database=database,
              AWS_ENDPOINT_URL_S3=proxy.url) as running,
    ):  # fmt: skip
        wait_until(lambda: is_up(database))
        for number, kind in enumerate(("503", "reset"), 1):
            fault.append(kind)  # type: ignore[arg-type]
            lake[f"notified/{number}.tsv"] = events(number, 9, kind)
            for key, data in lake.items():
                s3.put_object(Bucket="events", Key=f"lake/{key}", Body=data)
            wait_for_word(running, "; watch waits\n", number)
            fault.clear()
            wait_until(lambda: counted(database).keys() == lake.keys())
            wait_for_word(running, "watch continues\n", number)
        stop(running)
        assert len(running.errors.splitlines()) == 4
    Model().check(database, lake)


def test_without_its_queue_a_watch_still_lists(bucket: str, queue: str, database: str) -> None:
    with watch("--queue", queue, "--interval", "1", lake="s3://events/lake/", database=database) as running:
        wait_until(lambda: is_up(database))
        boto3.client("sqs", endpoint_url=bucket).delete_queue(QueueUrl=queue)
        wait_until(lambda: "the queue cannot be used" in running.errors)
        data = events(1, 9, "a")
        boto3.client("s3", endpoint_url=bucket).put_object(Bucket="events", Key="lake/a.tsv", Body=data)
        wait_until(lambda: counted(database))
        boto3.client("sqs", endpoint_url=bucket).create_queue(QueueName="notifications")
        wait_until(lambda: "the queue answers again" in running.errors)
        stop(running)
        assert len(running.errors.splitlines()) == 2
    Model().check(database, {"a.tsv": data})
