"""The reducer on Spark without a cluster or Java: the jobs that it submits, and what it does with their results."""

import logging
import os
import pickle
import time
import types
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext, suppress
from pathlib import Path
from typing import Any, cast

import psycopg2
import pytest

from processor.lake.base import FileError, Lake, LakeError, LakeFile, LakeSettings
from processor.lake.folder import FolderLake
from processor.lake.open_lake import open_lake
from processor.reducers.partial import Partial
from processor.reducing.byte_ranges import MAX_TASK_FILES, ByteRange
from processor.reducing.reducer import ReducedPartial
from processor.spark import application as spark_application
from processor.spark import reducer as spark
from processor.spark.application import SparkApplication, SparkError, SparkSettingError
from processor.spark.executor import FailedRange, FoldTask, ShardPartial, ShardResult, _open_cached, make_stage_task
from processor.spark.reducer import Job, SparkReducer, assign_stage_tasks, group_into_jobs
from state.partial_rows import RowsInMemory
from state.staging import StagedRows, Staging
from tests.support.event_files import HEADER, events
from tests.support.lake_folders import write_lake
from tests.support.secret import SECRET
from tests.support.spark_application import Context, named


@pytest.fixture
def application(monkeypatch: pytest.MonkeyPatch) -> Iterator[SparkApplication]:
    """An application on one local core; pyspark need not be installed."""
    monkeypatch.setattr(spark_application, "find_spec", lambda _: True)
    with SparkApplication("local[1]") as made:
        yield made


def test_no_log_shows_the_secrets_of_a_task() -> None:
    job = FoldTask("s3://b/", LakeSettings(), 500, {b"AWS_SECRET_ACCESS_KEY": SECRET.encode()}, [1])
    stage = Staging({"dsn": f"postgresql://u:{SECRET}@h/d"}, {"copy": SECRET})
    for shown in (repr(job), str(job), f"{job}", f"{job!r}", repr([job]), repr(stage), str(stage), f"{[stage]}"):
        assert SECRET not in shown
    record = logging.LogRecord("x", logging.INFO, "x", 1, "%s %r", (job, stage), None)
    assert record.getMessage() == "FoldTask() Staging()"
    assert pickle.loads(pickle.dumps(job)).environment == {b"AWS_SECRET_ACCESS_KEY": SECRET.encode()}  # noqa: S301


class Data:
    """The part of an RDD that the reducer uses, in this process; functions are pickled, as for an executor."""

    def __init__(self, items: Any) -> None:
        self._items = list(items)

    def flatMap(self, call: Any) -> "Data":  # noqa: N802
        return Data(it for item in self._items for it in sent(call)(item))

    def combineByKey(self, first: Any, one: Any, other: Any, number: int, task: Any) -> "Data":  # noqa: N802
        assert one is other
        found: dict[Any, Any] = {}
        for key, value in self._items:
            assert 0 <= task(key) < number
            found[key] = one(found[key], value) if key in found else first(value)
        return Data(found.items())

    def mapPartitions(self, call: Any) -> "Data":  # noqa: N802
        return Data(call(reversed(self._items)))

    def collect(self) -> list[Any]:
        return self._items


def sent(call: Any) -> Any:
    """Return a method of a task as an executor gets it."""
    return getattr(pickle.loads(pickle.dumps(call.__self__)), call.__name__)  # noqa: S301


class Cluster(Context):
    """A context that reduces in this process, and calls `held` before each job."""

    def __init__(self, held: Callable[[], object] = lambda: None, executors: Callable[[], int] = lambda: 1) -> None:
        super().__init__(executors)
        self.held, self.jobs = held, list[list[Any]]()

    def parallelize(self, work: list[Any], number: int) -> Data:
        assert number == len(work)
        self.jobs.append(work)
        self.held()
        return Data(work)


class Stage(Staging):
    """A staging that stores nothing."""

    def open(self) -> Any:
        return closing(cast("Any", types.SimpleNamespace(stage=lambda _: StagedRows("x", 1), close=lambda: None)))


