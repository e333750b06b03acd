"""A watch as a process: files arrive in any way, services become unavailable for a while, and the tables are right."""

import hashlib
import json
import os
import random
import signal
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote_plus

import boto3
import pytest

from processor import pipeline
from processor.batches import BatchLimits
from processor.lake.notifications import NoNotifications
from processor.lake.open_lake import open_lake
from processor.plan import Plan
from processor.signals import StopRequest
from processor.watch import Watch
from state.database import Database
from state.run import begin_run
from state.store import Store
from tests.support.database_queries import ask, held, holders, is_waiting
from tests.support.event_files import HEADER, events
from tests.support.ingest import SilentTally, local_reducer
from tests.support.lake_folders import contents, write_lake
from tests.support.program_runs import Run, run
from tests.support.prometheus import samples
from tests.support.tables import Model, counted, is_there
from tests.support.waiting import wait_until
from tests.support.watches import is_up, make_queue, stop, wait_for, watch, watches

FILES = int(os.environ.get("WATCH_FILES") or "100")


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


def test_objects_that_arrive_in_any_way_are_counted_as_the_oracle_says(bucket: str, queue: str, database: str) -> None:
    draw, lake, patience = random.Random(8), dict[str, bytes](), max(60, FILES)
    s3, sqs = boto3.client("s3", endpoint_url=bucket), boto3.client("sqs", endpoint_url=bucket)

    def notify(key: str) -> None:
        body = {"Records": [{"s3": {"bucket": {"name": "events"}, "object": {"key": quote_plus(f"lake/{key}")}}}]}
        sqs.send_message(QueueUrl=queue, MessageBody=json.dumps(body))

    with watch("--queue", queue, "--interval", "3", lake="s3://events/lake/", database=database) as running:
        wait_until(lambda: is_up(database))
        for number in range(FILES):
            key = f"{draw.choice(('notified', 'notified', 'quiet'))}/ä b+%{number}.tsv"
            if lake and draw.random() < 0.25:
                key = draw.choice(list(lake))
            lake[key] = events(draw.randrange(40), draw.randrange(1, 40), f"title {number}")
            s3.put_object(Bucket="events", Key=f"lake/{key}", Body=lake[key])
            if draw.random() < 0.3:
                notify(draw.choice(list(lake)))
            if draw.random() < 0.1:
                gone = draw.choice(list(lake))
                s3.delete_object(Bucket="events", Key=f"lake/{gone}")
                del lake[gone]
                notify(gone)
            if draw.random() < 0.05:
                sqs.send_message(QueueUrl=queue, MessageBody=draw.choice(("", "{", "[" * 5000, "{}")) or " ")
        wanted = {key: f"{hashlib.md5(data).hexdigest()}-{len(data)}" for key, data in lake.items()}
        wait_until(lambda: wanted.items() <= counted(database).items(), patience)
        nightly = run("--prune", lake="s3://events/lake/", database=database)
        assert (nightly.returncode, nightly.stderr) == (0, "")
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        wait_until(
            lambda: (
                set(
                    sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"].values()  # type: ignore[arg-type]
                )
                == {"0"}
            ),
            patience,
        )
        stop(running)
        expected = ("ignored", "at work on this database", "watch continues")  # the nightly run may take a while
        assert all(any(word in line for word in expected) for line in running.errors.splitlines()), running.errors
    Model().check(database, lake, pruned=True)
    assert len(watches(database)) == 1


def test_files_that_are_written_in_any_way_are_counted_without_a_listing(lake: Path, database: str) -> None:
    write_lake(lake, {"a.tsv": events(1, 9, "before")})
    with watch("--interval", "9999", lake=lake, database=database) as running:
        wait_for(database, lake)
        draw = random.Random(3)
        for number in range(20):
            data = events(draw.randrange(40), draw.randrange(1, 40), f"title {number}")
            folder = lake / draw.choice((".", "year=2019/month=02", "x/y/z"))
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"{draw.randrange(12)}.tsv"
            if number % 3:
                with path.open("wb", buffering=0) as file:
                    for start in range(0, len(data), 500):
                        file.write(data[start : start + 500])
                        time.sleep(0.01)
            else:
                written = lake / "_written.tsv"
                written.write_bytes(data)
                written.rename(path)
        (lake.parent / "moved" / "in").mkdir(parents=True)
        (lake.parent / "moved" / "in" / "b.tsv").write_bytes(events(3, 7, "moved"))
        (lake.parent / "moved").rename(lake / "moved")
        (lake / "link.tsv").symlink_to(lake / "a.tsv")
        wait_for(database, lake)
        stop(running)
        assert running.errors == ""
    Model().check(database, contents(lake) | {"link.tsv": (lake / "a.tsv").read_bytes()})


