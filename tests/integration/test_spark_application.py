"""The Spark application of a run without a cluster or Java: its start, its masters, and why it fails."""

import os
import re
import socket
import subprocess
import sys
import threading
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import pytest

from processor.spark import application as spark_application
from processor.spark.application import SparkApplication, SparkError, SparkSettingError, find_reason
from tests.support.paths import ROOT
from tests.support.secret import SECRET
from tests.support.spark_application import Context, named

JAVA = 'Exception in thread "main" java.lang.IllegalStateException: the cluster is full'


@pytest.fixture
def application(monkeypatch: pytest.MonkeyPatch) -> Iterator[SparkApplication]:
    """An application on one local core; pyspark need not be installed."""
    monkeypatch.setattr(spark_application, "find_spec", lambda _: True)
    with SparkApplication("local[1]") as made:
        yield made


def test_without_pyspark_an_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spark_application, "find_spec", lambda _: None)
    with pytest.raises(SparkSettingError, match=r"pip install .*requirements/spark\.txt"):
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
