"""Checks that tests notice small mutants of the program: `make mutants`, some hours for 200.

MUTANTS (200 unless set) is the number of mutants, SEED draws others, and IN, a part of a path, limits them to a file or
folder. Each mutant is tried in a copy of the tree, with the tests of its file, until one fails. Mutants that a test
noticed are recorded in `.mutants` and not tried again; a mutant that no test noticed is printed and tried each time.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from tests.support.paths import ROOT, module_named
from tests.tools.mutations import Mutant, mutants

DONE = ROOT / ".mutants" / "noticed"
SUFFIXES = (".py", ".sql", ".html")
START_SECONDS, END_SECONDS = 60, 30
FILES = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]

# The tests that notice a mutant of the modules that open the database.
RUNS = (
    "batches sql migrations watch_schedule"
    " database_settings::test_the_settings_of_the_program_hold_in_every_transaction_and_only_there"
    " database_settings::test_a_transaction_timeout_has_no_effect"
    " database_settings::test_every_transaction_has_the_right_mode_whatever_the_role_has_set"
    " concurrent_runs::test_a_watch_knows_of_another_run_even_if_the_answer_to_its_commit_is_lost"
    " concurrent_runs::test_a_run_that_lost_its_lock_holds_off_its_successor_until_its_transaction_ends"
    " concurrent_runs::test_a_watch_that_takes_the_lock_again_refuses_another_lake_or_schema"
    " run::test_another_lake_is_refused_unless_it_is_the_same_at_a_new_place postgres_errors doctor commands"
    " database_faults database_settings concurrent_runs"
)
# Which tests should notice a mutant of a file, or of some statements, the quick ones first: files of tests, and single
# tests of those that take long. The first that a path begins with counts. Every file of the program is named here, as a
# unit test checks.
TESTS = {
    "processor/pipeline.py": "pipeline batches verify history",
    "processor/checks.py": "checks check",
    "processor/plan.py": "pipeline commands history",
    "processor/ingest_batch.py": "batches tables_port pipeline history",
    "processor/rebuild.py": "verify concurrent_runs history",
    "processor/verify.py": "verify",
    "processor/child_process.py": "process_pool",
    "processor/environment.py": "names environment",
    "processor/errors.py": "options unwritable_output",
    "processor/formats.py": "rejected commands secrets",
    "processor/setting_values.py": "setting_values",
    "processor/commands/choose_reducer.py": "process_pool concurrent_runs",
    "processor/commands/doctor.py": "doctor",
    "processor/commands/draw_report.py": "commands page",
    "processor/commands/ingest.py": "run commands",
    "processor/commands/forget": "forget_users commands",
    "processor/commands/rejected.py": "rejected",
    "processor/commands/run_command.py": "commands lineage concurrent_runs",
    "processor/commands/export_metrics.py": "metrics",
    "processor/commands/open_run.py": "commands concurrent_runs",
    "processor/commands/verify.py": "verify commands",
    "processor/commands/watch.py": "watch",
    "processor/commands/": "commands",
    "processor/output/run_output.py": "listener_port unwritable_output rejected commands secrets",
    "processor/output/console.py": "listener_port unwritable_output rejected commands run secrets forget_users",
    "processor/output/json_log.py": "json_log listener_port",
    "processor/output/lineage": "lineage listener_port lineage_events",
    "processor/output/metrics": "metrics listener_port",
    "processor/output/progress_bar.py": "progress_bar secrets",
    "processor/reducers/": "events reducers fast_fold setting_values limits fuzzed",
    "processor/reducing/byte_ranges.py": "spark_reducer reducer_port process_pool",
    "processor/reducing/process": "reducer_port process_pool",
    "processor/reducing/reducer.py": "reducer_port batches",
    "processor/report/atomic_file.py": "atomic_file",
    "processor/report/page_data.py": "page",
    "processor/report/svg.py": "picture charts category_chart",
    "processor/lake/selection.py": "selection setting_values options commands",
    "processor/cli.py": "options main json_log",
    "processor/command_line/settings.py": "options",
    "processor/command_line/read_settings.py": "options setting_values",
    "processor/command_line/choose_command.py": "options",
    "processor/output/open_console.py": "options",
    "processor/command_line/command_registry.py": "options docs",
    "processor/command_line/command_options.py": "options setting_values docs",
    "processor/report/axes.py": "category_chart charts",
    "processor/report/category_chart.py": "category_chart",
    "processor/report/charts.py": "charts page",
    "processor/report/headlines.py": "headlines",
    "processor/report/formats.py": "report_formats",
    "processor/report/page.py": "page",
    "processor/report/page.html": "page",
    "processor/report/picture.py": "picture",
    "processor/report/rates.py": "rates",
    "processor/report/summary.py": "summary picture page",
    "processor/signals.py": "signals",
    "processor/listener.py": "listener_port",
    "processor/run_tally.py": "run_tally listener_port",
    "processor/postponed_files.py": "postponed_files watch_schedule",
    "processor/watch.py": "watch_schedule watch::test_files_read_ahead_do_not_undo_another_run",
    "processor/lake/notifications.py": "notifications notifications_port",
    "processor/lake/folder_notifications.py": "notifications notifications_port",
    "processor/backoff.py": "watch_schedule sqs",
    "processor/command_line/read_user_ids.py": "read_user_ids",
    "processor/command_line/read_check_limits.py": "options",
    "processor/command_line/read_log_settings.py": "options doctor",
    "processor/command_line/read_numbers.py": "options setting_values",
    "processor/command_line/read_definition.py": "read_definition",
    "processor/lake/sqs.py": "sqs",
    "processor/lake/aws_client.py": "aws_errors aws sqs lake_s3_refusals lake_s3_faults",
    "processor/lake/aws_errors.py": "aws_errors aws sqs lake_s3_refusals lake_s3_faults",
    "processor/lake/aws_settings.py": "aws sqs lake_s3_refusals lake_s3_faults",
    "processor/lake/folder.py": "lake_port names lake_folder",
    "processor/lake/text.py": "setting_values lake_text limits",
    "processor/lake/open_lake.py": "setting_values names lake_folder lake_s3_faults"
    " limits::test_a_file_that_holds_more_text_than_the_limit_fails"
    " limits::test_a_file_that_grows_while_it_is_read_fails"
    " lake_s3_versions::test_a_file_with_an_error_is_not_read"
    " lake_s3_versions::test_a_lake_with_etags_needs_no_warning",
    "processor/lake/base.py": "lake_s3_versions lake_s3_listing names",
    "processor/lake/keys.py": "names lake_s3_listing lake_folder",
    "processor/safe_text.py": "secrets::test_passwords_are_removed",
    "processor/lake/s3.py": "lake_port lake_s3_listing lake_s3_versions lake_s3_refusals",
    "processor/lake/s3_listing.py": "lake_s3_listing lake_s3_refusals",
    "processor/lake/s3_object.py": "lake_s3_versions lake_s3_refusals lake_s3_faults",
    "processor/lake/s3_version.py": "lake_s3_versions",
    "processor/lake/read_ahead.py": "read_ahead lake_port",
    "processor/batches.py": "batches history::test_a_file_whose_many_rejected_lines_come_first_is_ingested",
    "processor/file_reading.py": "file_reading batches limits"
    " history::test_a_file_whose_many_rejected_lines_come_first_is_ingested",
    "processor/spark/reducer.py": "spark_reducer reducer_port",
    "processor/spark/application.py": "spark_application",
    "processor/spark/executor.py": "spark_reducer",
    "state/migrations/": "migrations",
    "state/roles.sql": "roles",
    "state/schema.sql": "migrations plans security views roles forgotten_users",
    "state/batch_writer.py": "batches rejected history::test_a_file_whose_many_rejected_lines_come_first_is_ingested"
    " sql plans pipeline restatements recount forgotten_users history",
    "state/store.py": "batches rejected watch_schedule pipeline forgotten_users"
    " forget_users::test_a_user_is_forgotten_once_even_if_the_answer_to_the_commit_is_lost"
    " history::test_a_forgotten_file_is_ingested_again_if_it_is_present"
    " commands::test_a_file_is_forgotten_once_even_if_the_answer_to_the_commit_is_lost",
    "state/retry.py": "backoff",
    "state/comparison.py": "tables_port verify restatements",
    "state/staging.py": "spark_reducer spark::test_staged_rows_are_deleted_by_a_later_run_unless_they_are_locked",
    "processor/reducing/copy_rows.py": "batches pipeline",
    "processor/reducing/in_process.py": "reducer_port",
    "state/files.py": "batches pipeline",
    "state/partial_rows.py": "batches pipeline",
    "state/check_reads.py": "checks check",
    "state/report_reads.py": "page",
    "state/row_reads.py": "checks page",
    "state/reads.py": "commands::test_explain_names_the_files_that_made_every_number"
    " commands::test_explain_shows_one_day commands::test_every_run_is_recorded_and_how_it_ended"
    " commands::test_status_shows_what_has_changed commands::test_status_shows_what_was_restated"
    " metrics::test_a_run_exports_what_it_did rejected page forgotten_users forget_users",
    "state/connection.py": RUNS,
    "state/connector.py": RUNS,
    "state/read_statements.py": "read_statements " + RUNS,
    "state/database.py": RUNS,
    "state/run.py": RUNS,
    "state/transactions.py": RUNS,
    "state/read_only_database.py": RUNS,
    "state/recorded_lake.py": RUNS,
    "state/schema.py": RUNS,
    "state/run_lock.py": RUNS,
    "state/errors.py": "options postgres_errors commands",
    "state/postgres_errors.py": "postgres_errors::test_each_sqlstate_has_its_advice"
    " postgres_errors::test_a_broken_connection_has_no_sqlstate_and_is_made_again postgres_errors database_faults tls",
    "state/embedded": "embedded",
}
FOLDER = "state/statements/"
STATEMENTS = {
    "apply_settings": "database_settings::test_the_settings_of_the_program_hold_in_every_transaction_and_only_there"
    " database_settings::test_every_transaction_has_the_right_mode_whatever_the_role_has_set"
    " database_settings::test_a_commit_is_on_the_servers_disk_whatever_the_role_has_set"
    " database_settings::test_a_dead_client_is_noticed_soon_over_a_network",
    "read_server|limit_lock_waits|discard_temporary": "database_faults database_settings doctor",
    "read_(report|lake_state|failed|files_of|category|session|busiest|cumulative|first)": "page commands",
    "try_lock|has_schema|name_lock|read_(lock|lake|step)|(set|check)_fence|begin|record_(end|prog|step)": "migrations"
    " concurrent_runs commands",
    "advance_run_numbers": "postgres_errors::test_a_sequence_that_lags_behind_after_a_restore_is_set_forward",
    "drop_forgotten|forget_users|given_users|analyze_users|measure_users": "forgotten_users",
    "read_forgotten|count_forgotten": "forget_users",
    "read_(last_runs|health)|sum_|measure_": "metrics commands",
    "read_columns": "lineage",
    "read_(rights|writability)|try_writes": "doctor roles",
    "read_(article|user|rejected)": "rejected commands",
    "read_(newest_restatements|restatements_of)": "commands::test_status_shows_what_was_restated page",
    "change_day_totals|name_restating_files|restate_rebuilt|recount_days": "restatements recount history",
    "compare_": "verify",
    "apply_comparison|create_comparison": "verify history",
    "has_staged|clear_staged|name_partial|stage_|take_": "spark",
    "": "batches rejected plans pipeline history",
}


def files() -> list[str]:
    """Return the files of the tree, including those that are not committed yet."""
    names = subprocess.check_output(FILES, cwd=ROOT, encoding="utf-8").split("\0")
    return [name for name in names if (ROOT / name).is_file()]


def trial(tests: str, mutant: Mutant | None, seconds: float) -> str:
    """Return the first test that fails with a mutant in place, "time-out" after `seconds`, or "" if none fails."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        copy = Path(folder, "tree")
        Path(folder).chmod(0o755)  # Postgres runs as another account if this one is root
        for name in files():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
        (copy / ".venv").symlink_to(ROOT / ".venv")
        if mutant is not None:
            source = (copy / mutant.path).read_bytes()
            (copy / mutant.path).write_bytes(source[: mutant.start] + mutant.text + source[mutant.stop :])
        (copy / "tmp").mkdir(mode=0o755)
        arguments = [
            f"{module_named(f'test_{file}.py').relative_to(ROOT)}{colons}{test}" for file, colons, test in named(tests)
        ]
        with (copy / "tmp" / "output").open("w+", encoding="utf-8") as output, subprocess.Popen(
            [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--tb=short", *arguments],
            cwd=copy, stdout=output, stderr=subprocess.STDOUT, env={**os.environ, "TMPDIR": str(copy / "tmp")},
        ) as process:  # fmt: skip
            try:
                code = process.wait(seconds)
            except subprocess.TimeoutExpired:
                code = -1
                process.send_signal(signal.SIGINT)  # this ends its servers, too
                with suppress(subprocess.TimeoutExpired):
                    process.wait(END_SECONDS)
            finally:
                end_all(f"TMPDIR={copy / 'tmp'}".encode())
            output.seek(0)
            said = output.read()
        if code == 0:
            return ""
        if mutant is None:
            raise SystemExit(f"{said}\nthe tests fail without a mutant, too")
        failed = re.search(r"^(?:FAILED|ERROR) (\S+)", said, re.MULTILINE)
        return "time-out" if code == -1 else failed[1] if failed else said.strip().splitlines()[-1]


def end_all(setting: bytes) -> None:
    """End the processes that a trial left; they have its setting in their environment."""
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if setting in path.read_bytes().split(b"\0"):
                os.kill(int(path.parent.name), signal.SIGKILL)


def named(tests: str) -> list[tuple[str, str, str]]:
    """Return test modules, some with the name of a single test after two colons."""
    return [test.partition("::") for test in tests.split()]


def tests_of(mutant: Mutant) -> str:
    """Return the tests that should notice a mutant."""
    if not mutant.path.startswith(FOLDER):
        return next(tests for path, tests in TESTS.items() if mutant.path.startswith(path))
    before = (ROOT / mutant.path).read_bytes()[: mutant.start].decode()
    name = re.findall(r"^-- (\w+):", before, re.MULTILINE)[-1]
    return next(tests for names, tests in STATEMENTS.items() if re.match(names, name))


def is_mutated(path: str) -> bool:
    """Whether there are tests that should notice a mutant of a file."""
    return path.startswith((FOLDER, *TESTS))


def main() -> int:
    """Try as many mutants as were asked for; return 1 if no test noticed one of them, else 0."""
    number, seed = int(os.environ.get("MUTANTS") or "200"), os.environ.get("SEED", "")
    paths = [it for it in files() if Path(it).suffix in SUFFIXES and os.environ.get("IN", "") in it]
    all_of_them = [mutant for path in paths if is_mutated(path) for mutant in mutants(ROOT, path)]
    drawn = sorted(all_of_them, key=lambda mutant: mutant.rank(seed))[:number]
    DONE.parent.mkdir(exist_ok=True)
    DONE.touch()
    noticed = dict(json.loads(line) for line in DONE.read_text(encoding="utf-8").splitlines())
    seconds, missed = dict[str, float](), list[Mutant]()
    for place, mutant in enumerate(drawn, 1):
        tests = tests_of(mutant)
        if mutant.name not in noticed:
            if tests not in seconds:
                begun = time.monotonic()
                trial(tests, None, 3600)
                seconds[tests] = time.monotonic() - begun
            begun = time.monotonic()
            by = trial(tests, mutant, START_SECONDS + 2 * seconds[tests])
            spent = time.monotonic() - begun
            if by:
                noticed[mutant.name] = by
                with DONE.open("a", encoding="utf-8") as file:
                    print(json.dumps([mutant.name, by]), file=file)
            else:
                missed.append(mutant)
            print(
                f"{place}/{len(drawn)} {by or 'MISSED'} ({spent:.0f} s): {mutant.path}:{mutant.line} {mutant.change}",
                flush=True,
            )
    print(f"{len(drawn) - len(missed)} of {len(drawn)} noticed, of {len(all_of_them):,} that there are; missed:")
    for mutant in missed:
        print(f"{mutant.path}:{mutant.line}: {mutant.change}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
