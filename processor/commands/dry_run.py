"""`run.py --dry-run`: shows what a run would ingest, retract and prune."""

import json

from processor.commands.context import Context
from processor.commands.messages import describe_empty_lake, describe_redefinition
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
    plan = Plan(settings.prunes, settings.prunes_all, selection=settings.selection)
    present = {file.key: file for file in lake.list_files(known, plan.selection)}
    within = {key: file for key, file in known.items() if plan.selection.includes(key)}
    found = find_changes(present.values(), within, recounts=settings.rebuilds or settings.recounts)
    size = sum(file.size for file in found.to_ingest)
    gone = [file.key for file in found.missing]
    refusal, pruned = None, []
    try:
        pruned = find_keys_to_prune(plan, present, known)
    except PruneError as error:
        refusal = error
    if settings.prints_json:
        keys = {
            "new": [file.key for file in found.new],
            "again": [file.key for file in found.changed],
            "pruned": pruned,
        }
        console.result(json.dumps({**keys, "gone": gone, "files_unchanged": len(found.unchanged), "bytes": size}))
    else:
        for what, to_count in (("count", found.new), ("count again", found.changed)):
            for file in to_count:
                console.show(f"would {what} {file.key} ({format_size(file.size)})")
        for key in gone:
            console.show(f"would {'forget' if key in pruned else 'keep'} {key}, which is missing from the lake")
        files = f"{pluralize(len(found.to_ingest), 'file')} of {format_size(size)}"
        counts = f"{files}, {len(found.changed):,} of them again" if found.to_ingest else "nothing"
        left = f"{len(found.unchanged):,} unchanged, " if not settings.rebuilds else ""
        console.show(f"Would count {counts}; {left}{len(gone):,} missing, {len(pruned):,} of them to forget.")
    if refusal:
        raise refusal
    if not present:
        console.warn(describe_empty_lake(lake, settings))
    return DONE


def _read_known(context: Context, lake: Lake) -> dict[str, KnownFile]:
    """Return the checkpoint; it is empty if nothing was ingested yet."""
    try:
        with context.open_reads(lake) as reads:
            warning = describe_redefinition(reads, context.settings)
            if warning is not None and not context.settings.rebuilds:
                context.console.warn(warning)
            return reads.files()
    except (UnusedDatabaseError, NoDatabaseError):
        context.console.warn("nothing was counted into this database yet: every file is new to it")
        return {}
