"""Command lines and settings for tests of how they are read."""

import pytest

# The arguments that each command needs at least.
ENOUGH = {
    "watch": ["watch"],
    "status": ["status"],
    "explain": ["explain", "a1"],
    "rejected": ["rejected"],
    "check": ["check"],
    "doctor": ["doctor"],
    "verify": ["verify"],
    "forget": ["forget", "a.tsv"],
}
LIBPQ = ("PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGUSER", "PGSERVICE")


def set_only_a_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unset every setting for the length of a test, but the one that names a database."""
    for name in (
        *LIBPQ,
        *("DATABASE_WAIT", "ENGINE", "LAKE_URL", "LOG_FORMAT", "LOG_LEVEL", "METRICS", "QUEUE_URL", "WATCH_INTERVAL"),
        *("AWS_REQUEST_PAYER", "LAKE_AHEAD", "MAX_TEXT_GIB"),
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DATABASE_URL", "postgresql://h/d")
