"""Opens the console or the JSON log, as the settings of the log choose."""

from dataclasses import dataclass

from processor.output.console import Console
from processor.output.run_output import RunOutput

FORMATS = ("text", "json")


@dataclass(frozen=True, slots=True)
class LogSettings:
    """The settings of the log: the lowest of LEVELS that is logged, and one of FORMATS."""

    level: str = "info"
    format: str = "text"


def open_console(log: LogSettings, prints_json: bool, verb: str = "counted") -> RunOutput:
    """Return the console, or the JSON log.

    log: chooses between them. prints_json: whether to keep standard output for the result. verb: what the command does
    to files, in its messages.
    """
    if log.format == "text":
        return Console(prints_json, log.level, verb)
    from processor.output.json_log import JsonLog

    return JsonLog(prints_json, log.level, verb)
