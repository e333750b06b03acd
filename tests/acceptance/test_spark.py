"""Spark reduces instead of worker processes: the tables stay right, whatever happens to its tasks and executors."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import boto3
import psutil
import psycopg2
import pytest

from tests.support.database_queries import ask, held, is_waiting
from tests.support.event_files import HEADER, events
from tests.support.lake_folders import contents, write_lake
from tests.support.paths import ROOT
from tests.support.program_runs import Run, read_result, run
from tests.support.spark_cluster import PATIENCE, Cluster, stop
from tests.support.tables import Model
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("spark")]  # one cluster for all

pytest.importorskip("pyspark")

GUIDE = (ROOT / "docs" / "spark.md").read_text(encoding="utf-8")
# Lines that are reduced fast and fill several byte ranges.
PADDING = 70 * (b"2019-02-15 03:07:03\tp\tapp_opened\tp\t%s\n" % (b"x" * 1_000_000))
LAKE = {
    "a.tsv": events(10, 60, "first") + PADDING + events(15, 60, "last").removeprefix(HEADER),
    "b.tsv": b"no header\n",
    "c.tsv": events(20, 60, "second") + b"bad line\n",
    "d.tsv": HEADER + 3 * b"bad line\n" + events(3, 2, "few").removeprefix(HEADER),
    **{f"small/{n}.tsv": events(n % 60, 2, "small") for n in range(230)},
}

# With the files of the folder `small`, which an earlier run ingested; they are missing, but not pruned.
BOTH = LAKE | {name.removeprefix("small/"): data for name, data in LAKE.items() if "/" in name}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("cluster")) as made:
        yield made


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    write_lake(tmp_path / "lake", LAKE)
    return tmp_path / "lake"


def staged(url: str) -> int:
    """Return the size of the staging tables in bytes."""
    tables = "select oid from pg_class where relkind = 'r' and relname like 'staged_%'"
    ((size,),) = ask(url, f"select sum(pg_relation_size(oid)) from ({tables}) as tables")
    return int(str(size))


def test_a_cluster_gives_the_same_tables_and_messages(database: str, lake: Path, cluster: Cluster) -> None:
    done = run("--json", lake=lake, database=database, **cluster.settings())
    assert done.returncode == 1  # of the two files that cannot be read
    assert read_result(done)["files_counted"] == 232
    Model().check(database, LAKE)
    assert not staged(database)
    without = run(lake=lake, database=database)
    assert without.returncode == 1
    assert [line for line in done.stderr.splitlines() if "not counted" in line] == without.stderr.splitlines()
    verified = run("verify", lake=lake, database=database, **cluster.settings())
    assert "could not be compared" in verified.stderr
    assert "2 files cannot be read" in verified.stderr
    later = LAKE | {"a.tsv": events(30, 90, "third"), "b.tsv": events(7, 9, "fixed")}
    write_lake(lake, later)
    (lake / "d.tsv").unlink()
    again = run("--json", "--prune", lake=lake, database=database, **cluster.settings())
    assert (again.returncode, read_result(again)["files_counted"]) == (0, 2)
    Model().check(database, contents(lake), pruned=True)
    assert run("verify", lake=lake, database=database, **cluster.settings()).returncode == 0
    assert run("--rebuild", lake=lake, database=database, **cluster.settings()).returncode == 0
    Model().check(database, contents(lake))


def test_a_forgotten_user_stays_forgotten_on_spark(database: str, tmp_path: Path, cluster: Cluster) -> None:
    lake = {"a.tsv": events(10, 60, "first"), "b.tsv": events(15, 60, "last") + b"yesterday\ts\tapp_opened\tu1\t\n"}
    write_lake(tmp_path, {"a.tsv": events(7, 9, "first")})
    assert run(lake=tmp_path, database=database).returncode == 0
    assert run("forget", "--user", "u1", lake=tmp_path, database=database).returncode == 0
    write_lake(tmp_path, lake)
    model = Model()
    model.forgotten = {"u1"}
    for words in ([], ["verify"]):
        done = run(*words, lake=tmp_path, database=database, **cluster.settings())
        assert done.returncode == 0, done.stderr
        model.check(database, lake)
    assert not staged(database)


def test_a_wrong_lake_gives_the_same_message(database: str, tmp_path: Path, cluster: Cluster) -> None:
    for lake in (tmp_path / "none", "s3:///nothing"):
        with_spark, without = (run(lake=lake, database=database, **settings) for settings in (cluster.settings(), {}))
        assert with_spark.returncode == without.returncode == 2
        assert with_spark.stderr == without.stderr


def test_executors_read_s3_themselves(database: str, bucket: str, cluster: Cluster) -> None:  # noqa: ARG001
    lake = {key: data for key, data in LAKE.items() if key != "a.tsv"}
    for key, data in lake.items():
        boto3.client("s3").put_object(Bucket="events", Key=f"lake/{key}", Body=data)
    assert run(lake="s3://events/lake/", database=database, **cluster.settings()).returncode == 1
    Model().check(database, lake)


@pytest.mark.parametrize("victims", ["tasks", "one", "all"])
def test_killed_tasks_are_reduced_again(database: str, lake: Path, cluster: Cluster, victims: str) -> None:
    assert run(lake=lake / "small", database=database).returncode == 0
    found: list[psutil.Process] = []
    with held(database, "lock table state.staged_partials in share mode") as release:
        going = Run("--relocated", lake=lake, database=database, **cluster.settings())
        with going:
            wait_until(lambda: is_waiting(database), PATIENCE)  # a task has begun to stage
            found = (
                cluster.tasks() if victims == "tasks" else cluster.executors()[: 1 if victims.startswith("one") else 2]
            )
            assert found
            stop(found, signal.SIGKILL)
            release()
            assert going.end(PATIENCE) == 1
    Model().check(database, BOTH)
    assert not staged(database)


def test_a_stopped_task_is_overtaken_by_another(database: str, lake: Path, cluster: Cluster) -> None:
    assert run(lake=lake / "small", database=database).returncode == 0
    speculation = {
        "spark_speculation": "true",
        "spark_speculation_interval": "50ms",
        "spark_speculation_quantile": "0.1",
        "spark_speculation_multiplier": "1.1",
        "spark_speculation_minTaskRuntime": "50ms",
    }
    stopped: list[psutil.Process] = []
    try:
        with (
            held(database, "lock table state.staged_partials in share mode") as release,
            Run("--relocated", lake=lake, database=database, **cluster.settings(**speculation)) as going,
        ):
            wait_until(lambda: is_waiting(database), PATIENCE)
            stopped = [child for executor in cluster.executors()[:1] for child in executor.children(recursive=True)]
            stop(stopped, signal.SIGSTOP)  # the tasks of one executor, which do not end before the run does
            release()
            assert going.end(PATIENCE) == 1
    finally:
        stop(stopped, signal.SIGCONT)
    Model().check(database, BOTH)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_process_survives_the_driver(database: str, lake: Path, cluster: Cluster, number: signal.Signals) -> None:
    assert run(lake=lake / "small", database=database).returncode == 0
    with (
        held(database, "lock table state.staged_sessions in share mode") as release,
        Run("--relocated", lake=lake, database=database, **cluster.settings()) as going,
    ):
        wait_until(lambda: is_waiting(database), PATIENCE)
        java = psutil.Process(going.process.pid).children()
        assert java
        going.process.send_signal(number)
        assert going.process.wait(60) != 0
        assert "Traceback" not in going.errors
        release()
        wait_until(lambda: not any(process.is_running() for process in (*java, *cluster.executors())), PATIENCE)
    assert run("--relocated", lake=lake, database=database).returncode == 1
    Model().check(database, BOTH)
    assert not staged(database)


def test_rows_lost_in_a_crash_of_the_server_are_reduced_again(database: str, lake: Path, cluster: Cluster) -> None:
    assert run(lake=lake / "small", database=database).returncode == 0
    with (
        held(database, "lock table state.staged_sessions in share mode") as let_stage,
        Run("--relocated", lake=lake, database=database, **cluster.settings()) as going,
    ):
        wait_until(lambda: is_waiting(database), PATIENCE)
        with held(database, "select from state.lake for update"):  # the run commits nothing
            let_stage()
            wait_until(
                lambda: (
                    is_waiting(database) and ask(database, "select exists (table state.staged_partials)") == [(True,)]
                )
            )
            with closing(psycopg2.connect(database)) as other, other, other.cursor() as cur:
                # like a server that empties unlogged tables when it starts after a crash
                cur.execute(
                    "truncate state.staged_partials, state.staged_article_days, state.staged_user_days,"
                    " state.staged_sessions, state.staged_rejected_lines"
                )
        assert going.end(PATIENCE) == 1
        assert "rows that Spark had staged were lost" in going.errors
    Model().check(database, BOTH)


def test_staged_rows_are_deleted_by_a_later_run_unless_they_are_locked(database: str, tmp_path: Path) -> None:
    write_lake(tmp_path, {"a.tsv": events(10, 20, "first")})
    assert run(lake=tmp_path, database=database).returncode == 0
    with closing(psycopg2.connect(database)) as other, other, other.cursor() as cur:
        cur.execute("insert into state.staged_partials values (gen_random_uuid())")
    with held(database, "lock table state.staged_partials in row exclusive mode"):
        assert run(lake=tmp_path, database=database).returncode == 0
    assert staged(database)
    assert run("forget", "a.tsv", lake=tmp_path, database=database).returncode == 0
    assert not staged(database)


def test_no_process_and_no_log_of_spark_holds_a_secret(database: str, lake: Path, cluster: Cluster) -> None:
    secrets = {"AWS_ACCESS_KEY_ID": "key-id-of-the-test", "AWS_SECRET_ACCESS_KEY": "secret-of-the-test"}
    url = database.replace("//etl@", "//etl:password-of-the-test@")
    assert run(lake=lake / "small", database=database).returncode == 0
    with (
        held(database, "lock table state.lake_files in exclusive mode"),
        Run("--relocated", lake=lake, database=url, **secrets, **cluster.settings()) as going,
    ):
        wait_until(lambda: is_waiting(database), PATIENCE)
        words = [word for process in psutil.process_iter(["cmdline"]) for word in process.info["cmdline"] or ()]
        logs = [path.read_bytes() for path in cluster.logs()]
        errors = going.errors
    assert any("CoarseGrainedExecutorBackend" in word for word in words)
    assert any(b"ExecutorRunner" in log for log in logs)
    for secret in (*secrets.values(), "password-of-the-test"):
        assert not any(secret in word for word in words)
        assert not any(secret.encode() in log for log in logs)
        assert secret not in errors


@pytest.mark.parametrize(
    ("master", "code", "words"),
    [
        ("nothing", 2, "Spark does not know the master nothing"),
        ("spark://127.0.0.1:1", 1, "Spark's master spark://127.0.0.1:1 cannot be reached (Connection refused)"),
        ("spark://nothing", 1, "it names no host:port"),
    ],
)
def test_a_wrong_master_is_reported_in_one_line(database: str, lake: Path, master: str, code: int, words: str) -> None:
    done = run("--engine", master, lake=lake, database=database)
    assert done.returncode == code
    (line,) = done.stderr.splitlines()
    assert words in line


def test_without_pyspark_one_line_says_how_to_install_it(database: str, lake: Path, tmp_path: Path) -> None:
    packages = tmp_path / "packages"
    packages.mkdir()
    (site,) = {Path(path) for path in sys.path if path.endswith("site-packages")}
    for place in site.iterdir():
        if not place.name.startswith("pyspark"):
            (packages / place.name).symlink_to(place)
    done = subprocess.run(
        [sys.executable, "-S", str(ROOT / "run.py"), "--engine", "local[1]"],
        env={**os.environ, "LAKE_URL": str(lake), "DATABASE_URL": database, "PYTHONPATH": str(packages)},
        check=False, capture_output=True, encoding="utf-8", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "requirements/spark.txt" in line


def test_engine_and_workers_exclude_each_other(database: str, lake: Path) -> None:
    done = run("--engine", "local[1]", "--workers", "2", lake=lake, database=database)
    assert done.returncode == 2
    assert run("status", "--lake", str(lake), lake=lake, database=database, ENGINE="nothing").returncode == 1


def test_executors_without_the_packages_take_them_from_an_archive(
    database: str, tmp_path: Path, cluster: Cluster
) -> None:
    lake = tmp_path / "lake"
    write_lake(lake, {"a.tsv": events(10, 60, "first")})
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    settings = {**cluster.settings(), "PYSPARK_PYTHON": str(tmp_path / "bare" / "bin" / "python")}
    without = run(lake=lake, database=database, **settings)
    assert without.returncode == 1
    (line,) = without.stderr.splitlines()
    assert "ModuleNotFoundError" in line
    assert "docs/spark.md" in line
    clone = tmp_path / "clone"
    clone.mkdir()
    for name in ("Makefile", "requirements.txt", ".venv"):
        (clone / name).symlink_to(ROOT / name)
    quiet = {name: value for name, value in os.environ.items() if not name.startswith("PYTHONWARN")}
    subprocess.run(["make", "-s", "executors.tar.gz"], check=True, cwd=clone, env=quiet)
    (command,) = re.findall(r'^export PYSPARK_SUBMIT_ARGS="(.*) pyspark-shell"$', GUIDE, re.MULTILINE)
    archive = command.replace("executors.tar.gz", str(clone / "executors.tar.gz"))
    settings["PYSPARK_SUBMIT_ARGS"] = f"{archive} {settings['PYSPARK_SUBMIT_ARGS']}"
    assert run(lake=lake, database=database, **settings).returncode == 0
    Model().check(database, contents(lake))
