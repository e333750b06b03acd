"""The settings of a role or of the database change no result, as the program sets what it relies on."""

import time
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest
from psycopg2.extensions import cursor, parse_dsn

from processor.batches import BatchLimits
from processor.plan import Plan
from state.connection import SEARCH_PATH
from state.database import Database
from state.read_only_database import ReadOnlyDatabase
from state.run import begin_run
from tests.support.database_queries import ask, held
from tests.support.event_files import CLICK, HEADER, events
from tests.support.ingest import PLAN, ingest_folder
from tests.support.lake_folders import contents, write_lake
from tests.support.pgbouncer import free_port
from tests.support.postgres import as_role, configure, new_database
from tests.support.program_runs import run
from tests.support.servers import oldest_server
from tests.support.tables import Model

BAD = CLICK.replace(b"\tu1\t", b"\tbad\t")
ONE = BatchLimits(rows=1)  # each file is a batch of its own
LAKE = {"a.tsv": HEADER + BAD * 3, "b.tsv": events(5, 20, "b"), "c.tsv": events(10, 30, "c")}


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """A folder of three files; only the first one has events of the user `bad`."""
    write_lake(tmp_path / "lake", LAKE)
    return tmp_path / "lake"


def test_a_statement_timeout_of_the_role_is_reported_and_the_other_files_are_counted(database: str, lake: Path) -> None:
    model = Model()
    ingest_folder(lake, database, PLAN)
    model.check(database, LAKE)
    write_lake(lake, {"a.tsv": HEADER + BAD * 5, "c.tsv": LAKE["c.tsv"] + CLICK})
    configure(database, "statement_timeout = '1s'")
    with held(database, "update user_performance set clicks = clicks where user_id = 'bad'"):
        done = run(lake=lake, database=database)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("not counted a.tsv: the database refused: canceling statement due to statement timeout")
    assert last.endswith("; raise statement_timeout for this role, then run again")
    model.check(database, contents(lake) | {"a.tsv": b""})
    configure(database, "statement_timeout = 0")
    assert run(lake=lake, database=database).returncode == 0
    model.check(database, contents(lake))


@pytest.mark.parametrize(
    "settings",
    [
        ["default_transaction_isolation = serializable"],
        ["default_transaction_isolation = 'repeatable read'", "default_transaction_deferrable = on"],
        [
            "datestyle = 'SQL, DMY'",
            "timezone = 'Pacific/Kiritimati'",
            "intervalstyle = 'sql_standard'",
            "bytea_output = escape",
            "standard_conforming_strings = off",
            "extra_float_digits = -15",
            "client_encoding = LATIN1",
            "search_path = pg_catalog",
            "client_min_messages = debug1",
        ],
    ],
    ids=["serializable", "repeatable read", "odd"],
)
def test_settings_of_the_role_change_no_result(database: str, lake: Path, settings: list[str]) -> None:
    for setting in settings:
        configure(database, setting)
    write_lake(lake, {"d.tsv": HEADER + CLICK.replace(b'"T"', '"Übergröße \\\\ \\" ✓"'.encode()) + b"bad\\ \xff\n"})
    for number in range(2):
        write_lake(lake, {"c.tsv": events(number, 20 + number, "c")})
        tally, errors = ingest_folder(lake, database, Plan())
        assert (tally.files_counted, errors) == (4 if number == 0 else 1, {})
        Model().check(as_role("postgres", database), contents(lake))
    assert run("verify", lake=lake, database=database).returncode == 0


# For each setting, what the role has set, and what applies in the program's transactions.
RELIED_ON = {
    "client_min_messages": ("debug1", "warning"),
    "datestyle": ("'SQL, DMY'", "ISO, DMY"),
    "default_transaction_isolation": ("serializable", "serializable"),
    "enable_bitmapscan": ("off", "on"),
    "enable_indexonlyscan": ("off", "on"),
    "enable_indexscan": ("off", "on"),
    "enable_nestloop": ("off", "on"),
    "extra_float_digits": ("-15", "1"),
    "idle_in_transaction_session_timeout": ("'1min'", "0"),
    "jit": ("on", "off"),
    "row_security": ("on", "off"),
    "search_path": ("pg_catalog", "state, public, pg_temp"),
    "client_connection_check_interval": ("0", "1s"),
    "transaction_timeout": ("'1min'", "0"),
}


def shown(cur: cursor, name: str) -> object:
    cur.execute(f"show {name}")
    (row,) = cur.fetchall()
    return row[0]


def test_the_settings_of_the_program_hold_in_every_transaction_and_only_there(database: str) -> None:
    """This includes transactions that only read, and the one that holds the lock."""
    for name, (asked, _) in RELIED_ON.items():
        configure(database, f"{name} = {asked}")
    wanted = {name: held for name, (_, held) in RELIED_ON.items()}
    with Database(database) as db, ReadOnlyDatabase(database) as reader:
        for one in (db, reader):
            with one.transaction() as cur:
                assert {name: shown(cur, name) for name in wanted} == wanted
                assert shown(cur, "transaction_isolation") == "read committed"
                assert shown(cur, "transaction_read_only") == ("on" if one is reader else "off")
            assert one._connection is not None
            with one._connection.cursor() as cur:  # a pooler hands on the connection as others left it
                assert shown(cur, "jit") == "on"
                cur.execute("set datestyle = 'SQL, DMY'")  # psycopg2 sets it only when it connects
            one._connection.commit()
            with one.transaction() as cur:
                cur.execute("select date '2019-02-15'")
                assert cur.fetchone() == (date(2019, 2, 15),)
        assert db.lock._holder is not None
        with db.lock._holder.cursor() as cur:
            assert {name: shown(cur, name) for name in wanted} == wanted


