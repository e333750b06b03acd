"""The reducer on Spark without a cluster or Java: the jobs that it submits, and what it does with their results."""

import logging
import os
import pickle
import re
import socket
import subprocess
import sys
import threading
import time
import types
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext, suppress
from pathlib import Path
from typing import Any, cast

import psycopg2
import pytest

from processor.lake.base import FileError, Lake, LakeError, LakeFile, LakeSettings
from processor.lake.folder import FolderLake
from processor.lake.location import open_lake
from processor.reducers.partial import Partial
from processor.reducing.byte_ranges import MAX_TASK_FILES, ByteRange
from processor.reducing.reducer import ReducedPartial
from processor.spark import application as spark_application
from processor.spark import reducer as spark
from processor.spark.application import SparkApplication, SparkError, SparkSettingError, find_reason
from processor.spark.executor import FoldTask, RangeError, ShardPartial, ShardResult, _open_cached, make_stage_task
from processor.spark.reducer import Job, SparkReducer, assign_stage_tasks, group_into_jobs
from state.rows import RowsInMemory
from state.staging import StagedRows, Staging
from tests.support.event_files import HEADER, events
from tests.support.lake_folders import write_lake
from tests.support.paths import ROOT
from tests.support.secret import SECRET

JAVA = 'Exception in thread "main" java.lang.IllegalStateException: the cluster is full'


@pytest.fixture
def application(monkeypatch: pytest.MonkeyPatch) -> Iterator[SparkApplication]:
    """An application on one local core; pyspark need not be installed."""
    monkeypatch.setattr(spark_application, "find_spec", lambda _: True)
    with SparkApplication("local[1]") as made:
        yield made


def named(application: SparkApplication, master: str) -> SparkApplication:
    """Return the same application, on another master."""
    application._master = master
    return application


def test_without_pyspark_an_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spark_application, "find_spec", lambda _: None)
    with pytest.raises(SparkSettingError, match=r"pip install .*requirements-spark\.txt"):
        SparkApplication("local[1]")


def test_a_local_driver_is_reached_from_this_machine_only(application: SparkApplication) -> None:
    for master in ("local", "local[2]"):
        settings = named(application, master)._settings()
        assert settings["spark.driver.host"] == settings["spark.driver.bindAddress"] == "127.0.0.1"
    for master in ("spark://h:7077", "yarn", "k8s://https://h"):
        settings = named(application, master)._settings()
        assert not {name for name in settings if name.startswith("spark.driver.") and "Java" not in name}


def test_spark_opens_no_web_page_and_writes_no_log_among_the_runs_lines(application: SparkApplication) -> None:
    settings = application._settings()
    assert settings["spark.ui.enabled"] == settings["spark.ui.showConsoleProgress"] == "false"
    (path,) = re.findall(r'^-Dlog4j2\.configurationFile="(.*)"$', settings["spark.driver.extraJavaOptions"])
    assert "rootLogger" in Path(path).read_text(encoding="utf-8")


def test_executors_get_every_module_that_they_import(application: SparkApplication, tmp_path: Path) -> None:
    archive = application._pack_code()
    with zipfile.ZipFile(archive) as held:
        names = set(held.namelist())
    packages = [ROOT / name for name in spark_application.PACKAGES]
    assert names == {path.relative_to(ROOT).as_posix() for package in packages for path in package.rglob("*.py")}
    command = "import processor.spark.executor as it; print(it.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", command], check=True, capture_output=True, encoding="utf-8", cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(archive)},
    )  # fmt: skip
    assert done.stdout.startswith(str(archive))


def test_a_master_that_answers_is_accepted(application: SparkApplication) -> None:
    with socket.create_server(("127.0.0.1", 0)) as master:
        port = master.getsockname()[1]
        for address in (f"127.0.0.1:{port}", f"127.0.0.1:1,127.0.0.1:{port}", f"nothing,127.0.0.1:{port}"):
            named(application, f"spark://{address}")._check_master()
    with suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6) as master:
        named(application, f"spark://[::1]:{master.getsockname()[1]}")._check_master()


@pytest.mark.parametrize(
    ("master", "why"),
    [
        ("127.0.0.1:1", "Connection refused"),
        ("127.0.0.1:1,nothing", "Connection refused"),
        ("nothing", "it names no host:port"),
        (":7077", "it names no host:port"),
        ("host:", "it names no host:port"),
        ("host:port", "it names no host:port"),
        ("no-such-host.invalid:7077", "[Nn]ame"),
    ],
)
def test_a_master_that_does_not_answer_is_reported(application: SparkApplication, master: str, why: str) -> None:
    with pytest.raises(SparkError, match=rf"spark://{re.escape(master)} cannot be reached \(.*{why}.*look at ENGINE"):
        named(application, f"spark://{master}")._check_master()


