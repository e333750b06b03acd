"""The run lock, which lets one run at a time write to the database."""

import os
import socket
import time
from typing import TYPE_CHECKING, Any

from state.connection import SEARCH_PATH, Connection
from state.connector import close_connection, keep_server_message
from state.errors import BusyError

if TYPE_CHECKING:
    from psycopg2.extensions import connection

# The server needs a moment to notice that a run has died, and longer to notice that a connection was lost.
WAIT_LOCK_SECONDS = 2.0
WAIT_LOST_LOCK_SECONDS = 90.0
# A watch releases the lock as soon as it has ingested its present file, which may be large.
WAIT_WATCH_SECONDS = 600.0
WATCH = "watch, "


class RunLock:
    """The lock of one run, held by an open transaction on a connection of its own.

    So the server releases it when the run dies, behind a pooler too. With `is_shared`, the run releases the lock now
    and then and waits for it as long as another run holds it; other runs wait longer for this one.
    """

    def __init__(self, database: Connection, is_shared: bool) -> None:
        """Name the database, to which `take` opens another connection."""
        self._db, self.is_shared = database, is_shared
        self._holder: connection | None = None
        self.is_released = False

    def take(self) -> None:
        """Take the lock, unless it was taken before; raises BusyError if another run keeps it, and DatabaseError."""
        if self._holder is None:
            holder = self._db.open()
            try:
                self._take_by(holder)
            except BaseException:
                holder.close()
                raise
            self._holder = holder

    def release(self) -> None:
        """Release the lock for other runs, but keep the connection; raises psycopg2.Error if it is lost."""
        self.is_released = True
        if self._holder is not None:
            self._holder.rollback()

    def take_again(self) -> None:
        """Take the lock after `release`, if its connection is still open; raises psycopg2.Error if it is lost."""
        if self.is_released and self._holder is not None:
            self._take_by(self._holder)
        self.is_released = False  # without a connection, `take` makes one before the next transaction

    def close(self) -> None:
        """Close the lock's connection, which releases the lock."""
        holder, self._holder = self._holder, None
        if holder is not None:
            close_connection(holder)

    def _take_by(self, holder: "connection") -> None:
        db = self._db
        with keep_server_message(holder), holder.cursor() as cur:
            db.execute(cur, "apply_settings", search_path=SEARCH_PATH)
            process = f"{WATCH if self.is_shared else ''}process {os.getpid()} on {socket.gethostname()}"
            ours = db.fetch_one(cur, "name_lock_holder", holder=process).name
            begun = warned_at = time.monotonic()
            unseen = 0
            while not db.fetch_one(cur, "try_lock").locked:
                other = db.fetch_one(cur, "read_lock_holder")
                unseen = unseen + 1 if other is None else 0
                waited = time.monotonic() - begun
                if unseen == 1:
                    pass  # it has probably just ended
                elif self.is_shared:
                    if waited > WAIT_LOCK_SECONDS and warned_at == begun:
                        db.warn(f"{_describe(other)}; this one continues after it")
                        warned_at = time.monotonic()
                elif waited > _choose_wait_seconds(other, ours):
                    raise BusyError(_describe(other), "wait for it to end")
                time.sleep(0.5 if warned_at > begun else 0.05)


def _choose_wait_seconds(holder: Any, ours: str) -> float:
    """Return for how many seconds to wait for the run that holds the lock; `ours` is the name of this one."""
    if holder is not None and holder.application_name.startswith(WATCH):
        return WAIT_WATCH_SECONDS
    return WAIT_LOST_LOCK_SECONDS if holder is not None and holder.application_name == ours else WAIT_LOCK_SECONDS


def _describe(holder: Any) -> str:
    """Return which process holds the lock, and since when, if the server shows that."""
    if holder is None:
        return "another run is at work on this database"
    if holder.xact_start is None:
        return f"another run ({holder.application_name}) is at work on this database"
    since = f"{holder.xact_start:%Y-%m-%d %H:%M:%S %Z}"
    return f"another run ({holder.application_name}) has been at work on this database since {since}"
