"""The connection to the database: waited for, locked for one run, with transactions that are tried again."""

import os
import re
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar

from state.errors import advice, one_line, passes, refusal, wrong_url

if TYPE_CHECKING:
    from datetime import datetime

    from psycopg2.extensions import connection, cursor
    from tenacity import RetryCallState

ROOM = Path(__file__).parent
OLDEST_SERVER = 150000
ATTEMPTS = 5
SEARCH_PATH = "state, public, pg_temp"
# The server takes a moment to see that a run has died; one that lost its own lock waits for longer.
LOCK_PATIENCE = 2.0
LOST_LOCK_PATIENCE = 90.0
# A run that watches gives the lock back as soon as it has counted the file that it is at, of whatever size.
WATCH_PATIENCE = 600.0
WATCH = "watch, "

UNUSED = "nothing was counted into this database yet: python run.py counts the lake"

T = TypeVar("T")


class RunEnd(NamedTuple):
    """How a run ended and what it did, as the history of runs records it: columns of state.runs."""

    exit_code: int | None
    error: str | None
    numbers: Mapping[str, object]


class DatabaseError(Exception):
    """The database cannot be used now; the message is one line that says what to do."""


class DatabaseSettingError(DatabaseError):
    """`DATABASE_URL` or another setting is wrong."""


class SupersededError(DatabaseSettingError):
    """The database holds another lake, or the schema of a newer program."""


class DatabaseAwayError(DatabaseError):
    """The database does not answer, though it was waited for: the run cannot go on."""


class UnusedDatabaseError(DatabaseError):
    """Nothing was counted into this database yet, so that there is nothing to be asked."""


class BusyError(Exception):
    """Another run is at work on this database; the message says which, and since when."""