def test_no_error_of_a_master_repeats_a_password(application: SparkApplication) -> None:
    with pytest.raises(SparkError, match=r"spark://127\.0\.0\.1:1 cannot be reached"):
        named(application, f"spark://u:{SECRET}@127.0.0.1:1")._check_master()
    error = named(application, f"postgresql://u:{SECRET}@h")._translate(ValueError("Could not parse Master URL"), "")
    assert str(error).startswith("Spark does not know the master postgresql://h: ")


def test_a_master_has_ten_seconds_to_answer(application: SparkApplication, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[object, object]] = []

    def slow(address: object, timeout: float) -> None:
        asked.append((address, timeout))
        raise TimeoutError("timed out")

    monkeypatch.setattr(socket, "create_connection", slow)
    with pytest.raises(SparkError, match="timed out"):
        named(application, "spark://[::1]:7077,b:1")._check_master()
    assert asked == [(("::1", 7077), 10), (("b", 1), 10)]


@pytest.mark.parametrize("master", ["local[1]", "yarn", "k8s://h:1", "nothing"])
def test_other_masters_are_not_checked(
    application: SparkApplication, master: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "create_connection", None)
    named(application, master)._check_master()


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        ("Could not parse Master URL: 'x'", SparkSettingError, "Spark does not know the master local"),
        ("Master must either be yarn or start with spark", SparkSettingError, "Spark does not know the master local"),
        ("JAVA_HOME is not set", SparkSettingError, "install Java 17 or newer"),
        ("java.lang.UnsupportedClassVersionError: x", SparkSettingError, "install Java 17 or newer"),
        (JAVA, SparkError, "IllegalStateException: the cluster is full"),
    ],
)
def test_why_spark_does_not_start(application: SparkApplication, said: str, kind: type[SparkError], words: str) -> None:
    for error in (application._translate(Exception(said), ""), application._translate(Exception("x"), f"a\n{said}\nb")):
        assert type(error) is kind
        assert words in str(error)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("", "it does not say why"),
        (" \n", "it does not say why"),
        ("first\nlast\n", "last"),
        ("java.io.IOException: full\nCaused by: java.net.Bind: x\n", "java.io.IOException: full"),
        ("Caused by: java.io.IOException: full\n", "java.io.IOException: full"),
        ('Exception in thread "main" org.x.SparkException: lost\n\tat org.x.y(Z)\n', "org.x.SparkException: lost"),
        (": org.apache.spark.SparkException: lost\n\tat x\n", "org.apache.spark.SparkException: lost"),
        ("ValueError: a\nValueError: b\norg.apache.spark.SparkException: lost\n", "ValueError: b"),
        ("psycopg2.OperationalError: no\njava.io.IOException: full\n", "psycopg2.OperationalError: no"),
        ("KeyError: 1\npy4j.protocol.Py4JJavaError: x\nscala.MatchError: y\n", "KeyError: 1"),
        (f"ValueError: at postgresql://u:{SECRET}@h/d   is\n", "ValueError: at postgresql://h/d is"),
        (f"ValueError: {'x' * 400}\n", f"ValueError: {'x' * 288}"),
    ],
)
def test_the_reason_is_what_python_raised_last_or_else_java(words: str, why: str) -> None:
    assert find_reason(words) == why


class Context:
    """The part of a SparkContext that an application uses."""

    def __init__(self, executors: Callable[[], int] = lambda: 0, fails: bool = False) -> None:
        self.called: list[str] = []
        self.defaultParallelism = 2
        self._executors, self._fails = executors, fails

    def _call(self, name: str) -> None:
        self.called.append(name)
        if self._fails:
            raise OSError("the application has ended")

    def stop(self) -> None:
        self._call("stop")

    def cancelAllJobs(self) -> None:  # noqa: N802
        self._call("cancel")

    @property
    def _jsc(self) -> Any:
        tracker = types.SimpleNamespace(getExecutorInfos=lambda: range(1 + self._executors()))
        return types.SimpleNamespace(sc=lambda: types.SimpleNamespace(statusTracker=lambda: tracker))