def test_a_file_that_is_written_to_all_the_time_does_not_fail(lake: Path, database: str) -> None:
    line = events(1, 1, "grows").splitlines(keepends=True)[1]
    with watch("--interval", "1", lake=lake, database=database) as running:
        with (lake / "grows.tsv").open("wb", buffering=0) as file:
            file.write(HEADER + line * 20_000)
            for _ in range(150):
                file.write(line * 50)
                time.sleep(0.02)
        wait_for(database, lake)
        stop(running)
        assert running.errors == ""
    Model().check(database, contents(lake))


def test_listings_alone_find_every_file(bucket: str, database: str) -> None:
    s3, lake = boto3.client("s3", endpoint_url=bucket), {}
    with watch("--interval", "1", lake="s3://events/lake/", database=database) as running:
        for number in range(3):
            lake[f"{number}.tsv"] = events(number, 9, "t")
            s3.put_object(Bucket="events", Key=f"lake/{number}.tsv", Body=lake[f"{number}.tsv"])
            wait_until(lambda: len(counted(database)) == len(lake))
        stop(running, signal.SIGINT)
    Model().check(database, lake)


def test_other_runs_get_the_lock_of_a_watch_at_work(lake: Path, database: str) -> None:
    write_lake(lake, {f"{n}.tsv": events(n % 40, 30, f"t{n}") for n in range(300)})
    slow = """
    create function slow() returns trigger language plpgsql as $$ begin perform pg_sleep(0.02); return null; end $$;
    create trigger slow after insert on state.lake_files execute function slow();
    select 1
    """
    with Database(database):
        pass
    ask(database, slow)
    with watch(lake=lake, database=database, BATCH_ROWS="1") as running:
        wait_until(lambda: len(counted(database)) > 3)
        nightly = run("forget", "0.tsv", lake=lake, database=database)
        assert (nightly.returncode, nightly.stderr) == (0, "")
        assert 0 < len(counted(database)) < 299
        verified = run("verify", "--since", "zzz", lake=lake, database=database)
        assert (verified.returncode, verified.stderr) == (0, "")
        stop(running)
    assert run(lake=lake, database=database).returncode == 0
    Model().check(database, contents(lake))


def test_a_watch_waits_for_another_run_and_continues_after_it(lake: Path, database: str) -> None:
    with Database(database) as other, begin_run(other, str(lake)), watch(lake=lake, database=database) as running:
        wait_until(lambda: "at work on this database" in running.errors)
        other.__exit__()
        wait_until(lambda: is_up(database))
        with Database(database) as third, begin_run(third, str(lake)):
            write_lake(lake, {"a.tsv": events(1, 9, "a")})
            wait_until(lambda: running.errors.count("at work on this database") == 2)
            assert counted(database) == {}
        wait_for(database, lake)
        stop(running)
        assert len(running.errors.splitlines()) == 3  # two about waiting, and one that it continues
    Model().check(database, contents(lake))
    assert watches(database) == [(0, None, 1)]


