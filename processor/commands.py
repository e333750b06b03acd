"""What surrounds a command: its database, locked or only read, the history of runs, and what its failure says."""

import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from processor.acts import ACTS
from processor.asks import ASKS, dry_run
from processor.console import Console, printable
from processor.lake import Lake, LakeError, LakeSettingError, lake_at
from processor.pipeline import PruneError
from processor.record import Record
from processor.stop import Stop, Stopped
from processor.told import BUSY, FAILED, WRONG_SETTING, FailedError
from state import embedded
from state.database import BusyError, Database, DatabaseError, DatabaseSettingError, RunEnd, UnusedDatabaseError
from state.embedded import EmbeddedError, NoDatabaseError
from state.store import Store

TOLD = (BusyError, DatabaseError, EmbeddedError, FailedError, LakeError, PruneError)


def perform(options: Namespace, console: Console, stop: Stop) -> int:
    """The exit code of one command; where it fails, one line on standard error says why."""
    try:
        lake = lake_at(options.lake)
        if options.command == "dry-run":
            with ExitStack() as stack:
                database = None
                try:
                    database = stack.enter_context(asked(lake, options, console, stop))
                except (UnusedDatabaseError, NoDatabaseError):
                    console.warn("nothing was counted into this database yet: to it every file is new")
                return dry_run(lake, database, options, console)
        if options.command in ASKS:
            with asked(lake, options, console, stop) as database:
                return ASKS[options.command](lake, database, options, console)
        with locked(lake, options, console, stop) as database:
            return recorded(lake, database, options, console)
    except TOLD as error:
        console.error(str(error))
        return exit_code(error)


def exit_code(error: BaseException) -> int:
    """The exit code of a command that ends with an error."""
    if isinstance(error, BusyError):
        return BUSY
    return WRONG_SETTING if isinstance(error, LakeSettingError | DatabaseSettingError) else FAILED


@contextmanager
def locked(lake: Lake, options: Namespace, console: Console, stop: Stop) -> Iterator[Database]:
    """The database that the settings name, with its lock held and the run recorded."""
    with ExitStack() as stack:
        url = options.database
        if options.is_embedded:
            if options.relocated:
                raise DatabaseSettingError(
                    "the server of its own has a database for each lake: name one in DATABASE_URL to relocate"
                )
            url = stack.enter_context(embedded.server(lake.url))
        database = Database(url, options.wait, console.warn, shares=options.command == "watch")
        stop.breaks_off(database.cancel)
        stack.enter_context(database)
        database.claim(lake.url, options.relocated, lambda: next(lake.files(), None), options.command)
        yield database


@contextmanager
def asked(lake: Lake, options: Namespace, console: Console, stop: Stop) -> Iterator[Database]:
    """The database that the settings name, to be read only, whatever run is at work on it."""
    with ExitStack() as stack:
        url = options.database
        if options.is_embedded:
            url = stack.enter_context(embedded.server(lake.url, make=False))
        database = Database(url, options.wait, console.warn, reads=True)
        stop.breaks_off(database.cancel)
        stack.enter_context(database)
        database.expect(lake.url, options.relocated)
        yield database


def recorded(lake: Lake, database: Database, options: Namespace, console: Console) -> int:
    """The exit code of an act, which the history of runs keeps with what the act did, however it ends."""
    begun, record = time.monotonic(), Record(console)
    code, error = FAILED, None
    try:
        code = ACTS[options.command](lake, Store(database), options, console, record)
    except BaseException as raised:
        code = exit_code(raised)
        error = f"stopped by {raised}" if isinstance(raised, Stopped) else str(raised) or type(raised).__name__
        raise
    finally:
        seconds = round(time.monotonic() - begun, 3) if record.seconds is None else record.seconds
        database.run_end = RunEnd(code, error and printable(error), **record.did, seconds=seconds)
    return code
