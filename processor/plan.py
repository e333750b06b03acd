"""Which files a run ingests and which it prunes."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from processor.batches import DEFAULT_BATCH_LIMITS, BatchLimits
from processor.errors import EventLakeError
from processor.lake.base import LakeFile
from processor.lake.selection import EVERY_FILE, Selection
from processor.reducing.process_pool import open_local_reducer
from processor.reducing.reducer import OpenReducer
from state.files import KnownFile


class PruneError(EventLakeError):
    """Pruning was refused; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run does besides ingesting new and changed files, and how."""

    prunes: bool = False  # missing files are retracted
    prunes_all: bool = False  # even if more than half of the files are missing
    open_reducer: OpenReducer = open_local_reducer
    limits: BatchLimits = DEFAULT_BATCH_LIMITS  # of a batch
    selection: Selection = EVERY_FILE  # files outside it are neither ingested nor missing
    recounts: bool = False  # the unchanged files are ingested again, as if they had changed


class Changes(NamedTuple):
    """How the lake differs from the checkpoint: its files in the order of their keys, and the missing files."""

    new: list[LakeFile]
    changed: list[LakeFile]
    unchanged: list[LakeFile]
    missing: list[KnownFile]  # those that were ingested

    @property
    def to_ingest(self) -> list[LakeFile]:
        """The new and the changed files, in the order of their keys."""
        return sorted(self.new + self.changed)


def find_changes(present: Iterable[LakeFile], known: Mapping[str, KnownFile], recounts: bool = False) -> Changes:
    """Return how the files that are present in the lake differ from the checkpoint.

    present: the files of the lake. known: the checkpoint. recounts: whether unchanged files count as changed; a
    file whose last reading failed always does.
    """
    changes = Changes([], [], [], [])
    keys = set()
    for file in sorted(present):
        keys.add(file.key)
        before = known.get(file.key)
        if before is None or before.fingerprint is None:
            changes.new.append(file)
        elif recounts or before.error is not None or before.fingerprint != file.fingerprint:
            changes.changed.append(file)
        else:
            changes.unchanged.append(file)
    changes.missing.extend(known[key] for key in sorted(known.keys() - keys) if known[key].fingerprint is not None)
    return changes


def find_keys_to_prune(plan: Plan, present: Collection[str], known: Mapping[str, KnownFile]) -> list[str]:
    """Return the keys of the ingested files to retract, in order; none unless the plan prunes.

    plan: whether to prune, and which files. present: the keys of the lake's files. known: the checkpoint, by key.
    Raises PruneError if so many files are missing that LAKE_URL may be wrong, unless the plan has `prunes_all`.
    """
    if not plan.prunes:
        return []
    ingested = {key for key, file in plan.selection.of(known).items() if file.fingerprint is not None}
    missing = ingested.difference(present)
    if not present and not plan.prunes_all:
        raise PruneError("nothing was pruned: the lake's listing is empty; pass --prune-all if that is right")
    if 2 * len(missing) > len(ingested) and not plan.prunes_all:
        raise PruneError(
            f"nothing was pruned: {len(missing)} of {len(ingested)} counted files are missing, more than half; "
            "look at LAKE_URL, and pass --prune-all if that is right"
        )
    return sorted(missing)