@pytest.mark.parametrize("change", ["pruned", "replaced"])
def test_files_read_ahead_do_not_undo_another_run(
    lake: Path, database: str, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    write_lake(lake, {f"{n}.tsv": events(n, 30, "before") for n in range(4)})
    monkeypatch.setattr("processor.watch.HOLD_LOCK_SECONDS", 0.0)
    place, states = open_lake(str(lake)), list[dict[object, object]]()

    class Interrupted(Store):
        turns = 0

        def take_lock_again(self) -> bool:
            self.turns += 1
            if self.turns == 2:  # one file is ingested, and the last one was read
                (lake / "3.tsv").unlink()
                if change == "replaced":
                    write_lake(lake, {"3.tsv": events(3, 50, "after")})
                with Database(database, wait_seconds=5) as other, begin_run(other, place.url) as this_run:
                    pipeline.run(place, Store(this_run), Plan(prunes=True), SilentTally())
                states.append(counted(database))
            return super().take_lock_again()

    class Once(NoNotifications):
        def wait(self, seconds: float) -> list[str]:
            del seconds
            raise StopRequest("SIGTERM")

    with Database(database, wait_seconds=5, is_shared=True) as db, begin_run(db, place.url) as this_run:
        plan = Plan(limits=BatchLimits(rows=1), open_reducer=local_reducer(workers=2, chunk_bytes=4000))
        tally = SilentTally()
        watching = Watch(place, Interrupted(this_run), Once(), plan, 9999, tally, tally, lambda: None, lambda _: None)
        with pytest.raises(StopRequest):
            watching.run()
    states.append(counted(database))
    assert states == [{file.key: file.fingerprint for file in place.list_files()}] * 2
    assert tally.files_counted == 1
    Model().check(database, contents(lake), pruned=True)


def test_a_watch_ends_if_the_database_is_given_to_another_lake(lake: Path, database: str, tmp_path: Path) -> None:
    (tmp_path / "moved").mkdir()
    with watch("--interval", "1", lake=lake, database=database) as running:
        wait_until(lambda: is_up(database))
        assert run("--relocated", lake=tmp_path / "moved", database=database).returncode == 0
        assert running.end() == 2
        assert running.errors.splitlines()[-1].startswith("this database holds the lake")


@pytest.mark.parametrize("seed", range(5))
def test_a_signal_ends_a_watch_with_0_wherever_it_is(lake: Path, database: str, seed: int) -> None:
    draw = random.Random(seed)
    write_lake(lake, {f"{n}.tsv": events(n % 40, 30, f"t{n}") for n in range(60)})
    with watch(lake=lake, database=database) as running:
        wait_until(lambda: is_there(database, "command = 'watch'"))
        time.sleep(draw.uniform(0, 0.6))
        stop(running, draw.choice((signal.SIGTERM, signal.SIGINT)))
        # a run that is not watching yet says that it was stopped
        broken_off = ("the transaction failed (canceling statement", "watch continues", "stopped by SIG")
        assert all(line.startswith(broken_off) for line in running.errors.splitlines()), running.errors
    assert [row[:2] for row in watches(database)] == [(0, None)]
    assert run(lake=lake, database=database).returncode == 0
    Model().check(database, contents(lake))


def test_a_signal_ends_a_watch_with_0_while_a_statement_waits(lake: Path, database: str) -> None:
    with Database(database):
        pass
    write_lake(lake, {"a.tsv": events(1, 9, "a")})
    with held(database, "lock table state.file_sessions"), watch(lake=lake, database=database) as running:
        wait_until(lambda: is_waiting(database))
        stop(running)
    assert watches(database) == [(0, None, 0)]


def test_a_killed_watch_hinders_nobody(lake: Path, database: str) -> None:
    write_lake(lake, {f"{n}.tsv": events(n % 40, 30, f"t{n}") for n in range(60)})
    with watch(lake=lake, database=database) as running:
        wait_until(lambda: len(counted(database)) > 3)
        running.process.kill()
        running.process.wait()
    shown = run("status", lake=lake, database=database).stdout
    assert "watch, which has not ended; it was last at work at" in shown
    wait_until(lambda: not holders(database))
    assert run(lake=lake, database=database).returncode == 0
    Model().check(database, contents(lake))


def test_an_unreadable_file_is_reported_once_in_a_while(lake: Path, database: str) -> None:
    write_lake(lake, {"broken.tsv": b"no header\n"})
    with watch("--interval", "1", lake=lake, database=database) as running:
        wait_until(lambda: running.errors.count("not counted broken.tsv") == 2)
        time.sleep(2.5)
        assert running.errors.count("not counted broken.tsv") <= 3
        write_lake(lake, {"broken.tsv": events(1, 9, "fixed")})
        wait_for(database, lake)
        stop(running)
    Model().check(database, contents(lake))


def memory(process: int) -> int:
    """Return the memory of a process in bytes."""
    (line,) = (
        line
        for line in Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
        if line.startswith("VmRSS")
    )
    return int(line.split()[1]) * 1024


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the memory of a process is asked of Linux")
def test_memory_does_not_grow_with_the_files_that_arrived(lake: Path, database: str) -> None:
    with watch("--interval", "2", lake=lake, database=database) as running:
        sizes = []
        for first in range(0, 300, 100):
            write_lake(lake, {f"{n}.tsv": events(n % 40, 5, "t") for n in range(first, first + 100)})
            wait_for(database, lake)
            time.sleep(3)  # the first drawing of the report takes memory
            sizes.append(memory(running.process.pid))
        stop(running)
    assert sizes[2] - sizes[1] < 8_000_000


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--queue", "https://sqs.eu-west-1.amazonaws.com/1/q"], "QUEUE_URL"),
        (["--interval", "0"], "above 0"),
        (["--interval", "soon"], "above 0"),
        (["--prune"], "--prune"),
    ],
)
def test_a_wrong_setting_of_a_folder_ends_a_watch_with_2(
    options: list[str], word: str, lake: Path, database: str
) -> None:
    before = [option for option in options if option == "--prune"]
    done = run(*before, "watch", *[o for o in options if o not in before], lake=lake, database=database)
    assert (done.returncode, word in done.stderr, len(done.stderr.splitlines())) == (2, True, 1)


def test_a_wrong_setting_of_s3_ends_a_watch_with_2(queue: str, database: str) -> None:
    for place, url in (
        ("s3://events/lake/", f"{queue}-not"),
        ("s3://events/lake/", "notifications"),
        ("s3://no-such-bucket/", queue),
    ):
        done = run("watch", lake=place, database=database, QUEUE_URL=url)
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert run("watch", lake="s3://events/", database=database, WATCH_INTERVAL="-1").returncode == 2


