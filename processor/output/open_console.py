"""Opens the console or the log that LOG_FORMAT and LOG_LEVEL ask for."""

from processor.environment import read_setting
from processor.errors import SettingError
from processor.output.console import LEVELS, Console
from processor.output.run_output import RunOutput


def open_console(prints_json: bool, verb: str = "counted") -> RunOutput:
    """Return the console or the log that LOG_FORMAT and LOG_LEVEL ask for; raises SettingError.

    verb: what the command does to files, in its messages.
    """
    level = read_setting("LOG_LEVEL", "info")
    form = read_setting("LOG_FORMAT", "text")
    if level not in LEVELS:
        raise SettingError(f"LOG_LEVEL must be one of {', '.join(LEVELS)}")
    if form == "text":
        return Console(prints_json, level, verb)
    if form != "json":
        raise SettingError("LOG_FORMAT must be text or json")
    from processor.output.json_log import JsonLog

    return JsonLog(prints_json, level, verb)
