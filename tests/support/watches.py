"""A watch as a process, and its queue."""

import signal
from pathlib import Path

import boto3

from processor.lake.open_lake import open_lake
from tests.support.database_queries import ask
from tests.support.program_runs import Run
from tests.support.tables import counted, is_there
from tests.support.waiting import wait_until


def make_queue(bucket: str) -> str:
    """Return the URL of a new queue that gets notifications of the bucket's objects below lake/notified/."""
    sqs = boto3.client("sqs", endpoint_url=bucket)
    url = sqs.create_queue(QueueName="notifications", Attributes={"VisibilityTimeout": "5"})["QueueUrl"]
    name = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    notified = {"Key": {"FilterRules": [{"Name": "prefix", "Value": "lake/notified/"}]}}
    configuration = {"QueueArn": name, "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"], "Filter": notified}
    boto3.client("s3", endpoint_url=bucket).put_bucket_notification_configuration(
        Bucket="events",
        NotificationConfiguration={"QueueConfigurations": [configuration]},  # type: ignore[list-item]
    )
    sqs.purge_queue(QueueUrl=url)  # S3 sends a message about the configuration itself
    return url


def watch(*options: str, lake: Path | str, database: str, **environment: str) -> Run:
    """Return a watch that starts."""
    return Run("watch", *options, lake=lake, database=database, **environment)


def stop(running: Run, number: signal.Signals = signal.SIGTERM) -> None:
    """Stop a watch as an operator does."""
    running.process.send_signal(number)
    assert running.end() == 0


def is_up(database: str) -> bool:
    """Whether a watch has ingested what its first listing found."""
    return is_there(database, "command = 'watch' and seconds > 0")


def wait_for(database: str, lake: Path) -> None:
    """Wait until the present files of a folder are ingested."""
    wait_until(
        lambda: (
            {file.key: file.fingerprint for file in open_lake(str(lake)).list_files()}.items()
            <= counted(database).items()
        )
    )


def wait_for_word(running: Run, word: str, times: int) -> None:
    """Wait until a watch has printed a text `times` times."""
    wait_until(lambda: running.errors.count(word) == times)


def watches(database: str) -> list[tuple[object, ...]]:
    """Return the exit code, the error and the number of ingested files of each watch."""
    return ask(database, "select exit_code, error, files_counted from state.runs where command = 'watch'")
