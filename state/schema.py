"""The schema of the database: made, brought up by migrations, and checked."""

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from state.connection import SEARCH_PATH, Connection
from state.errors import DatabaseError, DatabaseSettingError, SupersededError, UnusedDatabaseError

if TYPE_CHECKING:
    from psycopg2.extensions import cursor

FOLDER = Path(__file__).parent
UNUSED = "nothing was counted into this database yet: python run.py counts the lake"


def list_migrations() -> dict[int, Path]:
    """Return the files of the migrations, which lead to `schema.sql`, by their steps and in their order.

    A change of the schema is a file `migrations/NNNN_what_it_does.sql` with the next number, and the same change in
    `schema.sql`, which new databases get. A released migration never changes.
    """
    return {int(path.name[:4]): path for path in sorted((FOLDER / "migrations").glob("*.sql"))}


class Schema:
    """The schema of a connection's database."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def bring_up(self) -> None:
        """Make the schema, or apply the migrations that it lacks, each in a transaction; raises SupersededError."""
        self._connection.retry(self._bring_up)

    def _bring_up(self) -> None:
        db, migrations = self._connection, list_migrations()
        with db.transaction() as cur:
            if not db.fetch_one(cur, "has_schema").has_schema:
                cur.execute((FOLDER / "schema.sql").read_text(encoding="utf-8"))
                for step in migrations:
                    db.execute(cur, "record_step", step=step)
                return
            present = self.refuse_newer(cur)
        for step, path in migrations.items():
            if step > present:
                with db.transaction() as cur:
                    cur.execute(path.read_text(encoding="utf-8"))
                    db.execute(cur, "record_step", step=step)

    def check(self) -> int:
        """Return the schema's step, which is the program's last; raises UnusedDatabaseError, DatabaseSettingError."""
        return self._connection.retry(self._check)

    def _check(self) -> int:
        with self._connection.transaction() as cur:
            if not self._connection.fetch_one(cur, "has_schema").has_schema:
                raise UnusedDatabaseError(UNUSED)
            present = self.refuse_newer(cur)
        last = max(list_migrations())
        if present < last:
            raise DatabaseSettingError(
                f"the database is at step {present} of the schema and this program at {last}: "
                "python run.py brings it up to date, or use the older program"
            )
        return last

    def refuse_newer(self, cur: "cursor") -> int:
        """Return the schema's step; raises SupersededError if this program does not know it yet."""
        present, last = self._step(cur), max(list_migrations())
        if present > last:
            raise SupersededError(
                f"the database is at step {present} of the schema and this program at {last}: use the newer one"
            )
        return present

    def try_writing(self) -> None:
        """Execute the first writes of a run and roll them back; raises DatabaseError if one fails.

        No run has to wait for it: it writes no row, and makes the schema only while no run holds the lock.
        """
        db = self._connection
        with db.translate_errors(), closing(db.open()) as trial:
            trial.readonly = None  # the role's default
            with trial.cursor() as cur:
                db.execute(cur, "apply_settings", search_path=SEARCH_PATH)
                can = db.fetch_one(cur, "read_writability")
                if not can.writes:
                    why = "is a standby" if can.is_standby else "is read only (default_transaction_read_only)"
                    raise DatabaseError(f"the database {why}: name one that can be written to")
                db.execute(cur, "limit_lock_waits")
                if db.fetch_one(cur, "has_schema").has_schema:
                    if self._step(cur) == max(list_migrations()):
                        db.execute(cur, "try_writes")
                elif db.fetch_one(cur, "try_lock").locked:
                    cur.execute((FOLDER / "schema.sql").read_text(encoding="utf-8"))

    def _step(self, cur: "cursor") -> int:
        """Return the last step; raises DatabaseSettingError if somebody else made the table that records steps."""
        present = self._connection.fetch_one(cur, "read_step").step
        if not isinstance(present, int):
            raise DatabaseSettingError(
                "the table state.steps records no step of this program: if somebody else made it, rename or drop it, "
                "or name another database"
            )
        return present
