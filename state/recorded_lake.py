"""Which lake a database holds, and the definition under which its lines were counted."""

from collections.abc import Mapping

from state.errors import SupersededError

NO_OVERRIDES: Mapping[str, object] = {}


def refuse_other_lake(present: str, lake_url: str) -> None:
    """Raise SupersededError if the recorded lake is another one."""
    if present != lake_url:
        raise SupersededError(
            f"this database holds the lake {present}, not {lake_url}: name another database, "
            "or pass --relocated if it is the same lake at a new place"
        )


def describe_other_definition(present: Mapping[str, object], definition: Mapping[str, object]) -> str | None:
    """Return what to do if the recorded definition is another one, or None.

    present, definition: what each overrides of the assignment's definition, by section and key.
    """
    differing = sorted(key for key in present.keys() | definition.keys() if present.get(key) != definition.get(key))
    if not differing:
        return None
    return (
        f"the files in this database were counted with another lake.toml, which differs in {', '.join(differing)}: "
        "pass --rebuild to count the whole lake again with the present lake.toml, or put the former one back"
    )


def refuse_other_definition(present: Mapping[str, object], definition: Mapping[str, object]) -> None:
    """Raise SupersededError if the recorded definition is another one; parameters as above."""
    line = describe_other_definition(present, definition)
    if line is not None:
        raise SupersededError(line)
