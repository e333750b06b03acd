"""Options and settings: which of them can be combined, and how wrong ones are reported."""

import os
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest

from processor import cli
from processor.batches import DEFAULT_BATCH_LIMITS, BatchLimits
from processor.checks import CheckLimits
from processor.command_line import read_settings
from processor.command_line.command_options import DATABASE, LAKE, Options
from processor.command_line.command_registry import COMMANDS
from processor.lake.selection import Selection
from processor.output.console import Console
from processor.output.json_log import JsonLog
from processor.output.lineage_facts import LineageTarget
from processor.output.metrics_export import Address, Gateway, TextFile
from processor.output.open_console import open_console
from processor.reducers.definition import Definition
from tests.support.command_lines import ENOUGH, LIBPQ, set_only_a_database
from tests.support.hostile_text import ODD
from tests.support.secret import SECRET

COUNTING = {
    "count": [],
    "rebuild": ["--rebuild"],
    "recount": ["--recount", "--since", "a"],
    "dry-run": ["--dry-run"],
}
REDUCING = {"count", "rebuild", "recount", "verify"}
Refused = Callable[..., str]


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a database is set."""
    set_only_a_database(monkeypatch)


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    """A function that returns the line with which a command line is refused."""

    def line(*words: str) -> str:
        with pytest.raises(SystemExit) as ended:
            cli.parse_settings([*words])
        printed = capsys.readouterr()
        assert (ended.value.code, printed.out) == (2, "")
        (only,) = printed.err.splitlines()
        assert only.isprintable()
        return only

    return line


def test_every_option_fills_a_field_and_every_field_has_an_option() -> None:
    options = [option for command in COMMANDS.values() for option in (LAKE, DATABASE, *command.options)]
    assert {option.dest for option in options} == {field.name for field in fields(Options)} - {"command"}


def test_without_arguments_the_lake_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_URL", "s3://b/l/")
    options = cli.parse_settings([])
    assert (options.lake_url, options.database_url, options.command.name) == ("s3://b/l/", "postgresql://h/d", "count")
    names = ("rebuilds", "recounts", "prunes", "prunes_all", "is_relocated", "prints_json", "prints_tsv", "is_embedded")
    assert {name: getattr(options, name) for name in names} == dict.fromkeys(names, False)
    assert (options.engine, options.metrics, options.wait_seconds, options.errors) == ("", None, 60.0, ())
    assert options.selection == Selection()


def test_an_option_overrides_its_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LAKE_URL", "DATABASE_URL", "ENGINE", "METRICS", "QUEUE_URL", "WATCH_INTERVAL"):
        monkeypatch.setenv(name, "9")
    options = cli.parse_settings(["--lake", "l", "--database", "d", "--engine", "e", "--metrics", "m.prom"])
    assert (options.lake_url, options.database_url, options.engine) == ("l", "d", "e")
    assert options.metrics == TextFile(Path("m.prom"))
    options = cli.parse_settings(["watch", "--queue", "q", "--interval", "7"])
    assert (options.queue_url, options.interval_seconds) == ("q", 7)
    options = cli.parse_settings(["watch"])
    assert (options.queue_url, options.interval_seconds, options.lake_url) == ("9", 9, "9")
    monkeypatch.setenv("WATCH_INTERVAL", "")
    monkeypatch.delenv("QUEUE_URL")
    options = cli.parse_settings(["watch"])
    assert (options.queue_url, options.interval_seconds) == ("", 60)


@pytest.mark.parametrize(("command", "words"), COUNTING.items())
def test_a_lake_is_counted_in_three_ways(command: str, words: list[str]) -> None:
    options = cli.parse_settings(words)
    assert (options.command.name, options.rebuilds) == (command, command == "rebuild")
    for option, prunes_all in (("--prune", False), ("--prune-all", True)):
        options = cli.parse_settings([*words, option])
        assert (options.prunes, options.prunes_all) == (True, prunes_all)


def test_a_dry_run_of_a_rebuild_is_a_dry_run() -> None:
    options = cli.parse_settings(["--dry-run", "--rebuild"])
    assert (options.command.name, options.rebuilds) == ("dry-run", True)


def test_a_rebuild_of_some_files_is_refused(refused: Refused) -> None:
    for end in (["--since", "a"], ["--until", "a"], ["--since", "a", "--until", "b"]):
        assert "--rebuild counts the whole lake" in refused("--rebuild", *end)


def test_only_a_range_of_files_is_recounted(refused: Refused) -> None:
    for words in ([], ["--dry-run"], ["--prune"], ["--since", ""]):
        assert "pass --since or --until, or --rebuild to count the whole lake" in refused("--recount", *words)
    for end in ("--since", "--until"):
        options = cli.parse_settings(["--recount", end, "2019-02-15"])
        assert (options.command.name, options.recounts) == ("recount", True)
        options = cli.parse_settings(["--dry-run", "--recount", end, "2019-02-15"])
        assert (options.command.name, options.recounts) == ("dry-run", True)
        assert "--rebuild counts the whole lake" in refused("--rebuild", "--recount", end, "2019-02-15")


@pytest.mark.parametrize("command", ENOUGH)
@pytest.mark.parametrize(
    ("option", "goes_with"),
    [
        (["--dry-run"], set()),
        (["--rebuild"], set()),
        (["--recount"], set()),
        (["--prune"], set()),
        (["--prune-all"], set()),
        (["--workers", "2"], {"watch", "verify"}),
        (["--engine", "local[1]"], {"verify"}),
        (["--since", "a"], {"watch", "verify"}),
        (["--until", "a"], {"watch", "verify"}),
        (["--metrics", "9109"], {"watch"}),
        (["--metrics", ""], {"watch"}),
        (["--json"], {"check", "status", "explain", "doctor", "verify", "forget"}),
        (["--relocated"], {"watch", "verify", "forget"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_an_option_is_refused_by_commands_that_do_not_take_it(
    command: str, option: list[str], goes_with: set[str], refused: Refused
) -> None:
    words = [*option, *ENOUGH[command]]
    if command in goes_with:
        assert cli.parse_settings(words).command.name == command
    elif command == "doctor" and option[0] == "--metrics":
        options = cli.parse_settings(words)
        if option[1]:
            (line,) = options.errors
            assert "doctor does not take --metrics; run.py without a command and watch do" in line
        assert options.metrics is None
    else:
        line = refused(*words)
        assert line.startswith(command)
        assert f" does not take {option[0]}; " in line


@pytest.mark.parametrize("command", ENOUGH)
def test_options_may_precede_or_follow_the_command(command: str) -> None:
    for words in ([*ENOUGH[command], "--lake", "l"], ["--lake", "l", *ENOUGH[command]]):
        options = cli.parse_settings(words)
        assert (options.lake_url, options.command.name, options.prints_json) == ("l", command, False)
    if command not in ("watch", "rejected"):
        for words in ([*ENOUGH[command], "--json"], ["--json", *ENOUGH[command]]):
            assert cli.parse_settings(words).prints_json
    if command in ("watch", "verify", "forget"):
        for words in ([*ENOUGH[command], "--relocated"], ["--relocated", *ENOUGH[command]]):
            assert cli.parse_settings(words).is_relocated


def test_workers_and_engine_exclude_each_other(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "pass one of them" in refused("--workers", "2", "--engine", "local[1]")
    assert "pass one of them" in refused("--workers", "2", "--engine", "local[1]", "verify")
    monkeypatch.setenv("ENGINE", "yarn")
    for command, words in (ENOUGH | COUNTING).items():
        options = cli.parse_settings(words)
        assert (options.engine, options.workers) == ("yarn" if command in REDUCING else "", read_settings.count_cores())
    options = cli.parse_settings(["--workers", "3"])
    assert (options.engine, options.workers) == ("", 3)
    assert cli.parse_settings(["--engine", "local[1]"]).engine == "local[1]"
    assert cli.parse_settings(["verify", "--engine", "local[1]"]).engine == "local[1]"


@pytest.mark.parametrize("word", ["0", "-1", "1.5", "", " 2", "two", "1_0", ODD])
@pytest.mark.parametrize("option", ["--workers", "--interval"])
def test_a_number_of_processes_or_seconds_is_above_0(option: str, word: str, refused: Refused) -> None:
    words = ["watch", f"{option}={word}"]
    assert "must be a whole number above 0" in refused(*words)


def test_one_worker_is_allowed() -> None:
    assert cli.parse_settings(["--workers", "1"]).workers == 1


def test_a_process_uses_the_cores_that_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3, 5}, raising=False)
    assert read_settings.count_cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert read_settings.count_cores() == 7
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert read_settings.count_cores() == 1


@pytest.mark.parametrize(
    ("word", "is_right"),
    [
        ("2019-02-15", True),
        ("2020-02-29", True),
        ("2019-02-29", False),
        ("2019-13-01", False),
        ("0000-01-01", False),
        ("2019-02-30x", True),  # longer than a date, so a key
        ("2019-02/30", True),
        ("2019/02-30", True),
        ("abcd-ef-gh", True),
    ],
)
@pytest.mark.parametrize("end", ["--since", "--until"])
def test_a_date_that_does_not_exist_is_refused_but_a_key_is_not(
    end: str, word: str, is_right: bool, refused: Refused
) -> None:
    if is_right:
        options = cli.parse_settings([end, word])
        assert options.selection == (Selection(word) if end == "--since" else Selection(None, word))
    else:
        assert f"{word!r} is a date that does not exist" in refused(end, word)


def test_explain_takes_an_article_or_a_user_and_a_day(refused: Refused) -> None:
    def explained(*words: str) -> tuple[object, ...]:
        options = cli.parse_settings(["explain", *words])
        return options.article, options.user, options.day and options.day.isoformat()

    assert explained("a1") == ("a1", None, None)
    assert explained("a1", "2019-02-15") == ("a1", None, "2019-02-15")
    assert explained("--user", "u1") == (None, "u1", None)
    assert explained("--user", "", "2019-02-15") == (None, "", "2019-02-15")
    assert explained("") == ("", None, None)
    assert "takes an ARTICLE or --user USER" in refused("explain")
    assert "takes an ARTICLE or --user USER" in refused("explain", "a1", "2019-02-15", "--user", "u1")
    for words in (["a1", "yesterday"], ["--user", "u1", "yesterday"], ["a1", "2019-02-30"]):
        assert "the DAY to explain must be a date" in refused("explain", *words)


def test_rejected_takes_a_file_or_none() -> None:
    options = cli.parse_settings(["rejected"])
    assert (options.key, options.prints_tsv) == (None, False)
    options = cli.parse_settings(["rejected", "a.tsv", "--tsv"])
    assert (options.key, options.prints_tsv) == ("a.tsv", True)


@pytest.mark.parametrize(
    ("setting", "wait"),
    [("", 60.0), ("0", 0.0), ("0.5", 0.5), ("86400", 86400.0)]
    + [(word, None) for word in ("-0.1", "-1", "inf", "-inf", "nan", "soon", "5s", ODD)],
)
def test_database_wait_is_a_number_of_seconds(
    setting: str, wait: float | None, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_WAIT", setting)
    if wait is None:
        assert "DATABASE_WAIT must be a number of seconds" in refused()
        assert "DATABASE_WAIT must be a number of seconds" in cli.parse_settings(["doctor"]).errors[0]
    else:
        assert cli.parse_settings([]).wait_seconds == wait
        assert cli.parse_settings(["doctor"]).errors == ()


def test_only_the_reader_can_pay_for_requests(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    for payer, pays in (("", False), ("requester", True)):
        monkeypatch.setenv("AWS_REQUEST_PAYER", payer)
        assert cli.parse_settings([]).lake_settings.pays_for_requests is pays
    monkeypatch.setenv("AWS_REQUEST_PAYER", "me")
    for words in ([], ["--rebuild"], *(ENOUGH[name] for name in ENOUGH.keys() - {"doctor"})):
        assert refused(*words).startswith("AWS_REQUEST_PAYER can only be requester; set it to that, or unset it")
    monkeypatch.setenv("MAX_TEXT_GIB", "0")
    monkeypatch.setenv("LAKE_AHEAD", "x")
    wrong = cli.parse_settings(["doctor"]).errors
    assert [line.split()[0] for line in wrong] == ["MAX_TEXT_GIB", "LAKE_AHEAD", "AWS_REQUEST_PAYER"]


@pytest.mark.parametrize(
    ("name", "good", "limits", "wrong", "message"),
    [
        ("BATCH_ROWS", "7", DEFAULT_BATCH_LIMITS._replace(rows=7), "0", "BATCH_ROWS must be a whole number above 0"),
        (
            "BATCH_MIB",
            "7",
            DEFAULT_BATCH_LIMITS._replace(text_bytes=7 * 1024 * 1024),
            "0",
            "BATCH_MIB must be a whole number above 0",
        ),
        (
            "BATCH_SECONDS",
            "0.25",
            DEFAULT_BATCH_LIMITS._replace(seconds=0.25),
            "-1",
            "BATCH_SECONDS must be a number of seconds",
        ),
    ],
)
def test_the_limits_of_a_batch_are_settings(
    name: str,
    good: str,
    limits: BatchLimits,
    wrong: str,
    message: str,
    refused: Refused,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert cli.parse_settings([]).batch_limits == DEFAULT_BATCH_LIMITS
    monkeypatch.setenv(name, good)
    assert cli.parse_settings([]).batch_limits == limits
    monkeypatch.setenv(name, wrong)
    assert refused().startswith(message)


@pytest.mark.parametrize("name", ["", *LIBPQ])
def test_any_variable_that_names_a_database_is_enough(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not cli.parse_settings([]).is_embedded
    monkeypatch.delenv("DATABASE_URL")
    assert cli.parse_settings([]).is_embedded
    monkeypatch.setenv("DATABASE_URL", "")
    assert cli.parse_settings([]).is_embedded
    assert not cli.parse_settings(["--database", "x"]).is_embedded
    if name:
        monkeypatch.setenv(name, "")
        assert cli.parse_settings([]).is_embedded
        monkeypatch.setenv(name, "x")
        assert not cli.parse_settings([]).is_embedded


def test_the_metrics_of_a_run_go_to_a_file_or_a_gateway(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = f"http://u:{SECRET}@h:9091"
    targets = {"a.prom": TextFile(Path("a.prom")), gateway: Gateway("http://h:9091", "u", SECRET)}
    for named, target in targets.items():
        monkeypatch.setenv("METRICS", named)
        assert [cli.parse_settings(COUNTING[command]).metrics for command in ("count", "rebuild")] == [target] * 2
        assert "METRICS must be a port for watch" in refused("watch")
        assert SECRET not in refused("watch")
        assert cli.parse_settings(["--metrics", ""]).metrics is None
    monkeypatch.setenv("METRICS", "9109")
    for command in ("count", "rebuild"):
        assert "METRICS is a port" in refused(*COUNTING[command])
    for words, address in (
        (["watch"], Address("127.0.0.1", 9109)),
        (["watch", "--metrics", "[::1]:1"], Address("::1", 1)),
    ):
        assert cli.parse_settings(words).metrics == address
    for command in ENOUGH.keys() - {"watch", "doctor"}:
        assert cli.parse_settings(ENOUGH[command]).metrics is None
    assert cli.parse_settings(["--dry-run"]).metrics is None
    assert "dry-run does not take --metrics; " in refused("--dry-run", "--metrics", "a.prom")


@pytest.mark.parametrize(
    ("name", "good", "limits", "wrong"),
    [
        ("CHECK_DAYS", "7", CheckLimits(days=7), "0"),
        ("CHECK_FACTOR", "1.5", CheckLimits(factor=1.5), "0.5"),
        ("CHECK_SILENT_EVENTS", "7", CheckLimits(silent_events=7), "0"),
        ("CHECK_REJECTED_PERCENT", "0.5", CheckLimits(rejected_percent=0.5), "1 %"),
        ("CHECK_FUTURE_SECONDS", "0", CheckLimits(future_seconds=0), "-1"),
        ("CHECK_SESSION_HOURS", "12.5", CheckLimits(session_hours=12.5), "x"),
        ("CHECK_USER_EVENTS", "7", CheckLimits(user_events=7), "7.5"),
        ("CHECK_UNDISPLAYED_PERCENT", "2.5", CheckLimits(undisplayed_percent=2.5), "many"),
    ],
)
def test_the_limits_of_checks_are_settings(
    name: str, good: str, limits: CheckLimits, wrong: str, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli.parse_settings(["check"]).check_limits == CheckLimits()
    monkeypatch.setenv(name, good)
    assert cli.parse_settings(["check"]).check_limits == limits
    monkeypatch.setenv(name, wrong)
    assert f"{name} must be " in refused("check")


def test_doctor_takes_metrics_of_either_kind_and_names_wrong_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    for named in ("9109", "a.prom"):
        monkeypatch.setenv("METRICS", named)
        options = cli.parse_settings(["doctor"])
        assert options.metrics is not None
        assert options.errors == ()
    monkeypatch.setenv("METRICS", "x")
    monkeypatch.setenv("DATABASE_WAIT", "x")
    options = cli.parse_settings(["doctor"])
    assert options.metrics is None
    assert [line.split()[0] for line in options.errors] == ["DATABASE_WAIT", "METRICS"]


def test_lineage_is_for_commands_that_ingest(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli.parse_settings([]).lineage is None
    monkeypatch.setenv("OPENLINEAGE_URL", f"https://u:{SECRET}@h:5000")
    assert cli.parse_settings([]).lineage == LineageTarget(f"https://u:{SECRET}@h:5000", "", "event_lake")
    monkeypatch.setenv("OPENLINEAGE_API_KEY", SECRET)
    monkeypatch.setenv("OPENLINEAGE_NAMESPACE", "prod")
    for words in ([], ["--rebuild"], ["watch"]):
        lineage = cli.parse_settings(words).lineage
        assert lineage == LineageTarget(f"https://u:{SECRET}@h:5000", SECRET, "prod")
        assert SECRET not in repr(lineage)
    for words in (["status"], ["verify"], ["--dry-run"], ["doctor"], ["forget", "a.tsv"]):
        assert cli.parse_settings(words).lineage is None


def test_wrong_metrics_are_refused(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METRICS", f"ftp://u:{SECRET}@h/")
    for words in ([], ["--rebuild"], ["watch"]):
        line = refused(*words)
        assert "METRICS must be the URL of a Pushgateway" in line
        assert SECRET not in line


@pytest.mark.parametrize(
    "words",
    [
        ["--lake"],
        ["--database", f"postgresql://u:{SECRET}@h/d", "--workers", f"postgresql://u:{SECRET}@h/d"],
        [f"postgresql://u:{SECRET}@h/d"],
        ["--since", "2019-02-30", ODD],
        ["forget"],
        ["completion"],
        ["rejected", "--json"],
        ["watch", "--json"],
        ["status", "--workers", "1"],
        ["status", "--relocated"],
    ],
    ids=range(10),
)
def test_a_wrong_argument_is_reported_in_a_safe_line(words: list[str], refused: Refused) -> None:
    line = refused(*words)
    assert SECRET not in line
    assert "; see python run.py" in line


@pytest.mark.parametrize(
    "value",
    [
        SECRET,
        f"password={SECRET}",
        f"postgresql://h/d?password={SECRET}",
        f"postgresql://u:p/{SECRET}@h/d",
        f"postgresql://u:p@{SECRET}@h/d",
        f"{SECRET} could match (choose from 'status') =",
        f"'\n{SECRET}\"",
    ],
    ids=range(7),
)
@pytest.mark.parametrize(
    "words",
    [
        ["{}"],
        ["--databse", "{}"],
        ["--databse={}"],
        ["-d{}"],
        ["-h{}"],
        ["--prune={}"],
        ["--pru={}"],
        ["--workers={}"],
        ["status", "{}"],
        ["status", "--json={}"],
        ["explain", "a", "2019-02-15", "{}"],
        ["explain", "a", "{}"],
        ["watch", "--interval={}"],
    ],
    ids=" ".join,
)
def test_no_refusal_repeats_a_value(words: list[str], value: str, refused: Refused) -> None:
    assert SECRET not in refused(*(word.format(value) for word in words))


def test_no_refusal_repeats_a_setting(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCH_INTERVAL", SECRET)
    assert refused("watch").startswith("WATCH_INTERVAL must be a whole number of seconds above 0")


def test_a_refusal_names_what_it_refuses(refused: Refused) -> None:
    assert "argument COMMAND: invalid choice (choose from " in refused("statsu")
    assert "unrecognized arguments: --no, -x, 2 values (not shown: " in refused("--no=a", "status", "-xy", "b", "c")
    assert "argument --json: takes no value" in refused("status", "--json=a")
    assert "ambiguous option: --pru could match --prune, --prune-all" in refused("--pru=a")


@pytest.mark.parametrize(
    "words", ["explain -9tz", "forget -x.tsv", "explain --user -9tz", "forget --user -9tz", "--since -x.tsv"]
)
def test_a_refused_hyphen_says_how_to_write_the_value(refused: Refused, words: str) -> None:
    assert "a value that begins with - follows --, or the = of its option" in refused(*words.split())


def test_settings_show_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METRICS", f"http://u:{SECRET}@h:9091")
    options = cli.parse_settings(["--database", f"postgresql://u:{SECRET}@h/d"])
    assert SECRET in options.database_url
    assert SECRET not in repr(options)


def test_a_wrong_option_is_reported_whatever_the_log_settings_are(
    refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("LOG_FORMAT", "xml"), ("LOG_LEVEL", "loud")):
        monkeypatch.setenv(name, value)
        assert refused("--no-such").startswith("unrecognized arguments: --no-such; see python run.py --help")
    monkeypatch.setenv("LOG_LEVEL", "error")
    monkeypatch.setenv("LOG_FORMAT", "json")
    assert '"level": "error"' in refused("--no-such")


def test_the_log_settings_choose_the_console_and_the_level(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    for form, level, kind in (("", "", Console), ("text", "error", Console), ("json", "debug", JsonLog)):
        monkeypatch.setenv("LOG_FORMAT", form)
        monkeypatch.setenv("LOG_LEVEL", level)
        log = cli.parse_settings([]).log
        assert (type(open_console(log, prints_json=False)), log.level) == (kind, level or "info")
    for name, value in (("LOG_FORMAT", "xml"), ("LOG_LEVEL", "loud"), ("LOG_LEVEL", "INFO")):
        monkeypatch.setenv("LOG_FORMAT", "text")
        monkeypatch.setenv("LOG_LEVEL", "info")
        monkeypatch.setenv(name, value)
        assert refused().startswith(f"{name} must be ")


def test_the_definition_of_lines_is_read_from_a_file(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_DEFINITION", "/no/such.toml")
    assert refused().startswith("/no/such.toml cannot be read (No such file or directory); make it readable, or name")
    monkeypatch.delenv("LAKE_DEFINITION")
    assert cli.parse_settings([]).lake_settings.definition == Definition()
