"""The process pool: the tables are right however its processes end, and no process survives."""

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from multiprocessing import Pipe
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import psycopg2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processor import pipeline
from processor.batches import BatchLimits
from processor.lake.base import FileError, Lake, LakeFile
from processor.lake.open_lake import open_lake
from processor.plan import Plan
from processor.reducers.definition import Definition
from processor.reducers.fold import reduce_text
from processor.reducing import process_pool
from processor.reducing.byte_ranges import cut_into_byte_ranges
from processor.reducing.in_process import fold_byte_range
from processor.reducing.process_pool import ProcessPool
from processor.verify import verify
from state.database import Database
from state.files import FileVersion
from state.partial_rows import LostRowsError
from state.run import begin_run
from state.store import Store
from tests.support import strategies
from tests.support.event_files import events
from tests.support.fuzzed import Memory
from tests.support.ingest import SilentTally, ingest_folder, local_reducer
from tests.support.lake_folders import contents, write_lake
from tests.support.partials import merged, without_chunk_starts
from tests.support.paths import ROOT
from tests.support.program_runs import run
from tests.support.tables import Model
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from processor.reducers.partial import Partial

LAKE = {
    "a.tsv": events(10, 60, "first"),
    "b.tsv": b"no header\n",
    "c.tsv": events(20, 60, "second") + b"bad line\n",
    **{f"small/{n}.tsv": events(n, 2, "small") for n in range(30)},
}


def workers(pid: int) -> list[int]:
    """Return the ids of the living processes of a process's pool."""
    found = []
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text(encoding="utf-8").split():
            with suppress(FileNotFoundError, ProcessLookupError):
                if b"processor.reducing.process_worker" in Path(f"/proc/{child}/cmdline").read_bytes():
                    found.append(int(child))
    return found


def first_workers(pid: int) -> list[int]:
    """Wait for the processes of a process's pool and return their ids."""
    wait_until(lambda: len(workers(pid)) > 1)
    return workers(pid)


def is_alive(pid: int) -> bool:
    with suppress(FileNotFoundError, ProcessLookupError):
        return " Z " not in Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    return False


@given(strategies.files(), st.integers(1, 30))
@settings(max_examples=200)
def test_the_byte_ranges_of_a_file_merge_to_the_whole(data: bytes, chunks: int) -> None:
    file, chunk = LakeFile("a.tsv", "1-1", len(data)), len(data) // chunks + 1
    found: list[Partial] = []
    try:
        for byte_range in cut_into_byte_ranges(file, chunk):
            found += fold_byte_range(Memory(data), byte_range, chunk)
    except FileError:
        return
    assert without_chunk_starts(merged(*found)) == without_chunk_starts(
        merged(*reduce_text([data], Definition(), chunk_bytes=chunk))
    )


def test_a_long_line_is_read_only_in_the_byte_range_where_it_begins() -> None:
    data = events(0, 2, "a") + b"x" * 3_000_000 + b"\n" + events(0, 1, "b").partition(b"\n")[2]
    file, read = LakeFile("a.tsv", "1-1", len(data)), list[int]()
    for byte_range in cut_into_byte_ranges(file, 1000):
        for _ in fold_byte_range(Memory(data), byte_range, 1000, read.append):
            pass
    assert sum(read) < 3 * len(data)


@pytest.mark.parametrize("chunk", [150, 3000])
def test_any_number_of_processes_gives_the_same_tables(database: str, tmp_path: Path, chunk: int) -> None:
    write_lake(tmp_path, LAKE)
    tally, errors = ingest_folder(tmp_path, database, Plan(open_reducer=local_reducer(workers=3, chunk_bytes=chunk)))
    assert list(errors) == ["b.tsv"]
    assert (tally.files_counted, tally.files_failed) == (32, 1)
    Model().check(database, LAKE)
    later = LAKE | {"a.tsv": events(30, 90, "third"), "small/7.tsv": events(1, 9, "more")}
    write_lake(tmp_path, later)
    ingest_folder(tmp_path, database, Plan(open_reducer=local_reducer(workers=2, chunk_bytes=chunk)))
    Model().check(database, later)
    lake = open_lake(str(tmp_path))
    with Database(database, wait_seconds=5) as db, begin_run(db, lake.url) as this_run:
        plan = Plan(open_reducer=local_reducer(workers=2, chunk_bytes=chunk))
        assert not list(verify(lake, Store(this_run), plan, SilentTally()))


def test_processes_read_s3_themselves(database: str, bucket: str) -> None:  # noqa: ARG001
    lake = {"a.tsv": events(10, 400, "first"), "b.tsv": events(5, 300, "second")}
    for key, data in lake.items():
        boto3.client("s3").put_object(Bucket="events", Key=f"lake/{key}", Body=data)
    place, tally = open_lake("s3://events/lake/"), SilentTally()
    with Database(database, wait_seconds=5) as db, begin_run(db, place.url) as this_run:
        pipeline.run(place, Store(this_run), Plan(open_reducer=local_reducer(workers=2, chunk_bytes=9000)), tally)
    assert (tally.files_counted, tally.errors) == (2, {})
    Model().check(database, lake)


class Killing(SilentTally):
    """Kills every process of the pool once a file was ingested."""

    def __init__(self) -> None:
        super().__init__()
        self.warnings: list[str] = []

    def ingested(self, version: FileVersion) -> None:
        super().ingested(version)
        for pid in workers(os.getpid()):
            os.kill(pid, signal.SIGKILL)

    def warn(self, line: str) -> None:
        self.warnings.append(line)


