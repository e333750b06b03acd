"""The cases of docs/performance.md, measured: `make bench`, or a small one with SCALE=0.01.

Whole processes are timed from outside, in turn with what they are compared with; the figures are medians. Memory is the
proportional set size of all processes of a command together, without the database server, which serves all of them.
"""

import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psutil
import psycopg2
from psycopg2 import sql

from benchmarks.processes import ROOT, Took, memory, took
from processor.reducers.events import Event, columns, parse
from state import embedded
from tests.support import made_lake

FIRST = date(2019, 2, 15)
MIB = 1024 * 1024
CASES = (
    *("history", "small", "many_keys", "few_keys", "many_small"),
    *("flat", "unchanged", "sessions", "watch", "start"),
)
KEYS = """
select
    (select count(*) from article_performance),
    (select count(*) from state.articles),
    (select sum(sessions)::bigint from user_performance),
    (select count(*) from user_performance)
"""
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
insert into state.lake_files (file_id, key, fingerprint, content_hash, size, lines, events)
select n, 'made/' || n || '.tsv', 'made', sha256(n::text::bytea), 1, 10000, 10000
from generate_series(1, %(files)s) as n;
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


class Bench:
    """The cases, on a server of their own."""

    def __init__(self, server: str, postmaster: psutil.Process, folder: Path, scale: float, rounds: int) -> None:
        """Cases of a size: scale 1 is the one that docs/performance.md shows."""
        self._server, self._postmaster, self._folder = server, postmaster, folder
        self._scale, self._rounds = scale, rounds

    def _many(self, count: int, least: int = 100) -> int:
        return max(least, int(count * self._scale))

    def _run(self, lake: Path, database: str, *options: str) -> Took:
        command = [sys.executable, str(ROOT / "run.py"), *options]
        return took(command, self._postmaster, LAKE_URL=str(lake), DATABASE_URL=database)

    def _peer(self, name: str, lake: Path, database: str) -> Took:
        command = [sys.executable, "-m", "benchmarks.peers", name, str(lake)]
        done = took(command, self._postmaster, DATABASE_URL=database)
        check_same(database, name)
        return done

    def many_keys(self) -> Iterator[str]:
        """A million lines of many articles, sessions and users into an empty database."""
        lines = self._many(1_000_000) // 3
        yield from self._cold("many keys", lines, users=lines // 8, articles=lines // 33)

    def few_keys(self) -> Iterator[str]:
        """A million lines of few articles into an empty database."""
        yield from self._cold("few keys", self._many(1_000_000) // 3)

    def _cold(self, shape: str, lines: int, users: int | None = None, articles: int | None = None) -> Iterator[str]:
        """A lake of three files into an empty database, and what others take for the same tables."""
        lake = self._folder / shape.replace(" ", "_")
        for path in made_lake.write(lake, days=3, lines=lines, users=users, articles=articles):
            clean(path)
        text = sum(path.stat().st_size for path in lake.glob("*.tsv"))
        ways: dict[str, list[Took]] = {}
        for turn in range(self._rounds):
            with new_database(self._server) as database:
                ways.setdefault("this program", []).append(self._run(lake, database))
                for peer in ("duckdb", "polars", "pandas"):
                    if peer == "pandas" and turn:
                        continue
                    ways.setdefault(peer, []).append(self._peer(peer, lake, database))
                sizes, ((article_days, articles, sessions, user_days),) = share_of_state(database), rows(database, KEYS)
            alone = [sys.executable, "-m", "benchmarks.reducers", str(lake)]
            ways.setdefault("its reducers alone", []).append(took(alone))
            with new_database(self._server) as database:
                ways.setdefault("one worker", []).append(self._run(lake, database, "--workers", "1"))
        ours, duckdb = ways["this program"], ways["duckdb"]
        yield (
            f"{shape}: {text / 1e6:,.0f} MB, {article_days:,} article-days of {articles:,} articles, "
            f"{sessions:,} sessions, {user_days:,} user-days\n"
        )
        yield "| way | wall s | CPU s | server CPU s | memory MB | MB/s |\n|---|---|---|---|---|---|"
        for way, runs in ways.items():
            seconds = median(run.seconds for run in runs)
            cpu, server = median(run.cpu for run in runs), median(run.server for run in runs)
            held = median(run.memory for run in runs) / 1e6
            yield f"| {way} | {seconds:.2f} | {cpu:.2f} | {server:.2f} | {held:.0f} | {text / 1e6 / seconds:.0f} |"
        yield ""
        yield "| what | ratio | goal |\n|---|---|---|"
        yield row(f"{shape}, against DuckDB", ratio(ours, duckdb, "seconds"), 2.5)
        yield row(f"{shape}, against its reducers alone", ratio(ours, ways["its reducers alone"], "seconds"), 1.5)
        yield row(f"{shape}, memory against DuckDB", ratio(ours, duckdb, "memory"), 1 / 2)
        yield row(f"{shape}, one worker against all", ratio(ways["one worker"], ours, "seconds"), None)
        yield row(f"{shape}, state against the BI tables, bytes", sizes, 2)

    def small(self) -> Iterator[str]:
        """Many small files of one day."""
        lake, files = self._folder / "small", self._many(2_000)
        split(made_lake.write(self._folder / "unsplit", days=1, lines=100 * files)[0], 100, lake)
        ours, duckdb, first, last = list[Took](), list[Took](), list[Took](), list[Took]()
        for _ in range(self._rounds):
            with new_database(self._server) as database:
                ours.append(self._run(lake, database))
                duckdb.append(self._peer("duckdb", lake, database))
            left = sorted(lake.iterdir())
            shown = self._folder / "shown"
            shown.mkdir()
            with new_database(self._server) as database:
                for runs, count in ((first, files // 10), ([], len(left) - files // 5), (last, files // 10)):
                    for path in left[:count]:
                        path.rename(shown / path.name)
                    left = left[count:]
                    runs.append(self._run(shown, database))
            for path in left:
                path.rename(shown / path.name)
            lake.rmdir()
            shown.rename(lake)
        yield row(f"seconds for {files:,} files of 100 lines", median(run.seconds for run in ours), None)
        yield row(f"server CPU seconds for {files:,} files", median(run.server for run in ours), None)
        yield row(f"{files:,} files of 100 lines, against DuckDB", ratio(ours, duckdb, "seconds"), 2.5)
        yield row(f"the last {files // 10:,} of them against the first", ratio(last, first, "seconds"), 1.2)

    def many_small(self) -> Iterator[str]:
        """Ten times as many small files of one day, by the times of their commits in one run."""
        lake, files = self._folder / "many_small", self._many(20_000)
        split(made_lake.write(self._folder / "unsplit_many", days=1, lines=100 * files)[0], 100, lake)
        with new_database(self._server) as database:
            whole = self._run(lake, database)
            times = [at.timestamp() for (at,) in rows(database, "select counted_at from state.lake_files order by 1")]
        few = len(times) // 10
        yield row(f"seconds for {len(times):,} files of 100 lines", whole.seconds, None)
        yield row(f"the last {few:,} of them against the first", pace(times[-few:]) / pace(times[:few]), 1.3)

    def flat(self) -> Iterator[str]:
        """Memory for one file, and for one of twenty times the lines and the keys."""
        for lines in (1_000_000, 20_000_000):
            lake = self._folder / f"flat{lines}"
            made_lake.write(lake, days=1, lines=self._many(lines), seed=2)
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
        """What a change costs on top of a thousand days, against the same on an empty database."""
        days, lines = max(20, int(1000 * self._scale)), max(1000, int(20_000 * min(1, 10 * self._scale)))
        lake = self._folder / "history"
        paths = made_lake.write(lake, days=days, lines=lines, seed=3, first_day=FIRST)
        single = self._folder / "single"
        on_top, alone, replaced, late, newest = (list[Took]() for _ in range(5))
        middle = paths[days // 2 :]
        held = [
            (runs, cut_off(path, 1000 if lines > 10_000 else 50), lake / f"{path.stem}-{turn}.tsv")
            for turn in range(self._rounds)
            for runs, path in ((late, middle[turn]), (newest, paths[-1]))
        ]
        with new_database(self._server) as database:
            whole = self._run(lake, database)
            for runs, data, path in held:
                path.write_bytes(data)
                runs.append(self._run(lake, database))
            for turn in range(self._rounds):
                day = FIRST + timedelta(days=days + turn)
                made_lake.write(single, days=1, lines=lines, seed=4 + turn, first_day=day)
                (file,) = single.iterdir()
                with new_database(self._server) as empty:
                    alone.append(self._run(single, empty))
                file.rename(lake / file.name)
                on_top.append(self._run(lake, database))
                cut_off(paths[days // 4 + turn], lines // 10)
                replaced.append(self._run(lake, database))
            sizes = share_of_state(database)
        yield row(f"seconds for {days:,} days of {lines:,} lines", whole.seconds, None)
        yield row("seconds for one more day", median(run.seconds for run in on_top), None)
        yield row(f"a day on top of {days:,} against on none", ratio(on_top, alone, "seconds"), 1.1)
        yield row("server CPU of the same", ratio(on_top, alone, "server"), None)
        yield row(f"a late file in the middle of {days:,} days against the newest", ratio(late, newest, "seconds"), 1.5)
        yield row("server CPU of the same", ratio(late, newest, "server"), None)
        yield row(f"replacing one file of {days:,} against a new one on none", ratio(replaced, alone, "seconds"), 2.5)
        yield row(f"state against the BI tables, bytes, {days:,} days", sizes, 2)

    def sessions(self) -> Iterator[str]:
        """A file on top of ten million session rows, against the same file on an empty database."""
        lake = self._folder / "sessions"
        made_lake.write(lake, days=1, lines=self._many(300_000), seed=5)
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


def split(path: Path, lines: int, folder: Path) -> None:
    """Write the lines of a file that can be read into files of so many lines each."""
    clean(path)
    header, *data = path.read_bytes().splitlines(keepends=True)
    folder.mkdir()
    for begin in range(0, len(data), lines):
        (folder / f"{path.stem}-{begin // lines:06}.tsv").write_bytes(header + b"".join(data[begin : begin + lines]))


def cut_off(path: Path, lines: int) -> bytes:
    """Cut the last lines off a file; a file with them alone."""
    header, *data = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(header + b"".join(data[:-lines]))
    return header + b"".join(data[-lines:])


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


def pace(times: list[float]) -> float:
    """Seconds a file, of files whose commits had these times, those of the first batch left out."""
    return (times[-1] - times[0]) / sum(at > times[0] for at in times) if times[-1] > times[0] else math.nan


def row(what: str, figure: float, goal: float | None) -> str:
    """A row of the table of goals."""
    told = "" if goal is None else f"at most {goal:.3g}"
    return f"| {what} | {figure:.2f} | {told} |"


def main() -> None:
    """Measure the cases that are named, or all."""
    scale, rounds = float(os.environ.get("SCALE") or "1"), int(os.environ.get("ROUNDS") or "3")
    cases = sys.argv[1:] or CASES
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, scale {scale:g}\n")
    with (
        tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_FOLDER")) as folder,
        embedded.server("bench", Path(folder, "server")) as server,
    ):
        postmaster = psutil.Process(int(Path(folder, "server", "data", "postmaster.pid").read_text("utf-8").split()[0]))
        bench = Bench(server, postmaster, Path(folder), scale, rounds)
        for case in cases:
            for line in getattr(bench, case)():
                print(line, flush=True)


if __name__ == "__main__":
    main()