def test_nothing_that_a_transaction_sets_outlasts_it(database: str) -> None:
    """A pooler may hand the connection on to others."""
    with Database(database) as db, ReadOnlyDatabase(database) as reader:
        for one in (db, reader):
            with one.transaction():
                pass
        assert db.lock._holder is not None
        db.lock._holder.commit()
        for connection in (db._connection, reader._connection, db.lock._holder):
            assert connection is not None
            with connection.cursor() as cur:
                cur.execute("select name from pg_settings where source = 'session' and name not like 'transaction_%'")
                assert cur.fetchall() == []


def test_a_dead_client_is_noticed_soon_over_a_network(lake: Path) -> None:
    """The server notices it whatever the role has set, and the program unless DATABASE_URL has other parameters."""
    port = str(free_port())
    with oldest_server(listen_addresses="127.0.0.1", port=port) as server, new_database(server) as database:
        url = f"postgresql://etl@127.0.0.1:{port}/{parse_dsn(database)['dbname']}"
        for name in ("tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count"):
            configure(database, f"{name} = 77")
        with Database(url) as db, db.transaction() as cur:
            assert [shown(cur, f"tcp_keepalives_{name}") for name in ("idle", "interval", "count")] == ["30", "10", "3"]
            assert db.lock._holder is not None
            with db.lock._holder.cursor() as locked:
                assert shown(locked, "tcp_keepalives_idle") == "30"
            assert db._connection is not None
            found = db._connection.info.dsn_parameters
        wanted = {
            "application_name": "event-lake", "client_encoding": "UTF8", "connect_timeout": "10",
            "keepalives_count": "3", "keepalives_idle": "30", "keepalives_interval": "10", "tcp_user_timeout": "60000",
        }  # fmt: skip
        assert found.items() >= wanted.items()
        others = {name: "7" for name in wanted if name != "client_encoding"}
        words = "&".join(f"{name}={value}" for name, value in others.items())
        with Database(f"{url}?{words}&client_encoding=LATIN1") as db, db.transaction():
            assert db._connection is not None
            assert db._connection.info.dsn_parameters.items() >= (others | {"client_encoding": "UTF8"}).items()
        assert run(lake=lake, database=url).returncode == 0
        Model().check(database, LAKE)


def test_rows_hidden_by_a_policy_are_reported_and_no_sum_is_wrong(database: str, lake: Path) -> None:
    ingest_folder(lake, database, PLAN)
    ask(
        database,
        "alter table state.file_sessions enable row level security;"
        "alter table state.file_sessions force row level security; select 1",
    )
    write_lake(lake, {"d.tsv": events(7, 30, "c")})
    done = run(lake=lake, database=database)
    assert done.returncode == 1
    assert "row-level security" in done.stderr
    ask(database, "alter table state.file_sessions no force row level security; select 1")
    assert run(lake=lake, database=database).returncode == 0
    Model().check(database, contents(lake))


@pytest.mark.parametrize("setting", ["transaction_timeout", "idle_in_transaction_session_timeout"])
def test_a_transaction_timeout_has_no_effect(database: str, lake: Path, setting: str) -> None:
    """The transaction that holds the lock stays open as long as the run."""
    configure(database, f"{setting} = '300ms'")
    with Database(database) as db, begin_run(db, str(lake)) as this_run:
        with this_run.transaction() as cur:
            cur.execute("select pg_sleep(0.4)")
            time.sleep(0.4)
        assert db.connections == 1
        assert db.lock._holder is not None
        with db.lock._holder.cursor() as cur:
            assert shown(cur, "application_name") != ""


@pytest.mark.parametrize(("setting", "found"), [("off", "on"), ("local", "local"), ("remote_apply", "remote_apply")])
def test_a_commit_is_on_the_servers_disk_whatever_the_role_has_set(database: str, setting: str, found: str) -> None:
    configure(database, f"synchronous_commit = {setting}")
    with Database(database) as db, db.transaction() as cur:
        cur.execute("show synchronous_commit")
        assert cur.fetchone() == (found,)


def test_a_connection_that_is_not_open_yet_opens_to_say_where_the_database_is(database: str) -> None:
    with closing(ReadOnlyDatabase(database)) as db:
        assert db.place().database == parse_dsn(database)["dbname"]
        db.close()
        assert db.process_parameters()["dbname"] == parse_dsn(database)["dbname"]
        assert db.connections == 2


@pytest.mark.parametrize("asks", [False, True])
def test_every_transaction_has_the_right_mode_whatever_the_role_has_set(database: str, asks: bool) -> None:
    """A lock may be held for long, and a statement sees what was committed before it began."""
    with Database(database) as db, begin_run(db, "/lake"):
        pass
    for setting in (
        "default_transaction_isolation = serializable",
        "idle_in_transaction_session_timeout = '7min'",
        "transaction_timeout = '7min'",
        "tcp_keepalives_idle = 7200",
        "client_min_messages = debug1",
        "search_path = pg_catalog",
    ):
        configure(database, setting)
    wanted = {
        "transaction_isolation": "read committed",
        "transaction_read_only": "on" if asks else "off",
        "idle_in_transaction_session_timeout": "0",
        "transaction_timeout": "0",
        "client_connection_check_interval": "1s",
        "client_min_messages": "warning",
        "search_path": SEARCH_PATH,
    }
    opened: Database | ReadOnlyDatabase = ReadOnlyDatabase(database) if asks else Database(database)
    with opened, opened.transaction() as cur:
        holder = opened.lock._holder if isinstance(opened, Database) else None
        for connection in (cur.connection, holder):
            if connection is not None:
                with connection.cursor() as found:
                    found.execute("select name, current_setting(name) from unnest(%s::text[]) as name", [[*wanted]])
                    assert dict(found.fetchall()) == wanted
        assert (holder is None) == asks