def test_files_of_killed_processes_are_reduced_again(database: str, tmp_path: Path) -> None:
    lake = {f"{n}.tsv": events(n, 3000, "title") for n in range(8)}
    write_lake(tmp_path, lake)
    place, listener = open_lake(str(tmp_path)), Killing()
    with Database(database, wait_seconds=5) as db, begin_run(db, place.url) as this_run:
        plan = Plan(limits=BatchLimits(rows=1), open_reducer=local_reducer(workers=2, chunk_bytes=10_000))
        pipeline.run(place, Store(this_run), plan, listener)
    done = listener.summary()
    assert {name: done[name] for name in done if done[name]} == {
        "files_counted": 8, "events": 24_000, "seconds": done["seconds"],
    }  # fmt: skip
    assert listener.warnings
    Model().check(database, lake)
    assert not workers(os.getpid())


def test_closing_a_pool_early_leaves_no_process(tmp_path: Path) -> None:
    write_lake(tmp_path, {f"{n}.tsv": events(n, 3000, "title") for n in range(4)})
    lake = open_lake(str(tmp_path))
    with ProcessPool(lake, sorted(lake.list_files()), 2, 5000):
        found = first_workers(os.getpid())
    assert not any(map(is_alive, found))


class Raising:
    """What raises an error when it is unpickled."""

    def __init__(self, error: str) -> None:
        self.error = error

    def __reduce__(self) -> tuple[object, ...]:
        return exec, (f"raise {self.error}",)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"not a pickle", "UnpicklingError"),
        (pickle.dumps(Raising("MemoryError")), "MemoryError"),
        (pickle.dumps(Raising("EOFError")), "ended before its task was done"),
        (b"cno_such_module\nC\n.", "ModuleNotFoundError"),
    ],
)
def test_an_answer_that_cannot_be_read_loses_the_rows_of_its_file(
    answer: bytes, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Garbling(process_pool.Worker):
        def __init__(self, lake: Lake, chunk_bytes: int) -> None:
            super().__init__(lake, chunk_bytes)
            self.connection.close()
            self.connection, self.theirs = Pipe()
            self.theirs.send_bytes(answer)

    monkeypatch.setattr(process_pool, "Worker", Garbling)
    write_lake(tmp_path, {f"{n}.tsv": events(n, 100, "title") for n in range(4)})
    lake, lost = open_lake(str(tmp_path)), list[str]()
    files = sorted(lake.list_files())

    def take() -> None:
        for file in files:
            try:
                list(pool.results(file))
            except LostRowsError as error:
                lost.append(str(error))

    with ProcessPool(lake, files, 2, 1000) as pool:
        taking = threading.Thread(target=take, daemon=True)  # it would wait for ever
        taking.start()
        taking.join(60)
        assert not taking.is_alive()
    assert len(lost) == 4
    assert all(why in line for line in lost)
    assert not workers(os.getpid())


def test_a_process_that_starts_while_the_pool_closes_gets_no_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, sent, ended = threading.Event(), list[object](), list[object]()

    class Late:
        """A process that has started once the others were killed."""

        connection = process = property(lambda self: self)

        def __init__(self, *_: object) -> None:
            began.set()
            wait_until(pool._closed.is_set)
            time.sleep(0.2)

        def send(self, task: object) -> None:
            sent.append(task)

        def recv(self) -> None:
            raise EOFError

        def kill(self) -> None:
            pass

        def end(self) -> None:
            ended.append(self)

    monkeypatch.setattr(process_pool, "Worker", Late)
    write_lake(tmp_path, {f"{n}.tsv": events(n, 100, "title") for n in range(2)})
    lake = open_lake(str(tmp_path))
    pool = ProcessPool(lake, sorted(lake.list_files()), 1, 1000)
    with pool:
        assert began.wait(60)
    assert (sent, len(ended)) == ([], 1)


def test_a_process_that_takes_no_lake_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr("multiprocessing.connection.Connection.send", refuse)
    with pytest.raises(BrokenPipeError):
        process_pool.Worker(open_lake("lake"), 1000)
    assert not workers(os.getpid())


@pytest.mark.parametrize("earlier", ["", "/nowhere"])
def test_processes_find_modules_where_the_program_finds_them(
    earlier: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(f"open({str(tmp_path / 'found')!r}, 'w').close()", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (earlier, str(tmp_path)))))
    worker = process_pool.Worker(open_lake(str(tmp_path)), 1000)
    wait_until((tmp_path / "found").exists)
    worker.end()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_process_survives_its_parent(database: str, tmp_path: Path, number: signal.Signals) -> None:
    lake = tmp_path / "lake"
    write_lake(lake, {"0.tsv": events(0, 10, "first")})
    assert run(lake=lake, database=database).returncode == 0
    padding = b"2019-02-15 03:07:03\ts\tapp_opened\tu\t%s\n" % (b"x" * 1_000_000)
    write_lake(lake, {f"{n}.tsv": events(n, 9, "long") + 20 * padding for n in range(3)})
    command = [sys.executable, str(ROOT / "run.py"), "--workers", "2"]
    settings = {**os.environ, "LAKE_URL": str(lake), "DATABASE_URL": database}
    with closing(psycopg2.connect(database)) as other, other.cursor() as cur:
        cur.execute("lock table state.lake_files in exclusive mode")  # so that the run is still at work
        process = subprocess.Popen(
            command, cwd=tmp_path, env=settings, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        found = first_workers(process.pid)
        process.send_signal(number)
        _, words = process.communicate(timeout=60)
        wait_until(lambda: not any(map(is_alive, found)))
    assert process.returncode != 0
    assert b"Traceback" not in words
    assert run("--workers", "2", lake=lake, database=database).returncode == 0
    Model().check(database, contents(lake))


def test_the_number_of_processes_is_positive(database: str, tmp_path: Path) -> None:
    done = run("--workers", "0", lake=tmp_path, database=database)
    assert done.returncode == 2
    assert "--workers" in done.stderr