def open_reducer(application: SparkApplication, context: Context, lake: Lake, chunk: int = 500) -> SparkReducer:
    """Return a reducer whose application has this context."""
    application._context = cast("Any", context)
    return SparkReducer(lake, present(lake), application, Stage({}, {}), chunk)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A folder of files, two of which cannot be read."""
    broken = HEADER.replace(b"EVENT_NAME", b"OTHER")
    files = {f"{n}.tsv": events(n, 40, "t") for n in range(6)}
    write_lake(tmp_path / "lake", files | {"1.tsv": broken + b"x\n" * 400, "4.tsv": b"no header\n"})
    return open_lake(str(tmp_path / "lake"))


def present(lake: Lake) -> list[LakeFile]:
    """Return the files of a lake in their order."""
    return sorted(lake.list_files())


def count_of(some: SparkReducer, file: LakeFile) -> int:
    return sum(part.events for part in some.results(file))


def test_files_are_reduced_in_their_order(application: SparkApplication, lake: Lake) -> None:
    context, files = Cluster(), present(lake)
    with open_reducer(application, context, lake) as some:
        for number, file in enumerate(files):
            if number in (1, 4):
                with pytest.raises(FileError, match=r"write it again") as raised:
                    list(some.results(file))
                assert raised.value.size >= min(file.size, 500)
            else:
                assert count_of(some, file) == 40
                assert count_of(some, file) == 40  # once more, in this process
        jobs = len(context.jobs)
        assert count_of(some, files[0]) == 40
        assert len(context.jobs) == jobs
        staged = [part.rows for part in open_reducer(application, context, lake).results(files[-1])]
        assert staged == [StagedRows("x", 1)] * len(staged)


def test_some_jobs_run_ahead(application: SparkApplication, lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spark, "JOB_CHUNKS", 1)  # each file is a job
    context, files = Cluster(), present(lake)
    with open_reducer(application, context, lake) as some:
        assert context.jobs == []
        assert count_of(some, files[0]) == 40
        time.sleep(0.2)
        assert len(context.jobs) == spark.RUNNING_JOBS + spark.FINISHED_JOBS + 1
    assert context.called == ["cancel"]


def test_a_closed_reducer_takes_no_more_jobs(application: SparkApplication, lake: Lake) -> None:
    with open_reducer(application, Cluster(), lake) as some:
        list(some.results(present(lake)[0]))
    with pytest.raises(RuntimeError, match="shutdown"):
        some._threads.submit(print)


def test_a_reducer_that_was_asked_for_every_file_cancels_nothing(application: SparkApplication, lake: Lake) -> None:
    context = Cluster()
    with open_reducer(application, context, lake) as some:
        for file in present(lake):
            with suppress(FileError):
                list(some.results(file))
    assert context.called == []


def test_executors_get_the_settings_of_the_lake_and_no_others(
    application: SparkApplication, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs: list[FoldTask] = []

    def made(*given: Any) -> FoldTask:
        jobs.append(FoldTask(*given))
        return jobs[-1]

    monkeypatch.setattr(spark, "FoldTask", made)
    wanted = {"AWS_SECRET_ACCESS_KEY": SECRET, "AWS_ENDPOINT_URL_S3": "http://h", "REQUESTS_CA_BUNDLE": "/ca"}
    others = {"DATABASE_URL": SECRET, "PGPASSWORD": SECRET, "LAWS_X": "1", "MAX_TEXT_GIB": "1", "METRICS": "x"}
    lake = open_lake(lake.url, LakeSettings(max_text_gib=7))
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in (wanted | others).items():
        monkeypatch.setenv(name, value)
    with open_reducer(application, Cluster(), lake) as some:
        list(some.results(present(lake)[0]))
    some._threads.shutdown()  # a job that still runs here would set the settings again, for later tests
    assert jobs[0].environment == {name.encode(): value.encode() for name, value in wanted.items()}
    assert jobs[0].lake_settings == lake.settings
    for name in wanted:
        monkeypatch.delenv(name)
    _open_cached.cache_clear()
    assert list(jobs[0].run([(0, ByteRange(present(lake)[0]))]))
    assert _open_cached(lake.url, lake.settings).settings == lake.settings
    assert {name: os.environ[name] for name in wanted} == wanted


def test_an_unavailable_lake_does_not_fail_its_files(
    application: SparkApplication, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise LakeError("the lake is unavailable")

    monkeypatch.setattr(FolderLake, "open", fail)
    with open_reducer(application, Cluster(), lake) as some, pytest.raises(LakeError, match="the lake is unavailable"):
        list(some.results(present(lake)[0]))


def test_the_first_error_in_a_file_is_raised() -> None:
    def result(*errors: FailedRange) -> ShardResult:
        return ShardResult((0, 0), ReducedPartial.of(Partial(), RowsInMemory({}), 7), list(errors))

    early, late = FailedRange(5, "early", False), FailedRange(9, "late", True)
    for all_results in ([result(late, early)], [result(late), result(early)]):
        with pytest.raises(FileError, match="early") as raised:
            list(spark._yield_results(all_results))
        assert raised.value.size == 7 * len(all_results)
    with pytest.raises(LakeError, match="late"):
        list(spark._yield_results([result(late), result()]))
    assert len(list(spark._yield_results([result(), result()]))) == 2


def test_partials_of_a_shard_are_merged() -> None:
    first, second = (ShardPartial(Partial(), size, [FailedRange(size, "x", False)]) for size in (3, 4))
    assert first.merge(second) is first
    assert (ShardPartial(Partial()).size, ShardPartial(Partial()).errors) == (0, [])
    assert (first.size, [trouble.start for trouble in first.errors]) == (7, [3, 4])


def test_a_task_stages_its_shards_by_one_connection() -> None:
    opened: list[str] = []

    class Counted(Stage):
        def open(self) -> Any:
            opened.append("x")
            return super().open()

    parts = [((n, 0), ShardPartial(Partial(), n, [FailedRange(n, "x", False)])) for n in range(3)]
    outcomes = list(make_stage_task(Counted({}, {}), "UTC")(parts))
    assert [(it.shard, it.reduced.size, len(it.errors)) for it in outcomes] == [((n, 0), n, 1) for n in range(3)]
    assert opened == ["x"]


@pytest.mark.parametrize(("fails", "kind"), [(4, None), (5, psycopg2.OperationalError)])
def test_an_unavailable_database_is_tried_several_times(
    monkeypatch: pytest.MonkeyPatch, fails: int, kind: type[Exception] | None
) -> None:
    tried, waited, closed = list[dict[str, str]](), list[float](), list[str]()

    def connect(**parameters: str) -> Any:
        tried.append(parameters)
        if len(tried) <= fails:
            raise psycopg2.OperationalError("unreachable")
        return types.SimpleNamespace(close=lambda: closed.append("x"))

    monkeypatch.setattr(psycopg2, "connect", connect)
    monkeypatch.setattr(time, "sleep", waited.append)
    with pytest.raises(kind) if kind else nullcontext(), Staging({"host": "h"}, {"name": "q"}).open() as stage:
        assert (stage.statements, closed) == ({"name": "q"}, [])
    assert (tried, len(waited), closed) == ([{"host": "h"}] * 5, 4, [] if kind else ["x"])
    assert all(waited)


def test_a_wrong_setting_of_the_database_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = list[str]()

    def connect(**_: str) -> Any:
        tried.append("x")
        raise psycopg2.ProgrammingError("wrong")

    monkeypatch.setattr(psycopg2, "connect", connect)
    with pytest.raises(psycopg2.ProgrammingError), Staging({}, {}).open():
        pass
    assert tried == ["x"]


@pytest.mark.parametrize(
    ("said", "advice"),
    [("ValueError: x", "run again, or run without ENGINE"), ("ModuleNotFoundError: x", r"docs/spark\.md")],
)
def test_a_job_that_spark_gave_up_is_reported(
    application: SparkApplication, lake: Lake, said: str, advice: str
) -> None:
    def fail() -> None:
        raise OSError(said)

    with (
        open_reducer(application, Cluster(fail), lake) as some,
        pytest.raises(SparkError, match=rf"gave up a job \({said}\); .*{advice}"),
    ):
        list(some.results(present(lake)[0]))


def test_an_error_of_the_application_is_raised_as_it_is(
    application: SparkApplication, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise SparkSettingError("no Java")

    for context in (Cluster(fail), Context()):
        with open_reducer(application, context, lake) as some:
            if not isinstance(context, Cluster):
                application._context = None
                monkeypatch.setattr(application, "_start", fail)
            with pytest.raises(SparkSettingError, match=r"^no Java$"):
                list(some.results(present(lake)[0]))


def test_a_job_that_raises_a_timeout_error_is_not_waited_for(application: SparkApplication, lake: Lake) -> None:
    def fail() -> None:
        raise TimeoutError("the database does not answer")

    with open_reducer(application, Cluster(fail), lake) as some, pytest.raises(TimeoutError, match="the database"):
        list(some.results(present(lake)[0]))


def test_a_cluster_without_executors_is_given_up(
    application: SparkApplication, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spark, "NO_EXECUTOR_SECONDS", 0.5)
    named(application, "spark://h:1")
    with (
        open_reducer(application, Cluster(lambda: time.sleep(30), lambda: 0), lake) as some,
        pytest.raises(SparkError, match="Spark has had no executor for 0 s"),
    ):
        list(some.results(present(lake)[0]))


def test_executors_that_come_back_are_used(
    application: SparkApplication, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two short periods without executors are not added up."""
    monkeypatch.setattr(spark, "NO_EXECUTOR_SECONDS", 1.5)
    numbers = iter([0, 0, 1, 0, 0])
    with open_reducer(application, Cluster(lambda: time.sleep(5.5), lambda: next(numbers, 1)), lake) as some:
        named(application, "spark://h:1")
        assert count_of(some, present(lake)[0]) == 40
    assert next(numbers, None) is None


