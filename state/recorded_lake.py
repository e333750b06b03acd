"""Which lake a database holds."""

from state.errors import SupersededError


def refuse_other_lake(present: str, lake_url: str) -> None:
    """Raise SupersededError if the recorded lake is another one."""
    if present != lake_url:
        raise SupersededError(
            f"this database holds the lake {present}, not {lake_url}: name another database, "
            "or pass --relocated if it is the same lake at a new place"
        )
