"""Commands that only read: they take no lock, change nothing, and wait for no run."""

import json
from argparse import Namespace

from processor import pipeline
from processor.changes import changes
from processor.console import Console, several, sized
from processor.lake import Lake, LakeError, storable
from processor.pipeline import Outcome, Plan, PruneError
from processor.status import plain, show_article, show_status, show_user, status
from processor.told import DONE, FailedError, nothing_there, unknown
from state.answers import Answers
from state.database import Database
from state.store import Store


def dry_run(lake: Lake, database: Database | None, options: Namespace, console: Console) -> int:
    """Say what a run would count, take back and prune; without a database, where nothing was ever counted."""
    known = {} if database is None else Store(database).files()
    plan = Plan(options.prune, options.prune_all, selection=options.selection)
    present = {file.key: file for file in lake.files() if plan.selection.holds(file.key)}
    found = changes(present.values(), {key: file for key, file in known.items() if plan.selection.holds(key)})
    again = found.changed + found.unchanged if options.is_rebuild else found.changed
    size = sum(file.size for file in found.new + again)
    gone = [file.key for file in found.gone]
    refusal, pruned = None, []
    try:
        pruned = pipeline.to_prune(plan, present, known, Outcome()) if plan.prune or plan.prune_all else []
    except PruneError as error:
        refusal = error
    if options.json:
        keys = {"new": [file.key for file in found.new], "again": [file.key for file in again], "pruned": pruned}
        unchanged = len(found.unchanged) if not options.is_rebuild else 0
        console.result(json.dumps({**keys, "gone": gone, "files_unchanged": unchanged, "bytes": size}))
    else:
        for what, to_count in (("count", found.new), ("count anew", again)):
            for file in to_count:
                console.show(f"would {what} {file.key} ({sized(file.size)})")
        for key in gone:
            console.show(f"would {'forget' if key in pruned else 'keep'} {key}, which is gone from the lake")
        files = several(len(found.new) + len(again), "file")
        counts = f"{files} of {sized(size)}, {len(again):,} of them anew" if found.new or again else "nothing"
        left = f"{len(found.unchanged):,} unchanged, " if not options.is_rebuild else ""
        console.show(f"Would count {counts}; {left}{len(gone):,} gone, {len(pruned):,} of them to forget.")
    if refusal:
        raise refusal
    if not present:
        console.warn(nothing_there(lake, options))
    return DONE


def show(lake: Lake, database: Database, options: Namespace, console: Console) -> int:
    """Show what is counted, what has changed since, and the last run."""
    present, error = None, None
    try:
        present = {file.key: file for file in lake.files()}.values()
    except LakeError as raised:
        error = raised
    found = status(Answers(database), Store(database).files(), present)
    if options.json:
        console.result(json.dumps({"lake": lake.url, **found}, default=plain))
    else:
        show_status(console, lake.url, found)
    if error is not None:
        raise error
    return DONE


def explain(_: Lake, database: Database, options: Namespace, console: Console) -> int:
    """Show which files made the numbers of an article or of a user."""
    what = "article" if options.user is None else "user"
    name, day = storable(options.article if options.user is None else options.user), options.day
    answers = Answers(database)
    found = answers.article(name, day) if what == "article" else answers.user(name, day)
    if not found["rows"]:
        raise FailedError(f"no counted file says anything of {what} {name}{f' on {day}' if day else ''}")
    if options.json:
        console.result(json.dumps({what: name, **found}, default=plain))
    else:
        (show_article if what == "article" else show_user)(console, name, found)
    return DONE


def rejected(_: Lake, database: Database, options: Namespace, console: Console) -> int:
    """Show the lines that count nowhere, of one file or of all."""
    store, key = Store(database), None if options.key is None else storable(options.key)
    if key is not None and key not in store.files():
        raise FailedError(unknown(key))
    console.rejected(store.rejected_lines(key), options.tsv)
    return DONE


ASKS = {"status": show, "explain": explain, "rejected": rejected}
