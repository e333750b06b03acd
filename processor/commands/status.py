"""`run.py status`: shows which files are counted and which are not, the last run and the sizes."""

import json
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from processor.command_line.command_registry import COMMANDS
from processor.commands.context import Context
from processor.commands.messages import describe_redefinition
from processor.errors import DONE
from processor.formats import format_moment, format_since, format_size, make_json_value, pluralize
from processor.lake.base import LakeError
from processor.output.run_output import BOLD, RED, RunOutput
from processor.plan import find_changes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from processor.lake.base import LakeFile
    from state.files import KnownFile
    from state.reads import Reads
    from state.row_reads import Row

MAX_FAILED_FILES = 5  # files that failed; more would not fit on a screen
MAX_RESTATEMENTS = 5


def read_status(reads: "Reads", known: "Mapping[str, KnownFile]", present: "Iterable[LakeFile] | None") -> "Row":
    """Return the status as a dictionary.

    reads: the database. known: the checkpoint. present: the lake's files, or None if the lake cannot be listed.
    """
    failed = [{"file": file.key, "error": file.error} for file in known.values() if file.error is not None]
    failed_keys = {file["file"] for file in failed}
    changes = None if present is None else find_changes(present, known)
    runs, holder = reads.read_last_runs(), reads.read_lock_holder()
    if holder and runs and runs[0]["ended_at"] is None:
        runs.pop(0)
    return {
        **reads.sum_files(),
        "files_new": None if changes is None else sum(file.key not in failed_keys for file in changes.new),
        "files_changed": None if changes is None else sum(file.key not in failed_keys for file in changes.changed),
        "files_gone": None if changes is None else len(changes.missing),
        "files_failed": len(failed),
        "failed": sorted(failed, key=lambda file: str(file["file"])),
        "users_forgotten": reads.count_forgotten_users(),
        "last_run": add_rates(runs[0]) if runs else None,
        "restatements": reads.read_newest_restatements(MAX_RESTATEMENTS),
        "at_work": holder and {"process": holder["application_name"], "since": holder["xact_start"]},
        "sizes": reads.measure_tables(),
    }


def add_rates(run: "Row") -> "Row":
    """Return a run with the events and bytes that it read in a second."""
    rates = {
        f"{name}_per_second": run[name] / run["seconds"] if run["seconds"] else None for name in ("events", "bytes")
    }
    return {**run, **rates}


def show_status(console: RunOutput, lake_url: str, status: "Row") -> None:
    """Print the status on one screen.

    console: prints it. lake_url: the lake's. status: what `read_status` returns.
    """

    def line(name: str, text: str, style: str = "") -> None:
        console.show(f"{name:<9} {text}", style)

    line("Lake", lake_url, BOLD)
    held = f"{pluralize(status['events'], 'event')}, {pluralize(status['rejected'], 'line')} rejected"
    line("Counted", f"{pluralize(status['files_counted'], 'file')}, {format_size(status['bytes'])}: {held}")
    for name, note in (
        ("new", "counted by the next run"),
        ("changed", "counted again by the next run"),
        ("gone", "still counted, until a run with --prune"),
    ):
        count = status[f"files_{name}"]
        if count is not None:
            line(
                "Missing" if name == "gone" else name.capitalize(),
                pluralize(count, "file") + (f", {note}" if count else ""),
            )
    failed = status["files_failed"]
    line(
        "Failed", pluralize(failed, "file") + (", tried again by the next run" if failed else ""), RED if failed else ""
    )
    for file in status["failed"][:MAX_FAILED_FILES]:
        line("", f"{file['file']}: {file['error']}")
    if failed > MAX_FAILED_FILES:
        line("", f"and {failed - MAX_FAILED_FILES:,} more")
    if status["users_forgotten"]:
        line("Forgotten", f"{pluralize(status['users_forgotten'], 'user')}, whose lines count for no user")
    run = status["last_run"]
    if run:
        begun = format_moment(run["started_at"])
        # An earlier release may have recorded a command that no longer exists.
        command = COMMANDS.get(run["command"], COMMANDS["count"])
        if run["ended_at"] is None and command.stays_up:
            at = run["started_at"] + timedelta(seconds=run["seconds"])
            then = f"it was last at work at {format_moment(at)}"
            line("Last run", f"{begun}: {run['command']}, which has not ended; {then}")
            line("", _describe_work(run))
        elif run["ended_at"] is None:
            line("Last run", f"{begun}: {run['command']}, which did not end properly; {command.describe_stop()}")
        else:
            ended = "" if run["exit_code"] is None else f", exit code {run['exit_code']}"
            line("Last run", f"{begun}: {run['command']}, {run['seconds']:.1f} s{ended}")
            if run["error"]:
                line("", run["error"])
            line("", _describe_work(run))
    for position, restated in enumerate(status["restatements"]):
        line("" if position else "Restated", _describe_restatement(restated))
    if status["at_work"]:
        line("At work", status["at_work"]["process"] + format_since(status["at_work"]["since"]))
    line("Sizes", ", ".join(f"{name} {format_size(size)}" for name, size in status["sizes"].items()))


def _describe_restatement(restated: "Row") -> str:
    """Return which numbers of a day changed, when, and which file did it, in words."""
    changes = [
        f"{what} {_format_exactly(restated[f'{name}_before'])} to {_format_exactly(restated[f'{name}_after'])}{unit}"
        for name, what, unit in (
            ("displays", "displays", ""),
            ("clicks", "clicks", ""),
            ("sessions", "sessions", ""),
            ("session_seconds", "their length", " s"),
        )
        if restated[f"{name}_before"] != restated[f"{name}_after"]
    ]
    when = f"{restated['date']} on {format_moment(restated['restated_at'])}"
    files, more = restated["files"][:1], restated["file_count"] - 1
    if more > 0:
        files.append(f"{more:,} more")
    return f"{when}: {', '.join(changes)}" + (f", by {' and '.join(files)}" if files else "")


def _format_exactly(number: int | Decimal) -> str:
    """Return a number with all its digits, and no zeros at its end."""
    return f"{Decimal(number).normalize():,f}"


def _describe_work(run: "Row") -> str:
    """Return what a run did, and how fast, in words."""
    parts = [f"{pluralize(run['files_counted'], 'file')} counted"]
    parts += [
        f"{run[f'files_{what}']:,} {what}" for what in ("unchanged", "failed", "forgotten") if run[f"files_{what}"]
    ]
    if run["events"] and run["events_per_second"]:
        parts.append(f"{run['events_per_second']:,.0f} events/s")
        parts.append(f"{format_size(run['bytes_per_second'])}/s")
    return ", ".join(parts)


def run(context: Context) -> int:
    """Show what is counted, what has changed since, and the last run."""
    lake = context.open_lake()
    present, error = None, None
    with context.open_reads(lake) as reads:
        known = reads.read_checkpoint()
        warning = describe_redefinition(reads, context.settings)
        try:
            present = {file.key: file for file in lake.list_files(known)}.values()
        except LakeError as raised:
            error = raised
        status = read_status(reads, known, present)
    if context.settings.prints_json:
        context.console.print_result(json.dumps({"lake": lake.url, **status}, default=make_json_value))
    else:
        show_status(context.console, lake.url, status)
    if warning is not None:
        context.console.warn(warning)
    if error is not None:
        raise error
    return DONE