def looked(url: str, names: list[str]) -> Iterator[tuple[object, object]]:
    """Yield each file as the lake lists it, and as it finds the file by its name."""
    lake = open_lake(url)
    files = {file.key: file for file in lake.list_files()}
    assert files
    for name in {*files, *names}:
        yield files.get(name), lake.find(name)


def test_one_file_of_a_folder_is_found_as_it_is_listed(lake: Path) -> None:
    names = ["a.tsv", "x/b.tsv.gz", "x/_c.tsv", "d.csv", "ä ö.tsv"]
    write_lake(lake.parent, {"outside.tsv": b""})
    write_lake(lake, dict.fromkeys(names, b"1"))
    (lake / "in.tsv").symlink_to(lake / "a.tsv")
    (lake / "out.tsv").symlink_to(lake.parent / "outside.tsv")
    (lake / "loop.tsv").symlink_to(lake / "loop.tsv")
    (lake / "y").symlink_to(lake / "x")
    (lake / "folder.tsv").mkdir()
    odd = [
        "in.tsv",
        "out.tsv",
        "loop.tsv",
        "y/b.tsv.gz",
        "folder.tsv",
        "../outside.tsv",
        "/etc/a.tsv",
        "no.tsv",
        "no/a.tsv",
    ]
    assert all(listed == alone for listed, alone in looked(str(lake), [*names, *odd]))


def test_one_object_is_found_as_it_is_listed(bucket: str) -> None:
    s3 = boto3.client("s3", endpoint_url=bucket)
    names = ["a.tsv", "a.tsv.gz", "x/b.tsv", "x/b.tsv.old", "x/_c.tsv", "ä +%.tsv"]
    for name in names:
        s3.put_object(Bucket="events", Key=f"lake/{name}", Body=b"1")
    odd = ["x/b", "x/b.ts", "no.tsv", "", "../lake/a.tsv", "z/b.tsv"]
    assert all(listed == alone for listed, alone in looked("s3://events/lake/", [*names, *odd]))


def test_messages_about_objects_elsewhere_are_deleted(bucket: str, queue: str, database: str) -> None:
    sqs = boto3.client("sqs", endpoint_url=bucket)
    places: list[tuple[str, str]] = [("events", "lake2/a.tsv"), ("other", "lake/a.tsv"), ("events", "lake/a.csv")]
    for name, key in places:
        body = {"Records": [{"s3": {"bucket": {"name": name}, "object": {"key": key}}}]}
        sqs.send_message(QueueUrl=queue, MessageBody=json.dumps(body))
    sqs.send_message(QueueUrl=queue, MessageBody='{"Service": "Amazon S3", "Event": "s3:TestEvent"}')
    with watch("--queue", queue, lake="s3://events/lake/", database=database) as running:
        wait_until(lambda: "outside of the lake" in running.errors and "ignored: it is the test" in running.errors)
        is_empty: Callable[[], bool] = lambda: "Messages" not in sqs.receive_message(QueueUrl=queue)  # noqa: E731
        wait_until(is_empty)
        stop(running)
        assert len(running.errors.splitlines()) == 2


def test_a_watch_is_scraped(database: str, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    write_lake(lake, {"a.tsv": events(5, 20, "first") + b"bad line\n"})
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    def scraped() -> dict[str, float]:
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            return samples(answer.read().decode())
        return {}

    with Run("watch", "--interval", "1", "--metrics", str(port), lake=lake, database=database) as going:
        wait_until(lambda: scraped().get("event_lake_last_success_timestamp_seconds{}"))
        first = scraped()
        assert first['event_lake_files_total{outcome="counted"}'] == 1
        assert first['event_lake_rejected_lines_total{reason="wrong_field_count"}'] == 1
        assert first["event_lake_commit_duration_seconds_count{}"] == 1
        write_lake(lake, {"b.tsv": events(7, 9, "second"), "c.tsv": b"no header\n"})
        wait_until(lambda: scraped().get("event_lake_failed_files{}"))
        wait_until(lambda: scraped()['event_lake_files_total{outcome="counted"}'] == 2)
        wait_until(lambda: scraped()["event_lake_last_run_exit_code{}"] == 1)
        assert scraped()["event_lake_lock_held{}"] == 0
        going.process.terminate()
        assert going.end() == 0
    ((reasons,),) = ask(database, "select reasons from state.runs where command = 'watch'")
    assert reasons == {"wrong_field_count": 1}
    assert run("--metrics", "x.prom", "watch", lake=lake, database=database).returncode == 2
