"""Checks what a run needs, one thing after another: each diagnosis is a line that says what is right, or what to do."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from typing import NamedTuple

from processor.command_line.settings import Settings
from processor.commands.context import Context
from processor.commands.draw_report import PAGE
from processor.commands.messages import describe_empty_lake, describe_redefinition
from processor.errors import DONE, FAILED, FailedError
from processor.formats import format_since, format_size, pluralize
from processor.lake.base import FileError, Lake, LakeError
from processor.output.metrics_export import TextFile
from state import embedded
from state.errors import DatabaseError, EmbeddedError, NoDatabaseError, UnusedDatabaseError
from state.read_only_database import ReadOnlyDatabase
from state.reads import Reads

# Bytes: a report takes some megabytes; a lake in the embedded server takes more.
REPORT_BYTES, SERVER_BYTES = 100_000_000, 1_000_000_000
RIGHTS = {
    "makes_temporary": "make temporary tables",
    "makes_in_public": "make tables in schema public",
    "makes_in_state": "make schema state, or tables in it",
    "owns_all": "change the tables, as another role owns them",
}


class Diagnosis(NamedTuple):
    """The result of one check: its name, whether it passed (None if that is unknown), and a line about it."""

    check: str
    is_right: bool | None
    line: str


def run(context: Context) -> int:
    """Check everything that a run needs, and return the exit code. Nothing changes, and no lock is taken."""
    settings, console = context.settings, context.console
    diagnoses = list(_check_all(context))
    is_bad = any(diagnosis.is_right is False for diagnosis in diagnoses)
    if settings.prints_json:
        checks = [{"check": check, "ok": is_right, "says": line} for check, is_right, line in diagnoses]
        console.print_result(json.dumps({"ok": not is_bad, "checks": checks}))
    else:
        for diagnosis in diagnoses:
            console.show_check(*diagnosis)
    return FAILED if is_bad else DONE


def _check_all(context: Context) -> Iterator[Diagnosis]:
    wrong = list(_find_wrong_settings(context.settings))
    yield from (Diagnosis("settings", False, line) for line in wrong)
    if not wrong:
        yield Diagnosis("settings", True, "all are valid")
    yield _run_check("lake", lambda: _check_lake(context))
    yield from _check_database(context)
    yield _run_check("disk", lambda: _check_disk(context.settings))


def _run_check(name: str, check: Callable[[], str | None]) -> Diagnosis:
    """Return the diagnosis of a check: the line that `check` returns, or its error; None is unknown."""
    try:
        line = check()
        return Diagnosis(name, None if line is None else True, line or "the lake is not known")
    except (UnusedDatabaseError, NoDatabaseError):
        return Diagnosis(name, True, "nothing was counted yet; the first run creates what is missing")
    except (DatabaseError, EmbeddedError, FailedError, LakeError) as error:
        return Diagnosis(name, False, str(error))
    except OSError as error:
        where = error.filename or "the current folder"
        return Diagnosis(name, False, f"{where} cannot be read ({error.strerror}); make it readable")


def _find_wrong_settings(settings: Settings) -> Iterator[str]:
    yield from settings.errors
    if isinstance(settings.metrics, TextFile):
        folder = settings.metrics.path.parent
        with suppress(OSError):  # of a current folder that is gone
            folder = folder.absolute()
        if not os.access(folder, os.W_OK | os.X_OK):
            yield f"METRICS names a file in {folder}, which is not a writable folder; create it, or make it writable"


def _check_lake(context: Context) -> str:
    lake = context.open_lake()
    files = list(lake.list_files())
    if not files:
        raise FailedError(describe_empty_lake(lake, context.settings))
    failed = next((file for file in files if file.error is not None), None)
    if failed is not None:
        raise FailedError(f"{failed.key}: {failed.error}")
    readable = next((file for file in files if file.size), None)
    if readable is not None:
        try:
            with closing(lake.open(readable, 0, 1)) as stream:
                stream.read(1)
        except FileError as error:
            raise FailedError(f"{readable.key}: {error}") from error
    size = format_size(sum(file.size for file in files))
    line = f"{lake.url}: {pluralize(len(files), 'file')} of {size}, {lake.describe_access()}"
    return line if (warning := lake.describe_weak_fingerprints()) is None else f"{line}; {warning}"


def _check_database(context: Context) -> Iterator[Diagnosis]:
    lake = None
    with suppress(LakeError):  # reported already
        lake = context.open_lake()
    checks: dict[str, Callable[[ReadOnlyDatabase], str | None]] = {
        "roles": _check_roles,
        "schema": _check_schema,
        "recorded": partial(_check_recorded_lake, lake, context.settings),
        "lock": _check_lock,
    }
    try:
        with _open_database(lake, context) as database:
            diagnosis = _run_check("database", lambda: _check_server(database))
            yield diagnosis
            if diagnosis.is_right:
                yield from (_run_check(name, partial(check, database)) for name, check in checks.items())
                return
    except NoDatabaseError:
        yield Diagnosis("database", True, "an embedded server, which the first run makes")
    except (DatabaseError, EmbeddedError, FailedError) as error:
        yield Diagnosis("database", False, str(error))
    yield from (Diagnosis(name, None, "there is no database to check") for name in checks)


@contextmanager
def _open_database(lake: Lake | None, context: Context) -> Iterator[ReadOnlyDatabase]:
    """Open the database that the settings name to read it only, whatever is in it."""
    with context.serve_database(lake, make=False) as url, closing(ReadOnlyDatabase(url, 0)) as database:
        context.signals.call_on_signal(database.cancel)
        yield database


def _check_server(database: ReadOnlyDatabase) -> str:
    version, is_encrypted = database.check_server()
    size = format_size(Reads(database).measure_database())
    return f"PostgreSQL {version}, {size}, {'over TLS' if is_encrypted else 'without TLS'}"


def _check_roles(database: ReadOnlyDatabase) -> str:
    rights = Reads(database).read_rights()
    missing = [words for name, words in RIGHTS.items() if not rights[name]]
    if missing:
        raise FailedError(
            f"role {rights['role']} may not {', nor '.join(missing)}; "
            "run state/roles.sql as an administrator, and run as etl"
        )
    if not rights["has_bi"]:
        return f"{rights['role']} has the rights that a run needs"
    if rights["bi_sees_state"]:
        raise FailedError("role bi sees more than it should: revoke usage on schema state from bi")
    if rights["bi_unread"]:
        raise FailedError(
            f"role bi may not read {', '.join(rights['bi_unread'])}; run state/roles.sql again as an administrator"
        )
    if rights["bi_misses"]:
        raise FailedError(
            f"row level security hides rows of {', '.join(rights['bi_misses'])} from role bi; "
            "disable it there, or make a policy for bi that is true"
        )
    return f"{rights['role']} has the rights that a run needs, and bi reads the tables and views and nothing else"


def _check_schema(database: ReadOnlyDatabase) -> str:
    database.schema.try_writing()
    return f"step {database.schema.check()}, as this program expects"


def _check_recorded_lake(lake: Lake | None, settings: Settings, database: ReadOnlyDatabase) -> str | None:
    if lake is None:
        return None
    database.schema.check()
    database.check_lake(lake.url)
    if (line := describe_redefinition(Reads(database), settings)) is not None:
        raise FailedError(line)
    return "the database holds this lake"


def _check_lock(database: ReadOnlyDatabase) -> str:
    holder = Reads(database).read_lock_holder()
    if holder is None:
        return "free"
    process = holder["application_name"] or "of another role"
    return f"held{format_since(holder['xact_start'])}: a run is at work, {process}"


def _check_disk(settings: Settings) -> str:
    places = {"the report": (PAGE.parent, REPORT_BYTES)}
    if settings.is_embedded:
        places["the embedded server"] = (embedded.HOME, SERVER_BYTES)
    lines = []
    for what, (place, room) in places.items():
        folder = next(path for path in (place.absolute(), *place.absolute().parents) if path.exists())
        if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
            raise FailedError(f"{folder} is not a writable folder, and {what} is written there; make it a writable one")
        free = shutil.disk_usage(folder).free
        if free < room:
            raise FailedError(
                f"only {format_size(free)} are free for {what} in {folder}, less than {format_size(room)}; "
                "free some space"
            )
        lines.append(f"{format_size(free)} free for {what}")
    return ", ".join(lines)
