"""The cases of docs/performance.md, measured: `make bench`, or a small one with SCALE=0.01.

Whole processes are timed from outside, in turn with what they are compared with, and the medians told. Memory is the
proportional set size of all processes of a command together, without the database server, which serves all of them.
"""

import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import psycopg2
from psycopg2 import sql

from processor.events import Event, columns, parse
from state import embedded
from tests import made_lake

ROOT = Path(__file__).resolve().parents[1]
FIRST = date(2019, 2, 15)
MIB = 1024 * 1024
DIFFERENT = """
select count(*) from (
    (select {ours} from public.{table} except all select {theirs} from peer.{table})
    union all
    (select {theirs} from peer.{table} except all select {ours} from public.{table})
) as differing
"""
ARTICLES = "article_id, date, title, category, displays, clicks, cumulative_clicks"
STATE = """
select
    sum(pg_total_relation_size(pg_class.oid)) filter (where nspname = 'state'),
    sum(pg_total_relation_size(pg_class.oid)) filter (where nspname = 'public')
from pg_class inner join pg_namespace on pg_namespace.oid = relnamespace
where relkind = 'r'
"""
# Spans of sessions as files gave them, 10,000 to each, and the rows of the users they belong to.
SESSIONS = """
insert into state.lake_files (key, fingerprint, content_hash, size, lines, events)
select 'made/' || n || '.tsv', 'made', sha256(n::text::bytea), 1, 10000, 10000 from generate_series(1, %(files)s) as n;
insert into state.file_sessions (first_at, last_at, file_id, events, user_id, session_id)
select at, at + 60000000, files.file_id, 1, md5('u' || n %% %(users)s), md5('s' || files.file_id || '.' || n)
from state.lake_files as files
cross join generate_series(1, 10000) as n
cross join lateral (select (1500000000 + 86400 * (files.file_id %% 500) + n)::bigint * 1000000 as at) as times
where files.fingerprint = 'made';
insert into user_performance (user_id, date, sessions, session_seconds, displays, clicks)
select user_id, to_timestamp(first_at / 1000000)::date, count(*), 60 * count(*), 0, 0
from state.file_sessions group by 1, 2;
analyze
"""


class Took(NamedTuple):
    """What a command took: wall-clock seconds, CPU seconds, and the most memory at once in bytes."""

    seconds: float
    cpu: float
    memory: int


def took(command: list[str], **environment: str) -> Took:
    """Run a command to its end; raises where it fails."""
    before = os.times()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as output:
        process = psutil.Popen(
            command, cwd=folder, stdout=output, stderr=output,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        )  # fmt: skip
        most, done = [0], threading.Event()

        def watch() -> None:
            while not done.wait(0.05):
                most[0] = max(most[0], memory(process))

        watcher = threading.Thread(target=watch)
        watcher.start()
        code = process.wait()
        seconds = time.monotonic() - begun
        done.set()
        watcher.join()
        if code:
            output.seek(0)
            raise RuntimeError(f"{' '.join(command)} ended with {code}: {output.read().decode()[-500:]}")
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Took(seconds, cpu, most[0])


def memory(process: psutil.Process) -> int:
    """Bytes that a process and its children hold together."""
    held = 0
    try:
        for one in (process, *process.children(recursive=True)):
            held += one.memory_full_info().pss
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        pass
    return held


