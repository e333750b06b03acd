"""Lake files as the program reads them, and what the database knows of them."""

from processor.lake.open_lake import open_lake
from processor.lake.text import read_text
from tests.support.database_queries import ask
from tests.support.event_files import LAKE


def read_lake_file(url: str = LAKE, key: str = "a.tsv", start: int = 0, stop: int | None = None) -> bytes:
    """Return the text of a lake file as it is listed now, or its bytes from `start` to `stop`."""
    lake = open_lake(url)
    (file,) = (file for file in lake.list_files() if file.key == key)
    return b"".join(read_text(lake, file, start, stop))


def fingerprints(database: str) -> dict[object, object]:
    """Return the fingerprints of the files that the database has ingested."""
    return dict(ask(database, "select key, fingerprint from state.lake_files where fingerprint is not null"))  # type: ignore[arg-type]


def failed(database: str) -> list[tuple[object, ...]]:
    """Return the failed files of the database."""
    return ask(database, "select key, error from state.lake_files where error is not null order by 1")
