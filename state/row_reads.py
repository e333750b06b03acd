"""Reads whose rows are dictionaries, as the classes of reads make them."""

from typing import Any

from state.transactions import Transactions

Row = dict[str, Any]


class RowReads:
    """Reads from a database, each in a transaction of its own; rows are dictionaries by the names of their columns."""

    def __init__(self, database: Transactions) -> None:
        self._db = database

    def _rows(self, name: str, **parameters: object) -> list[Row]:
        return [row._asdict() for row in self._db.fetch_rows(name, **parameters)]
