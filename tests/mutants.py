"""Holds small mutants of the program against the tests that should notice them: `make mutants`, some hours for 200.

MUTANTS (200 unless set) is how many are tried, SEED draws others, and IN, a part of a path, keeps to a file or folder.
Each one is tried in a copy of the tree, by the tests of its room, until the first that fails. What was noticed stands
in `.mutants` and is not tried again by the next call; what no test missed is printed there and tried each time.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from tests.mutations import Mutant, mutants

ROOT = Path(__file__).resolve().parents[1]
DONE = ROOT / ".mutants" / "noticed"
START_SECONDS, END_SECONDS = 60, 30
FILES = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]

# Which tests should notice a mutant of a file, the quick ones first. A room that is not named here is not mutated.
ROOMS = {
    "run.py": "options log commands",
    "processor/page.py": "page",
    "processor/page.html": "page",
    "processor/report.py": "report picture page",
    "processor/painter.py": "painter",
    "processor/stop.py": "stop runners watch",
    "processor/watch.py": "turns watch",
    "processor/arrivals.py": "turns watch",
    "processor/outage.py": "turns queue",
    "processor/sqs.py": "queue watch doctor",
    "processor/lake.py": "lake names limits secrets doctor watch runners",
    "processor/spark.py": "engine spark",
    "processor/engine.py": "engine spark",
    "processor/executor.py": "engine spark",
    "state/migrations/": "migrations",
    "state/roles.sql": "roles doctor bi",
    "state/schema.sql": "migrations roles views run history verify plans security",
    "state/queries.sql": "pipeline run history verify commands plans doctor page runners database_faults crashes",
    "state/embedded.py": "embedded commands runners",
    "state/database.py": "run commands doctor secrets runners database_faults migrations crashes tls",
    "state/": "pipeline run history verify limits database_faults crashes spark",
}


def files() -> list[str]:
    """The files of the tree, those that are not committed yet among them."""
    names = subprocess.check_output(FILES, cwd=ROOT, encoding="utf-8").split("\0")
    return [name for name in names if (ROOT / name).is_file()]


def trial(tests: str, mutant: Mutant | None, seconds: float) -> str:
    """The first test that fails with a mutant in place, "time-out" after so many seconds; empty where none does."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        copy = Path(folder, "tree")
        Path(folder).chmod(0o755)  # Postgres runs as another account where we are root
        for name in files():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
        (copy / ".venv").symlink_to(ROOT / ".venv")
        if mutant is not None:
            source = (copy / mutant.path).read_bytes()
            (copy / mutant.path).write_bytes(source[: mutant.start] + mutant.text + source[mutant.stop :])
        (copy / "tmp").mkdir(mode=0o755)
        arguments = [f"tests/test_{test}.py" for test in tests.split()]
        with (copy / "tmp" / "output").open("w+", encoding="utf-8") as output, subprocess.Popen(
            [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--tb=short", *arguments],
            cwd=copy, stdout=output, stderr=subprocess.STDOUT, env={**os.environ, "TMPDIR": str(copy / "tmp")},
        ) as process:  # fmt: skip
            try:
                code = process.wait(seconds)
            except subprocess.TimeoutExpired:
                code = -1
                process.send_signal(signal.SIGINT)  # which ends its servers
                with suppress(subprocess.TimeoutExpired):
                    process.wait(END_SECONDS)
            finally:
                end_all(f"TMPDIR={copy / 'tmp'}".encode())
            output.seek(0)
            said = output.read()
        if code == 0:
            return ""
        if mutant is None:
            raise SystemExit(f"{said}\nthe tests fail without a mutant, too")
        failed = re.search(r"^(?:FAILED|ERROR) (\S+)", said, re.MULTILINE)
        return "time-out" if code == -1 else failed[1] if failed else said.strip().splitlines()[-1]


def end_all(setting: bytes) -> None:
    """End the processes that a trial left, which its setting tells."""
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if setting in path.read_bytes().split(b"\0"):
                os.kill(int(path.parent.name), signal.SIGKILL)


def tests_of(path: str) -> str:
    """The tests that should notice a mutant of a file; none where it is not mutated."""
    return next((tests for room, tests in ROOMS.items() if path.startswith(room)), "")


def main() -> int:
    """Try as many mutants as are asked for; 1 where no test missed one."""
    number, seed = int(os.environ.get("MUTANTS") or "200"), os.environ.get("SEED", "")
    rooms = [it for it in files() if Path(it).suffix in (".py", ".sql", ".html") and os.environ.get("IN", "") in it]
    all_of_them = [mutant for path in rooms if tests_of(path) for mutant in mutants(ROOT, path)]
    drawn = sorted(all_of_them, key=lambda mutant: mutant.rank(seed))[:number]
    DONE.parent.mkdir(exist_ok=True)
    DONE.touch()
    noticed = dict(json.loads(line) for line in DONE.read_text(encoding="utf-8").splitlines())
    seconds, missed = dict[str, float](), list[Mutant]()
    for place, mutant in enumerate(drawn, 1):
        tests = tests_of(mutant.path)
        if mutant.name not in noticed:
            if tests not in seconds:
                begun = time.monotonic()
                trial(tests, None, 3600)
                seconds[tests] = time.monotonic() - begun
            begun = time.monotonic()
            by = trial(tests, mutant, START_SECONDS + 2 * seconds[tests])
            spent = time.monotonic() - begun
            if by:
                noticed[mutant.name] = by
                with DONE.open("a", encoding="utf-8") as file:
                    print(json.dumps([mutant.name, by]), file=file)
            else:
                missed.append(mutant)
            print(
                f"{place}/{len(drawn)} {by or 'MISSED'} ({spent:.0f} s): {mutant.path}:{mutant.line} {mutant.change}",
                flush=True,
            )
    print(f"{len(drawn) - len(missed)} of {len(drawn)} noticed, of {len(all_of_them):,} that there are; missed:")
    for mutant in missed:
        print(f"{mutant.path}:{mutant.line}: {mutant.change}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
