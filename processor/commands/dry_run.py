"""`run.py --dry-run`: shows what a run would ingest, retract and prune."""

import json

from processor.commands.context import Context
from processor.commands.messages import describe_empty_lake, warn_of_redefinition
from processor.errors import DONE
from processor.formats import format_size, pluralize
from processor.lake.base import Lake
from processor.plan import Plan, PruneError, find_changes, find_keys_to_prune
from state.errors import NoDatabaseError, UnusedDatabaseError
from state.files import KnownFile


def run(context: Context) -> int:
    """Show what a run would ingest, retract and prune."""
    settings, console, lake = context.settings, context.console, context.open_lake()
    known = _read_known(context, lake)
    plan = Plan(prunes=settings.prunes, prunes_all=settings.prunes_all, selection=settings.selection)
    present = {file.key: file for file in lake.list_files(known, plan.selection)}
    changes = find_changes(present.values(), plan.selection.of(known), recounts=settings.rebuilds or settings.recounts)
    size = sum(file.size for file in changes.to_ingest)
    missing = [file.key for file in changes.missing]
    refusal, pruned = None, []
    try:
        pruned = find_keys_to_prune(plan, present, known)
    except PruneError as error:
        refusal = error
    if settings.prints_json:
        keys = {
            "new": [file.key for file in changes.new],
            "again": [file.key for file in changes.changed],
            "pruned": pruned,
        }
        console.print_result(
            json.dumps({**keys, "gone": missing, "files_unchanged": len(changes.unchanged), "bytes": size})
        )
    else:
        for what, to_count in (("count", changes.new), ("count again", changes.changed)):
            for file in to_count:
                console.show(f"would {what} {file.key} ({format_size(file.size)})")
        for key in missing:
            console.show(f"would {'forget' if key in pruned else 'keep'} {key}, which is missing from the lake")
        files = f"{pluralize(len(changes.to_ingest), 'file')} of {format_size(size)}"
        counts = f"{files}, {len(changes.changed):,} of them again" if changes.to_ingest else "nothing"
        left = f"{len(changes.unchanged):,} unchanged, " if not settings.rebuilds else ""
        console.show(f"Would count {counts}; {left}{len(missing):,} missing, {len(pruned):,} of them to forget.")
    if refusal:
        raise refusal
    if not present:
        console.warn(describe_empty_lake(lake, settings))
    return DONE


def _read_known(context: Context, lake: Lake) -> dict[str, KnownFile]:
    """Return the checkpoint; it is empty if nothing was ingested yet."""
    try:
        with context.open_reads(lake) as reads:
            if not context.settings.rebuilds:
                warn_of_redefinition(reads, context)
            return reads.read_checkpoint()
    except (UnusedDatabaseError, NoDatabaseError):
        context.console.warn("nothing was counted into this database yet: every file is new to it")
        return {}
