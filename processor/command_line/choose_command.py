"""Chooses the command that a command line asks for, and refuses the options that it does not take."""

from collections.abc import Callable
from typing import NoReturn

from processor.command_line.command_options import METRICS, Option, Options
from processor.command_line.command_registry import COMMANDS, INGESTING, Command


def choose_command(options: Options, refuse: Callable[[str], NoReturn]) -> Command:
    """Return the command; `refuse` ends the program with a line about an option that it does not take.

    Before the name of a command, the parser takes all options of `run.py` without a command.
    """
    command = _find_command(options, refuse)
    for option in INGESTING:
        if option.value(options) and option not in command.options and option is not METRICS:
            refuse(describe_takers(option, command))
    return command


def _find_command(options: Options, refuse: Callable[[str], NoReturn]) -> Command:
    if options.command is not None:
        return COMMANDS["forget-dry-run" if options.command == "forget" and options.dry_run else options.command]
    if options.rebuild and (options.since or options.until):
        refuse("--rebuild counts the whole lake: pass it without --since and --until")
    if options.recount and not (options.since or options.until):
        refuse("--recount counts a range of files again: pass --since or --until, or --rebuild to count the whole lake")
    ways = {"dry-run": options.dry_run, "rebuild": options.rebuild, "recount": options.recount}
    return COMMANDS[next((name for name, is_asked in ways.items() if is_asked), "count")]


def describe_takers(option: Option, refused: Command) -> str:
    """Return that a command does not take an option, and which commands do."""
    takers = [command.name for command in COMMANDS.values() if option in command.options and command.summary]
    words = ", ".join(["run.py without a command", *takers[:-1]]) + "".join(f" and {name}" for name in takers[-1:])
    return f"{refused.name} does not take {option}; {words} {'do' if takers else 'does'}"
