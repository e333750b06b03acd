"""The cases of docs/performance.md, measured: `make bench`, or a small one with SCALE=0.01.

Whole processes are timed from outside, and take turns with the programs that they are compared with. The figures are
medians. Memory is the proportional set size of all processes of a command, without the database server.
"""

import math
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from statistics import median

import psutil

from benchmarks.databases import KEYS, SESSIONS, check_same, new_database, postmaster_id, rows, share_of_state, until
from benchmarks.lakes import clean, cut_off, split
from benchmarks.processes import ROOT, Usage, measure_command, memory
from state import embedded
from tests.support import made_lake
from tests.support.event_files import HEADER

FIRST = date(2019, 2, 15)
MIB = 1024 * 1024
CASES = (
    *("history", "small", "many_keys", "few_keys", "many_small"),
    *("flat", "unchanged", "sessions", "watch", "start"),
)


class Bench:
    """The cases, on a separate server. Scale 1 is the size in docs/performance.md."""

    def __init__(self, server: str, postmaster: psutil.Process, folder: Path, scale: float, rounds: int) -> None:
        self._server, self._postmaster, self._folder = server, postmaster, folder
        self._scale, self._rounds = scale, rounds

    def _many(self, count: int, least: int = 100) -> int:
        return max(least, int(count * self._scale))

    def _run(self, lake: Path, database: str, *options: str) -> Usage:
        command = [sys.executable, str(ROOT / "run.py"), *options]
        return measure_command(command, self._postmaster, LAKE_URL=str(lake), DATABASE_URL=database)

    def _peer(self, name: str, lake: Path, database: str) -> Usage:
        command = [sys.executable, "-m", "benchmarks.peers", name, str(lake)]
        done = measure_command(command, self._postmaster, DATABASE_URL=database)
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
        """Ingest a lake of three files into an empty database, and let the peers make the same tables."""
        lake = self._folder / shape.replace(" ", "_")
        for path in made_lake.write(lake, days=3, lines=lines, users=users, articles=articles):
            clean(path)
        text = sum(path.stat().st_size for path in lake.glob("*.tsv"))
        ways: dict[str, list[Usage]] = {}
        for turn in range(self._rounds):
            with new_database(self._server) as database:
                ways.setdefault("this program", []).append(self._run(lake, database))
                for peer in ("duckdb", "polars", "pandas"):
                    if peer == "pandas" and turn:
                        continue
                    ways.setdefault(peer, []).append(self._peer(peer, lake, database))
                sizes, ((article_days, articles, sessions, user_days),) = share_of_state(database), rows(database, KEYS)
            alone = [sys.executable, "-m", "benchmarks.reducers", str(lake)]
            ways.setdefault("its reducers alone", []).append(measure_command(alone))
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
        yield row(f"{shape}, memory against DuckDB", ratio(ours, duckdb, "memory"), 0.44)
        yield row(f"{shape}, one worker against all", ratio(ways["one worker"], ours, "seconds"), None)
        yield row(f"{shape}, state against the BI tables, bytes", sizes, 2)

    def small(self) -> Iterator[str]:
        """Ingest many small files of one day."""
        lake, files = self._folder / "small", self._many(2_000)
        split(made_lake.write(self._folder / "unsplit", days=1, lines=100 * files)[0], 100, lake)
        ours, duckdb, first, last = list[Usage](), list[Usage](), list[Usage](), list[Usage]()
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
        """Ingest ten times as many small files in one run, and compare the times of their commits."""
        lake, files = self._folder / "many_small", self._many(20_000)
        split(made_lake.write(self._folder / "unsplit_many", days=1, lines=100 * files)[0], 100, lake)
        with new_database(self._server) as database:
            whole = self._run(lake, database)
            times = [at.timestamp() for (at,) in rows(database, "select counted_at from state.lake_files order by 1")]
        few = len(times) // 10
        yield row(f"seconds for {len(times):,} files of 100 lines", whole.seconds, None)
        yield row(f"the last {few:,} of them against the first", pace(times[-few:]) / pace(times[:few]), 1.3)

    def flat(self) -> Iterator[str]:
        """Measure memory for one file, and for one with twenty times the lines and the keys."""
        for lines in (1_000_000, 20_000_000):
            lake = self._folder / f"flat{lines}"
            made_lake.write(lake, days=1, lines=self._many(lines), seed=2)
            with new_database(self._server) as database:
                run = self._run(lake, database)
            (file,) = lake.iterdir()
            yield row(f"memory MiB, one file of {file.stat().st_size / 1e6:,.0f} MB", run.memory / MIB, 512)
            file.unlink()

    def unchanged(self) -> Iterator[str]:
        """Measure a run that finds nothing new among many files."""
        lake = self._folder / "unchanged"
        lake.mkdir()
        files = max(10, int(10_000 * self._scale))
        header = "\t".join(HEADER.decode().split())
        for n in range(files):
            (lake / f"{n}.tsv").write_text(f"{header}\n2019-02-15 03:07:03\ts{n}\ta\tu\t\n", encoding="utf-8")
        with new_database(self._server) as database:
            first = self._run(lake, database)
            runs = [self._run(lake, database) for _ in range(self._rounds)]
        yield row(f"seconds to count {files:,} files of one line", first.seconds, None)
        yield row(f"seconds, nothing new among {files:,} files", median(run.seconds for run in runs), 1.5)

    def history(self) -> Iterator[str]:
        """Measure what a change costs on top of a thousand days, against the same on an empty database."""
        days, lines = max(20, int(1000 * self._scale)), max(1000, int(20_000 * min(1, 10 * self._scale)))
        lake = self._folder / "history"
        paths = made_lake.write(lake, days=days, lines=lines, seed=3, first_day=FIRST)
        single = self._folder / "single"
        on_top, alone, replaced, late, newest = (list[Usage]() for _ in range(5))
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
        on_top, alone = list[Usage](), list[Usage]()
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
                header = "\t".join(HEADER.decode().split())
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
        """Start the program to print its help."""
        runs = [measure_command([sys.executable, str(ROOT / "run.py"), "--help"]) for _ in range(3 * self._rounds)]
        yield row("seconds to print --help", median(run.seconds for run in runs), 0.15)


def ratio(ours: list[Usage], theirs: list[Usage], figure: str) -> float:
    """Return the median of the ratios of pairs of runs."""
    return float(median(getattr(a, figure) / getattr(b, figure) for a, b in zip(ours, theirs, strict=True)))


def pace(times: list[float]) -> float:
    """Return the seconds for each file, from the times of their commits, without the first batch."""
    return (times[-1] - times[0]) / sum(at > times[0] for at in times) if times[-1] > times[0] else math.nan


def row(what: str, figure: float, goal: float | None) -> str:
    """Return a row of the table of goals."""
    limit = "" if goal is None else f"at most {goal:.3g}"
    return f"| {what} | {figure:.2f} | {limit} |"


def main() -> None:
    """Measure the named cases, or all."""
    scale, rounds = float(os.environ.get("SCALE") or "1"), int(os.environ.get("ROUNDS") or "3")
    cases = sys.argv[1:] or CASES
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, scale {scale:g}\n")
    with (
        tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_FOLDER")) as folder,
        embedded.open_server("bench", Path(folder, "server")) as server,
    ):
        postmaster = psutil.Process(postmaster_id(Path(folder, "server")))
        bench = Bench(server, postmaster, Path(folder), scale, rounds)
        for case in cases:
            for line in getattr(bench, case)():
                print(line, flush=True)


if __name__ == "__main__":
    main()
