"""Runs histories, each seed once: `make soak`, for SOAK_SECONDS (3,600 unless set).

A seed draws the same histories each time. `.soak` records the last seed, and the next soak continues after it. A
history whose tables differ from the oracle's is shrunk and printed, the exit code is 1, and its seed comes again. If
pyspark is installed, Spark reduces in some of them.
"""

import os
import tempfile
import time
from contextlib import ExitStack
from importlib.util import find_spec
from itertools import count
from pathlib import Path

from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from processor.spark.application import SparkApplication
from state import embedded
from state.database import Database
from tests.support.histories import Histories
from tests.support.postgres import tune

DONE = Path(__file__).resolve().parents[2] / ".soak"
BATCH = settings(
    max_examples=50, stateful_step_count=20, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)


def soak(url: str, engine: SparkApplication | None, seconds: float) -> None:
    """Draw histories for a number of seconds; raises if the tables of one differ from the oracle's."""

    class TheseHistories(Histories):
        pass

    TheseHistories.url, TheseHistories.engine = url, engine
    last = int(DONE.read_text(encoding="utf-8")) if DONE.exists() else 0
    begun = time.monotonic()
    for number in count(last + 1):
        print(f"seed {number}: ", end="", flush=True)
        run_state_machine_as_test(seed(number)(TheseHistories), settings=BATCH)
        DONE.write_text(f"{number}\n", encoding="utf-8")
        spent = time.monotonic() - begun
        drawn = ", ".join(f"{number:,} {name}" for name, number in TheseHistories.drawn.items())
        print(f"no difference; {drawn} in {spent:,.0f} s", flush=True)
        if spent >= seconds:
            return


def main() -> None:
    """Soak on a separate server."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        url = stack.enter_context(embedded.open_server("soak", Path(folder, "server")))
        tune(url)
        with Database(url):
            pass  # this makes the schema
        engine = stack.enter_context(SparkApplication("local[2]")) if find_spec("pyspark") else None
        soak(url, engine, float(os.environ.get("SOAK_SECONDS", "3600")))


if __name__ == "__main__":
    main()
