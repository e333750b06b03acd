"""Which files a run ingests and prunes, as its options and the checkpoint say."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from processor.batches import LIMITS, Limits
from processor.lake.base import LakeFile
from processor.lake.selection import EVERY_FILE, Selection
from processor.reducers.fold import CHUNK
from processor.run_tally import Outcome
from state.batch_writer import KnownFile
from state.store import Store

if TYPE_CHECKING:
    from processor.spark.session import Engine


class PruneError(Exception):
    """Pruning was refused; the message says why and what to do, and `outcome` what the run did before."""

    def __init__(self, message: str, outcome: "Outcome") -> None:
        """Why, and what was done."""
        super().__init__(message)
        self.outcome = outcome


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is asked for besides counting what is new or changed."""

    prune: bool = False
    prune_all: bool = False
    workers: int = 1
    engine: "Engine | None" = None  # reduces instead of the workers
    chunk: int = CHUNK
    limits: Limits = LIMITS  # of a batch
    selection: Selection = EVERY_FILE  # files outside are neither counted nor taken for gone


class Changes(NamedTuple):
    """What a run finds: files in the order of their keys, and of those that counted and are gone what is known."""

    new: "list[LakeFile]"
    changed: "list[LakeFile]"
    unchanged: "list[LakeFile]"
    gone: "list[KnownFile]"


def changes(present: "Iterable[LakeFile]", known: "Mapping[str, KnownFile]") -> Changes:
    """How the present files differ from those that were counted."""
    found = Changes([], [], [], [])
    keys = set()
    for file in sorted(present):
        keys.add(file.key)
        before = known.get(file.key)
        if before is None or before.fingerprint is None:
            found.new.append(file)
        elif before.fingerprint != file.fingerprint:
            found.changed.append(file)
        else:
            found.unchanged.append(file)
    found.gone.extend(known[key] for key in sorted(known.keys() - keys) if known[key].fingerprint is not None)
    return found


def lost(present: Mapping[str, LakeFile], known: Mapping[str, KnownFile], failed: Collection[str]) -> list[LakeFile]:
    """The present files that a run counted, or found counted, and that the database does not know so any more."""
    found = changes(present.values(), known)
    return sorted(file for file in found.new + found.changed if file.key not in failed)


def to_count(
    present: Iterable[LakeFile], known: Mapping[str, KnownFile], store: Store, outcome: Outcome
) -> list[LakeFile]:
    """The present files that are new or changed, in order; the errors of versions that are present no more go."""
    found = changes(present, known)
    outcome.files_unchanged += len(found.unchanged)
    for counted in [known[file.key] for file in found.unchanged] + found.gone:
        if counted.error is not None:
            store.clear_error(counted)
    for key in known.keys() - {file.key for file in found.new + found.changed + found.unchanged}:
        if known[key].fingerprint is None:
            store.forget(key)  # it is gone and never counted: only its error goes
    return sorted(found.new + found.changed)


def to_prune(plan: Plan, present: Collection[str], known: dict[str, KnownFile], outcome: Outcome) -> list[str]:
    """The keys of the counted files to prune, in order; raises PruneError where so many can hardly be right."""
    counted = {key for key, file in known.items() if file.fingerprint is not None and plan.selection.includes(key)}
    gone = counted.difference(present)
    if not present and not plan.prune_all:
        raise PruneError("nothing was pruned: the lake's listing is empty; say --prune-all if that is right", outcome)
    if 2 * len(gone) > len(counted) and not plan.prune_all:
        raise PruneError(
            f"nothing was pruned: {len(gone)} of {len(counted)} counted files are gone, more than half; "
            "look at LAKE_URL, and say --prune-all if that is right",
            outcome,
        )
    return sorted(gone)