class Bench:
    """The cases, on a server of their own."""

    def __init__(self, server: str, folder: Path, scale: float, rounds: int) -> None:
        """Cases of a size: scale 1 is the one that docs/performance.md tells."""
        self._server, self._folder, self._scale, self._rounds = server, folder, scale, rounds

    def _lines(self, lines: int) -> int:
        return max(100, int(lines * self._scale))

    def _lake(self, name: str, days: int, lines: int, first: date = FIRST, seed: int = 1) -> Path:
        """A lake without lines that cannot be read, as the peers do not survive them."""
        lake = self._folder / name
        made_lake.write(lake, days=days, lines=lines, seed=seed, first_day=first)
        for path in lake.glob("*.tsv"):
            clean(path)
        return lake

    def _run(self, lake: Path, database: str, *options: str) -> Took:
        return took([sys.executable, str(ROOT / "run.py"), *options], LAKE_URL=str(lake), DATABASE_URL=database)

    def cold(self) -> Iterator[str]:
        """A lake of three files into an empty database, and what others take for the same tables."""
        lake = self._lake("cold", 3, self._lines(1_000_000) // 3)
        size = sum(path.stat().st_size for path in lake.glob("*.tsv"))
        ways: dict[str, list[Took]] = {}
        for turn in range(self._rounds):
            with new_database(self._server) as database:
                ways.setdefault("this program", []).append(self._run(lake, database))
                for peer in ("duckdb", "polars", "pandas"):
                    if peer == "pandas" and turn:
                        continue
                    command = [sys.executable, "-m", "benchmarks.peers", peer, str(lake)]
                    ways.setdefault(peer, []).append(took(command, DATABASE_URL=database))
                    check_same(database, peer)
                sizes = share_of_state(database)
            with new_database(self._server) as database:
                ways.setdefault("one worker", []).append(self._run(lake, database, "--workers", "1"))
        ours, duckdb = ways["this program"], ways["duckdb"]
        yield f"| cold, {size / 1e6:,.0f} MB: | wall s | CPU s | memory MB | MB/s |\n|---|---|---|---|---|"
        for way, runs in ways.items():
            seconds = median(run.seconds for run in runs)
            cpu, held = median(run.cpu for run in runs), median(run.memory for run in runs) / 1e6
            yield f"| {way} | {seconds:.2f} | {cpu:.2f} | {held:.0f} | {size / 1e6 / seconds:.0f} |"
        yield ""
        yield "| what | ratio | goal |\n|---|---|---|"
        yield row("cold, wall time against DuckDB", ratio(ours, duckdb, "seconds"), 1.0)
        yield row("cold, memory against DuckDB", ratio(ours, duckdb, "memory"), 1 / 3)
        yield row("one worker against all, cold", ratio(ways["one worker"], ours, "seconds"), 1.7, least=True)
        yield row("state against the BI tables, bytes", sizes, 2)

    def flat(self) -> Iterator[str]:
        """Memory for one file, and for one of twenty times the lines and the keys."""
        for lines in (1_000_000, 20_000_000):
            lake = self._folder / f"flat{lines}"
            made_lake.write(lake, days=1, lines=self._lines(lines), seed=2)
            with new_database(self._server) as database:
                run = self._run(lake, database)
            (file,) = lake.iterdir()
            yield row(f"memory MiB, one file of {file.stat().st_size / 1e6:,.0f} MB", run.memory / MIB, 512)
            file.unlink()

    def unchanged(self) -> Iterator[str]:
        """A run that finds nothing new among many files."""
        lake = self._folder / "unchanged"
        lake.mkdir()
        files = max(10, int(10_000 * self._scale))
        header = "\t".join(made_lake.HEADER.decode().split())
        for n in range(files):
            (lake / f"{n}.tsv").write_text(f"{header}\n2019-02-15 03:07:03\ts{n}\ta\tu\t\n", encoding="utf-8")
        with new_database(self._server) as database:
            first = self._run(lake, database)
            runs = [self._run(lake, database) for _ in range(self._rounds)]
        yield row(f"seconds to count {files:,} files of one line", first.seconds, None)
        yield row(f"seconds, nothing new among {files:,} files", median(run.seconds for run in runs), 1.5)

    def history(self) -> Iterator[str]:
        """A day on top of a thousand, and one of them replaced, against the same day on an empty database."""
        days, lines = max(10, int(1000 * self._scale)), max(100, int(20_000 * min(1, 10 * self._scale)))
        lake = self._folder / "history"
        made_lake.write(lake, days=days, lines=lines, seed=3, first_day=FIRST)
        single = self._folder / "single"
        on_top, alone, replaced = list[Took](), list[Took](), list[Took]()
        with new_database(self._server) as database:
            whole = self._run(lake, database)
            for turn in range(self._rounds):
                day = FIRST + timedelta(days=days + turn)
                made_lake.write(single, days=1, lines=lines, seed=4 + turn, first_day=day)
                (file,) = single.iterdir()
                with new_database(self._server) as empty:
                    alone.append(self._run(single, empty))
                file.rename(lake / file.name)
                on_top.append(self._run(lake, database))
                middle = lake / f"{FIRST + timedelta(days=days // 2 + turn)}.tsv"
                data = middle.read_bytes().splitlines(keepends=True)
                middle.write_bytes(b"".join(data[: -len(data) // 10]))
                replaced.append(self._run(lake, database))
            sizes = share_of_state(database)
        yield row(f"seconds to count {days:,} days of {lines:,} lines", whole.seconds, None)
        yield row(f"a day on top of {days:,}", ratio(on_top, alone, "seconds"), 1.2)
        yield row(f"replacing one file of {days:,}", ratio(replaced, alone, "seconds"), 2.5)
        yield row(f"state against the BI tables, bytes, {days:,} days", sizes, 2)

    def sessions(self) -> Iterator[str]:
        """A file on top of ten million session rows, against the same file on an empty database."""
        lake = self._folder / "sessions"
        made_lake.write(lake, days=1, lines=self._lines(300_000), seed=5)
        files = max(1, int(1000 * self._scale))
        on_top, alone = list[Took](), list[Took]()
        with new_database(self._server) as database:
            empty = self._folder / "none"
            empty.mkdir()
            self._run(empty, database)
            rows(database, SESSIONS, files=files, users=300_000)
            for turn in range(self._rounds):
                with new_database(self._server) as other:
                    alone.append(self._run(lake, other))
                on_top.append(self._run(lake, database, "--relocated"))
                if turn < self._rounds - 1:
                    (file,) = lake.iterdir()
                    self._run(lake, database, "forget", file.name)
        yield row(f"a file on top of {files * 10_000:,} session rows", ratio(on_top, alone, "seconds"), 1.5)

    def watch(self) -> Iterator[str]:
        """From the arrival of a file of 1,000 lines to its rows, on top of a thousand days; many small files after."""
        days, arrivals = max(10, int(1000 * self._scale)), max(10, int(100 * self._scale))
        lake, more = self._folder / "watched", self._folder / "arriving"
        made_lake.write(lake, days=days, lines=max(100, int(20_000 * min(1, 10 * self._scale))), seed=6)
        made_lake.write(more, days=arrivals, lines=1000, seed=7, first_day=FIRST + timedelta(days=days - arrivals // 2))
        waited, files = list[float](), max(100, int(10_000 * self._scale))
        with new_database(self._server) as database:
            self._run(lake, database)
            command = [sys.executable, str(ROOT / "run.py"), "watch"]
            environment = {**os.environ, "LAKE_URL": str(lake), "DATABASE_URL": database}
            with psutil.Popen(command, cwd=self._folder, env=environment, stdout=subprocess.DEVNULL) as process:
                until(database, "select exists (select from state.runs where command = 'watch' and seconds > 0)")
                for path in sorted(more.iterdir()):
                    begun = time.monotonic()
                    path.rename(lake / f"new-{path.name}")
                    until(
                        database, "select exists (select from state.lake_files where key = %(key)s)", f"new-{path.name}"
                    )
                    waited.append(time.monotonic() - begun)
                held = []
                header = "\t".join(made_lake.HEADER.decode().split())
                for n in range(files):
                    (lake / f"{n}.tsv").write_text(f"{header}\n2019-02-15 03:07:03\ts{n}\ta\tu\t\n", encoding="utf-8")
                    if n % (files // 10) == files // 10 - 1:
                        until(database, "select exists (select from state.lake_files where key = %(key)s)", f"{n}.tsv")
                        held.append(memory(process) / MIB)
                process.terminate()
        yield row(f"seconds from a file's arrival to its rows, median, on {days:,} days", median(iter(waited)), 2)
        yield row("the same, the longest", max(waited), None)
        yield row(f"memory MiB of a watch after {files // 10:,} small files", held[0], None)
        yield row(f"memory MiB of a watch after {files:,} small files", held[-1], held[0] + 32)

    def start(self) -> Iterator[str]:
        """The help."""
        runs = [took([sys.executable, str(ROOT / "run.py"), "--help"]) for _ in range(3 * self._rounds)]
        yield row("seconds to print --help", median(run.seconds for run in runs), 0.15)


@contextmanager
def new_database(server: str) -> Iterator[str]:
    """The URI of an empty database on a server."""
    name = f"bench_{time.monotonic_ns()}"
    with closing(psycopg2.connect(server)) as admin:
        admin.autocommit = True
        with admin.cursor() as cur:
            cur.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
            yield server.replace(f"/{embedded.database_name('bench')}?", f"/{name}?")
            cur.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def clean(path: Path) -> None:
    """Take out of a file what no program can read."""
    cleaned = path.with_suffix(".clean")
    with path.open("rb") as lines, cleaned.open("wb") as kept:
        header = next(lines)
        kept.write(header)
        names = columns(header.rstrip())
        kept.writelines(line for line in lines if isinstance(parse(line.rstrip(b"\r\n"), names), Event))
    cleaned.replace(path)


def rows(url: str, statement: str, **parameters: object) -> list[Any]:
    """What a statement gives."""
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cur:
        cur.execute(statement, parameters)
        return cur.fetchall() if cur.description else []


def until(url: str, question: str, key: str | None = None) -> None:
    """Wait until a statement gives true; raises where it does not."""
    end = time.monotonic() + 600
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cur:
        connection.autocommit = True
        while True:
            cur.execute(question, {"key": key})
            if cur.fetchone() == (True,):
                return
            if time.monotonic() > end:
                raise RuntimeError(f"waited in vain for {key or question}")
            time.sleep(0.01)


def share_of_state(url: str) -> float:
    """The bytes of the state for each byte of the BI tables."""
    ((state, public),) = rows(url, STATE)
    return float(state) / float(public)


def check_same(url: str, peer: str) -> None:
    """Raise unless a peer's tables hold what ours do."""
    names = {
        "article_performance": (ARTICLES, ARTICLES),
        "user_performance": (
            "user_id, date, sessions, session_seconds, displays, clicks",
            "user_id, date, sessions, session_microseconds * 0.000001, displays, clicks",
        ),
    }
    for table, (ours, theirs) in names.items():
        differing = rows(url, DIFFERENT.format(table=table, ours=ours, theirs=theirs))[0][0]
        if differing:
            raise RuntimeError(f"{peer} and this program differ in {differing} rows of {table}")


def median(figures: Iterator[float]) -> float:
    """The one in the middle."""
    return statistics.median(figures)


def ratio(ours: list[Took], theirs: list[Took], figure: str) -> float:
    """The median of the ratios, run by run."""
    return float(statistics.median(getattr(a, figure) / getattr(b, figure) for a, b in zip(ours, theirs, strict=True)))


def row(what: str, figure: float, goal: float | None, least: bool = False) -> str:
    """A row of the table of goals."""
    told = "" if goal is None else f"{'at least' if least else 'at most'} {goal:.3g}"
    return f"| {what} | {figure:.2f} | {told} |"


def main() -> None:
    """Measure the cases that are named, or all."""
    scale, rounds = float(os.environ.get("SCALE") or "1"), int(os.environ.get("ROUNDS") or "3")
    cases = sys.argv[1:] or ["cold", "flat", "unchanged", "history", "sessions", "watch", "start"]
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, scale {scale:g}\n")
    with (
        tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_FOLDER")) as folder,
        embedded.server("bench", Path(folder, "server")) as server,
    ):
        bench = Bench(server, Path(folder), scale, rounds)
        for case in cases:
            for line in getattr(bench, case)():
                print(line, flush=True)


if __name__ == "__main__":
    main()
