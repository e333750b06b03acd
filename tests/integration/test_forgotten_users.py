"""Lines count for no forgotten user, whenever they are read, and no table holds the id."""

import hmac
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg2 import sql

from processor.batches import BatchLimits
from processor.lake.open_lake import open_lake
from processor.plan import Plan
from processor.rebuild import rebuild
from processor.verify import verify
from state.database import Database
from state.errors import BusyError
from state.read_only_database import ReadOnlyDatabase
from state.reads import Reads
from state.run import begin_run
from state.store import Store
from tests.support.database_queries import ask, everything, execute
from tests.support.event_files import events
from tests.support.ingest import SilentTally, ingest_folder, local_reducer
from tests.support.lake_folders import write_lake
from tests.support.oracle import without
from tests.support.tables import Model

USER = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
REJECTED = (
    f"yesterday\ts\tarticle_viewed\t{USER}\t{{}}\n"
    f"2019-02-15 12:00:00;s;article_viewed;{USER};{{}}\n"
    f'yesterday\ts\tarticle_viewed\tu1\t{{"by": "{USER}"}}\n'
    "yesterday\ts\tarticle_viewed\tu1\t{}\n"
    f"yesterday\ts\tarticle_viewed\tu2\t{'x' * 940}\t{USER}\n"  # the first 1,000 bytes end within the id
).encode()
LAKE = {
    "a.tsv": events(10, 30, "a").replace(b"\tu0\t", f"\t{USER}\t".encode()) + REJECTED,
    "b.tsv": events(0, 12, "b").replace(b"\tu0\t", f"\t{USER}\t".encode()),
}
PLANS = [
    Plan(),
    Plan(limits=BatchLimits(rows=1)),
    Plan(open_reducer=local_reducer(chunk_bytes=500)),
    Plan(limits=BatchLimits(rows=1), open_reducer=local_reducer(chunk_bytes=500)),
]


def forget(folder: Path, url: str, *user_ids: str) -> dict[str, int]:
    """Forget users; return the counts."""
    with Database(url, wait_seconds=5) as db, begin_run(db, str(folder), command="forget") as run:
        return Store(run).forget_users(user_ids)


def measure(url: str, *user_ids: str) -> dict[str, object]:
    """Return what forgetting these users would return."""
    with ReadOnlyDatabase(url) as db:
        return Reads(db).measure_users(list(user_ids))


