"""Rows of a file on their way into the tables: the port, and the rows that are held in memory."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from psycopg2.extensions import cursor

    from state.transactions import Transactions

BLOCK_BYTES = 65536


class LostRowsError(Exception):
    """Rows of a file were lost before they were written, so the file must be reduced again; the message says how."""


class Rows(Protocol):
    """Rows of one partial of a file, wherever they are held."""

    @property
    def tables(self) -> Mapping[str, bytes] | None:
        """The rows in COPY's text format by their table, or None if they are not in memory."""

    @property
    def count(self) -> int:
        """The number of rows."""

    @property
    def size(self) -> int:
        """The bytes of memory that they take in this process."""

    def write(self, database: "Transactions", cur: "cursor", file_id: int) -> None:
        """Write the rows into the temporary tables new_*; raises LostRowsError.

        database: its statements are used. cur: a cursor of the transaction. file_id: that of their file, which each row
        gets.
        """


@dataclass(frozen=True, slots=True)
class RowsInMemory:
    """Rows in COPY's text format by their table, without the id of their file."""

    tables: Mapping[str, bytes]

    @property
    def count(self) -> int:
        """The number of rows."""
        return sum(rows.count(b"\n") for rows in self.tables.values())

    @property
    def size(self) -> int:
        """The bytes of memory that they take."""
        return sum(map(len, self.tables.values()))

    def write(self, database: "Transactions", cur: "cursor", file_id: int) -> None:
        """Copy the rows into the temporary tables new_*. The parameters are those of `Rows.write`."""
        for table, rows in self.tables.items():
            copy(database, cur, f"copy_new_{table}", [(rows, file_id)])


def copy(database: "Transactions", cur: "cursor", name: str, rows: Iterable[tuple[bytes, int]]) -> None:
    """Execute a COPY with the rows of files.

    database: its statements are used. cur: a cursor of the transaction. name: that of a statement.
    rows: rows in COPY's text format, each block with the id of its file.
    """
    stream: Any = RowsWithFileId(rows)  # psycopg2 calls nothing but `read`
    cur.copy_expert(database.statements[name], stream)


class RowsWithFileId:
    """A stream for COPY: rows in its text format, each after the id of its file, made as they are read."""

    def __init__(self, rows: Iterable[tuple[bytes, int]]) -> None:
        """Take the rows of files, each block with the id of its file."""
        self._blocks = (block for lines, file_id in rows for block in add_file_id(lines, file_id))

    def read(self, _size: int, /) -> bytes:
        """Return the next rows, of any size; nothing at the end."""
        return next(self._blocks, b"")


def add_file_id(rows: bytes, file_id: int, size: int = BLOCK_BYTES) -> Iterator[bytes]:
    r"""Yield rows in COPY's text format with the id of their file before each.

    A line feed within a row is escaped in that format, so every line feed ends a row.

    rows: without the id. file_id: the file's. size: the approximate size of a block in bytes.

    >>> list(add_file_id(b"a\tb\nc\td\ne\tf\n", 7, 5))
    [b'7\ta\tb\n7\tc\td\n', b'7\te\tf\n']
    """
    before, begin = b"%d\t" % file_id, 0
    while begin < len(rows):
        end = rows.find(b"\n", min(begin + size, len(rows)) - 1) + 1
        yield before + rows[begin : end - 1].replace(b"\n", b"\n" + before) + b"\n"
        begin = end