def queries() -> dict[str, str]:
    """Every statement of `queries.sql` by its name."""
    parts = re.split(r"^-- (\w+): .*\n", (ROOM / "queries.sql").read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {name: text.strip() for name, text in zip(parts[1::2], parts[2::2], strict=True)}


def migrations() -> dict[int, Path]:
    """The steps that lead to `schema.sql`, in their order: the file of each by its number.

    A change of the schema is a file `migrations/NNNN_what_it_does.sql` with the next number, and the same change in
    `schema.sql`, which is what a new database gets. A step that was released stays as it is.
    """
    return {int(path.name[:4]): path for path in sorted((ROOM / "migrations").glob("*.sql"))}


class Database:
    """A database and, as a context, the lock that lets one run at a time write to it.

    `url` is a libpq URI; empty, libpq's own PG* variables count. `wait` is how many seconds a database that does not
    answer yet is waited for. `say` gets a line for people now and then.

    The lock is held by a transaction of a connection of its own, so it goes when its holder does, behind a pooler
    too. A run that lost it is stopped by the fence: every other transaction asks for its run's row first.

    With `reads` it is a database to be asked: without the lock, in transactions that can write nothing, and with the
    schema as it is.

    With `shares` the lock is given back and taken again as the run goes on (`give_back`, `take_back`), and waited for
    as long as another run has it. Other runs are patient with one that shares.
    """

    def __init__(
        self,
        url: str,
        wait: float = 60,
        say: Callable[[str], None] = lambda _: None,
        reads: bool = False,
        shares: bool = False,
    ) -> None:
        """A database that is not connected yet; raises DatabaseSettingError where the URL is none."""
        import psycopg2

        self._wait, self.say, self._reads, self._shares, self.queries = wait, say, reads, shares, queries()
        try:
            self._parameters: dict[str, Any] = {**psycopg2.extensions.parse_dsn(url)} if url else {}
            # A password's own @ or / puts the rest of it here, and so into what libpq says of them.
            if any("@" in self._parameters.get(name, "") for name in ("host", "dbname")):
                raise psycopg2.ProgrammingError
        except (psycopg2.ProgrammingError, UnicodeError) as error:
            raise DatabaseSettingError(wrong_url(error, url)) from None
        defaults = {
            "application_name": "event-lake",
            "connect_timeout": "10",
            "keepalives_idle": "30",
            "keepalives_interval": "10",
            "keepalives_count": "3",
            "tcp_user_timeout": "60000",
        }
        self._parameters = defaults | self._parameters | {"client_encoding": "UTF8"}
        self._lock: connection | None = None
        self._work: connection | None = None
        self.connections = 0
        self._is_cancelled = False
        self._run_id: int | None = None
        self._is_given_back = False
        self._run_end = RunEnd(None, None, {})

    def __enter__(self) -> Self:
        """Take the lock and bring the schema up, or look at it; raises BusyError, DatabaseError."""
        try:
            self.retried(self._open)
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Give the lock back, by ending the transaction that holds it."""
        import psycopg2

        try:
            # A database that is away is not waited for again.
            if self._run_id is not None and self._work is not None:
                self._work.rollback()
                with self.transaction(fenced=not self._shares) as cur:  # who shares may end while another has the lock
                    exit_code, error, numbers = self._run_end
                    if numbers:
                        self.execute(cur, "go_on", run_id=self._run_id, **numbers)
                    self.execute(cur, "end_run", run_id=self._run_id, exit_code=exit_code, error=error)
                if not self._shares:  # it stages nothing, and another run may be at it
                    self._clear_staged()
        except (psycopg2.Error, DatabaseError, BusyError):
            pass  # what the run did is committed; only its end goes unrecorded
        finally:
            self._close()

    @contextmanager
    def as_it_is(self) -> Iterator[Self]:
        """The database to be asked, connected once it is, whatever it holds; `reads` must be set."""
        assert self._reads
        try:
            yield self
        finally:
            self._close()

    def look_at_server(self) -> tuple[str, bool]:
        """Its version, and whether it is reached over TLS; raises DatabaseError where it cannot be used."""
        return self.retried(self._look_at_server)

    def _look_at_server(self) -> tuple[str, bool]:
        with self.transaction(fenced=False) as cur:
            version, encoding, text = self.one(cur, "server")
            is_encrypted = bool(cur.connection.info.ssl_in_use)
        if version < OLDEST_SERVER:
            raise DatabaseSettingError(f"the server is PostgreSQL {text}: PostgreSQL 15 or later is needed")
        if encoding != "UTF8":
            raise DatabaseSettingError(f"the database's encoding is {encoding}: create one with encoding UTF8")
        return text, is_encrypted

    def _open(self) -> None:
        self._look_at_server()
        if self._reads:
            self._look_at_schema()
        else:
            self._bring_up_schema()

    def _take_lock(self) -> "connection":
        """A connection whose open transaction holds the lock."""
        lock = self._connect()
        try:
            self._lock_by(lock)
        except BaseException:
            lock.close()
            raise
        return lock

    def _lock_by(self, lock: "connection") -> None:
        """Take the lock by a transaction of a connection; raises BusyError where another run keeps it."""
        with _last_words(lock), lock.cursor() as cur:
            self.execute(cur, "settings", search_path=SEARCH_PATH)
            process = f"{WATCH if self._shares else ''}process {os.getpid()} on {socket.gethostname()}"
            (ours,) = self.one(cur, "name_holder", holder=process)
            begun = told = time.monotonic()
            while not self.one(cur, "try_lock")[0]:
                holder = self.one(cur, "holder")
                waited = time.monotonic() - begun
                if self._shares:
                    if waited > LOCK_PATIENCE and told == begun:
                        self.say(f"{_busy(holder)}; this one goes on after it")
                        told = time.monotonic()
                elif waited > _patience(holder, ours):
                    raise BusyError(f"{_busy(holder)}; wait for it to end")
                time.sleep(0.5 if told > begun else 0.05)

    def _bring_up_schema(self) -> None:
        steps = migrations()
        with self.transaction(fenced=False) as cur:
            if not self.one(cur, "has_schema")[0]:
                cur.execute((ROOM / "schema.sql").read_text(encoding="utf-8"))
                for step in steps:
                    self.execute(cur, "record_step", step=step)
                return
            present = self._step(cur)
        _refuse_newer(present, max(steps))
        for step, path in steps.items():
            if step > present:
                with self.transaction(fenced=False) as cur:
                    cur.execute(path.read_text(encoding="utf-8"))
                    self.execute(cur, "record_step", step=step)

    def try_writing(self) -> None:
        """Nothing, where the first writes of a run would pass; none of it stays. Raises DatabaseError.

        No run waits for it: it writes to no row, and makes the schema only while no other run has the lock.
        """
        with self.errors(), closing(self._connect()) as trial:
            trial.readonly = None  # as the role's default is
            with trial.cursor() as cur:
                self.execute(cur, "settings", search_path=SEARCH_PATH)
                writes, is_standby = self.one(cur, "writability")
                if not writes:
                    why = "is a standby" if is_standby else "is read only (default_transaction_read_only)"
                    raise DatabaseError(f"the database {why}: name one that can be written to")
                self.execute(cur, "wait_little")
                if self.one(cur, "has_schema")[0]:
                    if self._step(cur) == max(migrations()):
                        self.execute(cur, "write_nothing")
                elif self.one(cur, "try_lock")[0]:
                    cur.execute((ROOM / "schema.sql").read_text(encoding="utf-8"))

    def _step(self, cur: "cursor") -> int:
        """The step of its schema; raises DatabaseSettingError where somebody else made the table that records it."""
        (present,) = self.one(cur, "step")
        if not isinstance(present, int):
            raise DatabaseSettingError(
                "the table state.steps records no step of this program: if somebody else made it, rename or drop it, "
                "or name another database"
            )
        return present

    def look_at_schema(self) -> int:
        """The step of its schema, which is this program's; raises UnusedDatabaseError, DatabaseSettingError."""
        return self.retried(self._look_at_schema)

    def _look_at_schema(self) -> int:
        with self.transaction(fenced=False) as cur:
            if not self.one(cur, "has_schema")[0]:
                raise UnusedDatabaseError(UNUSED)
            present = self._step(cur)
        last = max(migrations())
        _refuse_newer(present, last)
        if present < last:
            raise DatabaseSettingError(
                f"the database is at step {present} of the schema and this program at {last}: "
                "python run.py brings it up, or ask with the older program"
            )
        return last

    def expect(self, lake_url: str, relocated: bool = False) -> None:
        """Nothing, where the database holds that lake; raises UnusedDatabaseError, DatabaseSettingError."""
        rows = self.rows("lake")
        if not rows:
            raise UnusedDatabaseError(UNUSED)
        if not relocated:
            _refuse_other(rows[0][0], lake_url)

    def give_back(self) -> None:
        """Let another run have the lock; the connections stay for `take_back`."""
        import psycopg2

        if self._lock is not None:
            try:
                self._lock.rollback()
            except psycopg2.Error:
                self._close()
        self._is_given_back = True

    def take_back(self, lake_url: str) -> bool:
        """Take the lock again and go on as the same run; whether another run had it. Raises DatabaseError."""

        was_others = False

        def attempt() -> bool:
            nonlocal was_others
            self._lock_again()
            with self.transaction(fenced=False) as cur:
                _refuse_newer(self._step(cur), max(migrations()))
                url, run_id = self.one(cur, "lake")
                _refuse_other(url, lake_url)
                if run_id != self._run_id:
                    was_others = True  # also to a later attempt, where this one's commit has an unknown outcome
                    self.execute(cur, "claim", url=lake_url, run_id=self._run_id)
                return was_others

        try:
            return self.retried(attempt)
        except BaseException:
            self.give_back()
            raise

    def _lock_again(self) -> None:
        import psycopg2

        if self._lock is None:  # the next transaction takes the lock by new connections
            self._is_given_back = False
        if not self._is_given_back:
            return
        assert self._lock is not None
        try:
            self._lock_by(self._lock)
        except psycopg2.Error:
            self._close()
            raise
        self._is_given_back = False

    def end_run(self, exit_code: int, error: str | None, numbers: Mapping[str, object]) -> None:
        """Let the history of runs record how this run ended and what it did, when the lock is given back."""
        self._run_end = RunEnd(exit_code, error, numbers)

    def go_on(self, numbers: Mapping[str, object]) -> None:
        """Record what this run did until now: columns of state.runs by their names."""

        def attempt() -> None:
            with self.transaction() as cur:
                self.execute(cur, "go_on", run_id=self._run_id, **numbers)

        self.retried(attempt)

    def claim(
        self,
        lake_url: str,
        relocated: bool = False,
        look: Callable[[], object] = lambda: None,
        command: str = "count",
    ) -> None:
        """Record this run and its lake; raises DatabaseSettingError where the database holds another lake.

        `look` looks at a lake that is not recorded yet: where it raises, nothing is.
        """

        def attempt() -> int:
            with self.transaction(fenced=False) as cur:
                row = self.one(cur, "lake")
                if row is not None and not relocated:
                    _refuse_other(row[0], lake_url)
                if row is None or row[0] != lake_url:
                    look()
                process = {"host": socket.gethostname(), "pid": os.getpid(), "command": command}
                self.execute(cur, "catch_up")
                (run_id,) = self.one(cur, "begin_run", **process)
                self.execute(cur, "claim", url=lake_url, run_id=run_id)
                return int(run_id)

        self._run_id = self.retried(attempt)
        self.retried(self._clear_staged)

    def _clear_staged(self) -> None:
        """Let go of what executors of Spark staged and no run took, be they of this run or of one that died."""
        from psycopg2.errors import LockNotAvailable

        # An executor that hangs may be at it still; what it stages harms nobody, and a later run clears it.
        with suppress(LockNotAvailable), self.transaction() as cur:
            if self.one(cur, "has_staged")[0]:
                self.execute(cur, "clear_staged")

    def reached(self) -> dict[str, Any]:
        """How this database was reached, as parameters of libpq that hold in other processes; a password among them."""
        assert self._work is not None
        info = self._work.info
        password = {"password": info.password} if info.password else {}
        return {**info.dsn_parameters, **password}

    @contextmanager
    def transaction(self, fenced: bool = True) -> Iterator["cursor"]:
        """A transaction that commits at its end; fenced, it stops a run that another one has replaced."""
        from psycopg2.extensions import TRANSACTION_STATUS_IDLE

        assert not (fenced and self._is_given_back), "a transaction that writes, without the lock"
        if self._work is None:
            self._reconnect()
        work = self._work
        assert work is not None
        assert work.info.transaction_status == TRANSACTION_STATUS_IDLE, "a transaction within another"
        try:
            with _last_words(work):
                with work.cursor() as cur:
                    self.execute(cur, "settings", search_path=SEARCH_PATH)
                    if fenced and not self._reads:
                        self.execute(cur, "fence", run_id=self._run_id)
                        if cur.fetchone() is None:
                            raise BusyError("another run took over this database; this one stops")
                    yield cur
                work.commit()
        except BaseException:
            self._abandon(work)
            raise

    def _abandon(self, work: "connection") -> None:
        import psycopg2

        try:
            work.rollback()
            if not self._reads:
                with work.cursor() as cur:
                    self.execute(cur, "discard_temporary")
                work.commit()
        except psycopg2.Error:
            self._close()  # the lock's connection too: where one broke, the other may have

    def _reconnect(self) -> None:
        if self._lock is None and not self._reads:
            self._lock = self._take_lock()
        self._work = self._connect()
        self.connections += 1

    def cancel(self) -> None:
        """Break off the statement under way; may be called from another thread."""
        import psycopg2

        work, self._is_cancelled = self._work, True
        if work is not None:
            with suppress(psycopg2.Error):  # it is broken off already
                work.cancel()

    def retried(self, attempt: Callable[[], T]) -> T:
        """What an attempt gives, made again where the database broke it off; raises DatabaseError."""
        from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

        with self.errors():
            return Retrying(
                retry=retry_if_exception(passes),
                stop=stop_after_attempt(ATTEMPTS),
                wait=wait_random_exponential(multiplier=0.2, max=10),
                reraise=True,
                before_sleep=self._say_broken_off,
            )(attempt)

    def _say_broken_off(self, state: "RetryCallState") -> None:
        if self._is_cancelled:
            time.sleep(1)  # what it was cancelled for reaches this thread in a moment
        self.say(f"the database broke off ({_short(state)}); trying again")

    @contextmanager
    def errors(self) -> Iterator[None]:
        """What the database says goes up as DatabaseError."""
        import psycopg2

        try:
            yield
        except psycopg2.Error as error:
            raise DatabaseError(f"the database refused: {one_line(error)}; {advice(error)}") from error

    def table(self, name: str, **parameters: object) -> tuple[list[str], list[Any]]:
        """What a statement gives, in a transaction of its own: the columns' names and the rows."""

        def attempt() -> tuple[list[str], list[Any]]:
            with self.transaction() as cur:
                self.execute(cur, name, **parameters)
                return [column.name for column in cur.description or ()], cur.fetchall()

        return self.retried(attempt)

    def rows(self, name: str, **parameters: object) -> list[Any]:
        """The rows that a statement gives, in a transaction of its own."""
        return self.table(name, **parameters)[1]

    def _connect(self) -> "connection":
        """A connection, waited for while the database comes up; raises DatabaseError."""
        import psycopg2
        from psycopg2.extensions import ISOLATION_LEVEL_READ_COMMITTED
        from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

        def connect() -> "connection":
            try:
                made: connection = psycopg2.connect(**self._parameters)
            except (psycopg2.Error, UnicodeDecodeError) as error:
                line, is_final, advised = refusal(error, self._parameters)
                kind = DatabaseSettingError if is_final else DatabaseAwayError
                raise kind(f"no connection to the database: {line}; {advised}") from None
            # A statement must see what was committed before it began, whatever the role's default is: the fence and
            # the look for a commit whose outcome is unknown rely on it.
            made.isolation_level = ISOLATION_LEVEL_READ_COMMITTED
            if self._reads:
                made.readonly = True
            return made

        return Retrying(
            retry=retry_if_exception_type(DatabaseAwayError),
            stop=stop_after_delay(self._wait),
            wait=wait_random_exponential(multiplier=0.2, max=3),
            reraise=True,
            before_sleep=self._say_waiting,
        )(connect)

    def _say_waiting(self, state: "RetryCallState") -> None:
        if state.attempt_number == 1:
            line = _short(state).removeprefix("no connection to the database: ").rpartition(";")[0]
            self.say(f"waiting for the database, {self._wait:.0f} s at most ({line})")

    def _close(self) -> None:
        import psycopg2

        for connection in (self._work, self._lock):
            if connection is not None:
                # Whoever comes next finds the lock free: a connection that is only closed gives it back later.
                with suppress(psycopg2.Error):
                    connection.rollback()
                connection.close()
        self._work = self._lock = None

    def execute(self, cur: "cursor", name: str, **parameters: object) -> None:
        """Execute the statement of that name."""
        cur.execute(self.queries[name], parameters)

    def one(self, cur: "cursor", name: str, **parameters: object) -> Any:
        """The first row that a statement gives; None if it gives none."""
        self.execute(cur, name, **parameters)
        return cur.fetchone()


@contextmanager
def _last_words(connection: "connection") -> Iterator[None]:
    """An error says what the server said before it closed the connection; psycopg2 tells of the closing only."""
    import psycopg2

    try:
        yield
    except psycopg2.OperationalError as error:
        said = connection.info.error_message if connection.closed and error.pgcode is None else None
        if said:
            raise psycopg2.OperationalError(said) from error
        raise


def _patience(holder: "tuple[str, datetime | None] | None", ours: str) -> float:
    """How many seconds to wait for the lock that a process holds."""
    if holder is not None and holder[0].startswith(WATCH):
        return WATCH_PATIENCE
    return LOST_LOCK_PATIENCE if holder is not None and holder[0] == ours else LOCK_PATIENCE


def _busy(holder: "tuple[str, datetime | None] | None") -> str:
    """Which process holds the lock, and since when."""
    process, since = holder or ("it has just ended", None)
    when = f" since {since:%Y-%m-%d %H:%M:%S %Z}" if since else ""
    return f"another run ({process}) is at work on this database{when}"


def _refuse_newer(present: int, last: int) -> None:
    if present > last:
        raise SupersededError(
            f"the database is at step {present} of the schema and this program at {last}: use the newer one"
        )


def _refuse_other(present: str, lake_url: str) -> None:
    if present != lake_url:
        raise SupersededError(
            f"this database holds the lake {present}, not {lake_url}: name another database, "
            "or say --relocated if it is the same lake at a new place"
        )


def _short(state: "RetryCallState") -> str:
    error = state.outcome.exception() if state.outcome else None
    return one_line(error) if error else ""