@pytest.mark.parametrize("fails", [False, True])
def test_an_application_ends_with_its_context(
    application: SparkApplication, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    context, folder = Context(fails=fails), Path(application._folder.name)
    started: list[Context] = []

    def start() -> Context:
        started.append(context)
        return context

    monkeypatch.setattr(application, "_start", start)
    application.cancel_jobs()
    assert context.called == []
    with application:
        assert {id(application.context()), id(application.context())} == {id(context)}
        application.cancel_jobs()
    assert (context.called, len(started), folder.exists()) == (["cancel", "stop"], 1, False)
    application.cancel_jobs()
    assert application.count_executors() is None
    assert context.called == ["cancel", "stop"]


def test_the_end_waits_for_an_application_that_starts(application: SparkApplication) -> None:
    ending = threading.Thread(target=application.__exit__, args=(None, None, None))
    with application._starting:
        ending.start()
        ending.join(0.2)
        assert ending.is_alive()
        application._context = cast("Any", Context())
    ending.join(10)
    assert (ending.is_alive(), application._context) == (False, None)


def test_a_warning_of_pandas_is_ignored(application: SparkApplication, monkeypatch: pytest.MonkeyPatch) -> None:
    def warns() -> Context:
        warnings.warn("of pandas", FutureWarning, stacklevel=1)
        return Context()

    monkeypatch.setattr(application, "_start", warns)
    application.context()
    with pytest.warns(FutureWarning):
        warns()


def test_executors_are_counted_without_the_driver(application: SparkApplication) -> None:
    assert application.count_executors() is None
    numbers = iter([3, 0])
    application._context = cast("Any", Context(lambda: next(numbers)))
    assert application.count_executors() is None  # local: the driver does their work
    named(application, "spark://h:1")
    assert [application.count_executors(), application.count_executors()] == [3, 0]
    assert application.count_executors() == 0  # an application that has ended has none


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
    wanted = {"AWS_SECRET_ACCESS_KEY": SECRET, "AWS_ENDPOINT_URL_S3": "http://h"}
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
    def outcome(*errors: RangeError) -> ShardResult:
        return ShardResult((0, 0), ReducedPartial.of(Partial(), RowsInMemory({}), 7), list(errors))

    early, late = RangeError(5, "early", False), RangeError(9, "late", True)
    for outcomes in ([outcome(late, early)], [outcome(late), outcome(early)]):
        with pytest.raises(FileError, match="early") as raised:
            list(spark._yield_results(outcomes))
        assert raised.value.size == 7 * len(outcomes)
    with pytest.raises(LakeError, match="late"):
        list(spark._yield_results([outcome(late), outcome()]))
    assert len(list(spark._yield_results([outcome(), outcome()]))) == 2


def test_partials_of_a_shard_are_merged() -> None:
    first, second = (ShardPartial(Partial(), size, [RangeError(size, "x", False)]) for size in (3, 4))
    assert first.merge(second) is first
    assert (ShardPartial(Partial()).size, ShardPartial(Partial()).errors) == (0, [])
    assert (first.size, [trouble.start for trouble in first.errors]) == (7, [3, 4])


def test_a_task_stages_its_shards_by_one_connection() -> None:
    opened: list[str] = []

    class Counted(Stage):
        def open(self) -> Any:
            opened.append("x")
            return super().open()

    parts = [((n, 0), ShardPartial(Partial(), n, [RangeError(n, "x", False)])) for n in range(3)]
    outcomes = list(make_stage_task(Counted({}, {}))(parts))
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
        assert (stage.queries, closed) == ({"name": "q"}, [])
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
    [("ValueError: x", "run again, or without ENGINE"), ("ModuleNotFoundError: x", r"docs/spark\.md")],
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


def test_java_gets_no_signal_of_the_terminal() -> None:
    """The Java process has a process group of its own, so a terminal does not send it the signals of the run."""
    pytest.importorskip("pyspark")
    given: list[dict[str, Any]] = []

    def launch(conf: object, settings: dict[str, Any]) -> None:
        del conf
        given.append(settings)
        raise OSError("no Java here")

    with pytest.MonkeyPatch.context() as patched, SparkApplication("local[1]") as application:
        patched.setattr("pyspark.java_gateway.launch_gateway", launch)
        patched.setattr("pyspark.SparkContext._gateway", None)
        patched.delenv("PYSPARK_PYTHON", raising=False)
        with pytest.raises(SparkError, match=r"Spark does not start \(no Java here\)"):
            application.context()
        assert os.environ["PYSPARK_PYTHON"] == sys.executable
        (settings,) = given
        assert settings["process_group"] == 0
        assert settings["stdout"] is settings["stderr"]
        assert Path(settings["stdout"].name).parent == Path(application._folder.name)
        patched.setenv("PYSPARK_PYTHON", "other")
        with pytest.raises(SparkError):
            application.context()
        assert os.environ["PYSPARK_PYTHON"] == "other"