def holds(url: str, text: str) -> bool:
    """Whether any table of the database, or any statistics of the planner, hold the text."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cur:
        cur.execute("select schemaname, tablename from pg_tables where schemaname in ('state', 'public')")
        names = [sql.Identifier(*name) for name in cur.fetchall()]
        shown = ""
        for name in (*names, sql.Identifier("pg_stats")):
            cur.execute(sql.SQL("select coalesce(string_agg(t::text, ' '), '') from {} as t").format(name))
            shown += str(cur.fetchall())
    return text in shown or text.encode().hex() in shown


@pytest.mark.parametrize("plan", PLANS)
def test_a_forgotten_user_is_gone_from_every_table_and_stays_so(database: str, tmp_path: Path, plan: Plan) -> None:
    write_lake(tmp_path, LAKE)
    ingest_folder(tmp_path, database, plan)
    model = Model()
    before = model.check(database, LAKE)
    execute(
        database,
        "insert into state.runs (host, pid, command, ended_at, error) select 'h', 1, 'forget', now(),"
        f" 'no file {USER} is known' from generate_series(1, 3)",
    )
    execute(database, "analyze")
    assert holds(database, USER)
    assert holds(database, USER[:-1])
    (rows, sessions) = (
        sum(row.user_id == USER for row in before.user_performance.values()),
        sum(row.sessions for row in before.user_performance.values() if row.user_id == USER),
    )
    counts = {"users": 2, "users_new": 2, "users_found": 1, "rows": rows, "sessions": sessions, "rejected_lines": 3}
    assert measure(database, USER, "nobody") == counts
    assert forget(tmp_path, database, USER, "nobody") == counts
    assert rows
    assert not holds(database, USER[:-10])

    model.forgotten = {USER, "nobody"}
    after = model.check(database, LAKE)
    assert after.article_performance == before.article_performance
    again = {**counts, "users_new": 0, "users_found": 0, "rows": 0, "sessions": 0, "rejected_lines": 0}
    assert measure(database, USER, "nobody") == again
    assert forget(tmp_path, database, USER, "nobody") == again

    for lake in (LAKE | {"a.tsv": LAKE["b.tsv"] + REJECTED, "c.tsv": LAKE["a.tsv"]}, LAKE | {"c.tsv": LAKE["b.tsv"]}):
        write_lake(tmp_path, lake)
        ingest_folder(tmp_path, database, plan)
        model.check(database, lake)
        assert not holds(database, USER[:-10])


@pytest.mark.parametrize("plan", PLANS)
def test_a_rebuild_and_verify_keep_a_user_forgotten(database: str, tmp_path: Path, plan: Plan) -> None:
    write_lake(tmp_path, LAKE)
    ingest_folder(tmp_path, database, plan)
    forget(tmp_path, database, USER)
    (tmp_path / "b.tsv").unlink()  # it keeps its contribution, which the rebuild copies
    lake, model = open_lake(str(tmp_path)), Model()
    model.counting, model.forgotten = dict(LAKE), {USER}
    for _ in range(2):
        with Database(database) as db, begin_run(db, lake.url) as run:
            store = Store(run)
            assert not list(verify(lake, store, plan, SilentTally()))
            rebuild(lake, store, plan, SilentTally())
        model.compare(database)
        assert not holds(database, USER[:-10])


def test_a_run_that_reads_a_forgotten_user_never_writes_the_id_to_a_logged_table(database: str, tmp_path: Path) -> None:
    """What is only in a temporary table reaches neither the WAL nor backups and replicas."""
    write_lake(tmp_path, {"first.tsv": LAKE["b.tsv"]})
    ingest_folder(tmp_path, database, Plan())
    forget(tmp_path, database, USER)
    execute(
        database,
        "create function note() returns trigger language plpgsql as "
        f"$$begin if new::text like '%{USER}%' then raise 'written'; end if; return new; end$$",
        *(
            f"create trigger note before insert on state.file_{name} for each row execute function note()"
            for name in ("user_days", "sessions", "rejected_lines")
        ),
    )
    write_lake(tmp_path, LAKE)
    for plan in PLANS:
        _, errors = ingest_folder(tmp_path, database, plan)
        assert errors == {}
        write_lake(tmp_path, {key: data + b"\n" for key, data in LAKE.items()})


def test_users_are_remembered_by_a_keyed_hash(database: str, tmp_path: Path) -> None:
    write_lake(tmp_path, LAKE)
    ingest_folder(tmp_path, database, Plan())
    ids = (USER, "é", "a\\b\rc", "'u1'; --", "%s", "\\N ")
    forget(tmp_path, database, ids[0])
    forget(tmp_path, database, *ids)
    ((inner_key, outer_key),) = ask(database, "select inner_key, outer_key from state.hash_key")
    block = bytes(byte ^ 0x36 for byte in bytes(inner_key))  # type: ignore[call-overload]
    assert bytes(byte ^ 0x5C for byte in bytes(outer_key)) == block  # type: ignore[call-overload]
    key = block[:32]
    assert block[32:] == bytes(32)
    assert len(set(key)) > 15
    hashes = {bytes(row[0]) for row in ask(database, "select user_hash from state.forgotten_users")}  # type: ignore[call-overload]
    assert hashes == {hmac.digest(key, user_id.encode(), "sha256") for user_id in ids}


PIECES = st.sampled_from(
    [b"u1", b"u-2", b"c d/e", b"303", b"1", b"\t", b"\t", b"\\", b"\\\\", b"\0", b"\xc3", b"\xff", b";", b"x" * 990]
)


@settings(max_examples=300)
@given(
    pieces=st.lists(PIECES, max_size=12),
    forgotten=st.sampled_from(["u1", "u-2", "c d/e", "\\", "\\303", "303", "u1\\"]),
)
def test_the_database_finds_the_ids_in_a_line_as_the_oracle_does(
    server_connection: psycopg2.extensions.cursor, pieces: list[bytes], forgotten: str
) -> None:
    raw = b"".join(pieces)[:1000]
    server_connection.execute(
        "select case when %s in (select state.find_ids(whole)) then '' else whole end"
        " from state.drop_cut_field(%s) as whole",
        (forgotten.encode(), raw),
    )
    ((kept,),) = server_connection.fetchall()
    assert bytes(kept) == without({forgotten}, raw)


@pytest.fixture
def server_connection(database: str) -> Iterator[psycopg2.extensions.cursor]:
    """A cursor of a database with the schema."""
    with Database(database):
        pass  # this makes the schema
    with closing(psycopg2.connect(database)) as connection, connection.cursor() as cur:
        yield cur


def test_the_statements_that_forget_a_user_do_not_hold_the_id(database: str, tmp_path: Path) -> None:
    """The server may log them, and shows them to its administrators."""
    write_lake(tmp_path, LAKE)
    ingest_folder(tmp_path, database, Plan())

    class Overheard(Database):
        def execute(self, cur: psycopg2.extensions.cursor, name: str, **parameters: object) -> None:
            super().execute(cur, name, **parameters)
            assert USER.encode() not in (cur.query or b"")

    with Overheard(database) as db, begin_run(db, str(tmp_path), command="forget") as run:
        assert Store(run).forget_users([USER])["rows"]


def test_a_run_that_lost_its_lock_forgets_nobody(database: str, tmp_path: Path) -> None:
    write_lake(tmp_path, LAKE)
    ingest_folder(tmp_path, database, Plan())
    with Database(database) as db, begin_run(db, str(tmp_path), command="forget") as run:
        execute(database, "update state.lake set run_id = run_id + 1")
        before = everything(database)
        with pytest.raises(BusyError):
            Store(run).forget_users([USER])
        assert everything(database) == before