def file(name: str, size: int) -> LakeFile:
    return LakeFile(name, "1", size)


def test_files_are_grouped_into_jobs() -> None:
    a, b, c, d = file("a.tsv", 4), file("b.tsv", 6), file("c.tsv", 1), file("d.tsv.gz", 2)
    assert list(group_into_jobs([], 10, 10)) == []
    assert list(group_into_jobs([a, b, c], 10, 10)) == [Job([a, b], [1, 1]), Job([c], [1])]
    assert list(group_into_jobs([file("a.tsv", 100), c], 10, 10)) == [Job([file("a.tsv", 100)], [3]), Job([c], [1])]
    assert list(group_into_jobs([c, d], 1, 16)) == [
        Job([c], [1]),
        Job([d], [4]),
    ]  # 16 bytes of text, four in each shard
    assert list(group_into_jobs([d], 10, 1)) == [Job([d], [1])]
    (job,) = group_into_jobs([file("a.tsv", 40), file("b.tsv", 41), file("c.tsv", 0)], 10, 1000)
    assert job.shards == [1, 2, 1]


def test_shards_are_grouped_into_tasks() -> None:
    def tasks(*files: tuple[int, int]) -> list[int]:
        job = Job([file(f"{n}.tsv", size) for n, (size, _) in enumerate(files)], [shares for _, shares in files])
        found = assign_stage_tasks(job, 10)
        assert list(found) == [(place, share) for place, (_, shares) in enumerate(files) for share in range(shares)]
        return list(found.values())

    assert tasks((5, 1), (5, 1), (1, 1)) == [0, 0, 1]
    assert tasks((5, 1), (99, 3), (1, 1), (1, 1)) == [0, 1, 2, 3, 4, 4]
    assert tasks(*[(0, 1)] * (MAX_TASK_FILES + 1)) == [0] * MAX_TASK_FILES + [1]
