"""`run.py explain`: shows which files made the numbers of an article or of a user."""

import json
from typing import TYPE_CHECKING

from processor.commands.context import Context
from processor.errors import DONE, FailedError
from processor.formats import format_moment, format_time, make_json_value
from processor.lake.keys import escape_unstorable
from processor.output.run_output import RunOutput
from processor.safe_text import remove_passwords

if TYPE_CHECKING:
    from collections.abc import Mapping

    from state.row_reads import Row


def run(context: Context) -> int:
    """Show which files made the numbers of an article or of a user."""
    settings, console = context.settings, context.console
    what = "article" if settings.user is None else "user"
    given = settings.article if settings.user is None else settings.user
    assert given is not None
    name, day = escape_unstorable(given), settings.day
    with context.open_reads(context.open_lake()) as reads:
        explanation = reads.read_article(name, day) if what == "article" else reads.read_user(name, day)
        forgotten_at = reads.read_forgotten_at(name) if what == "user" else None
    if forgotten_at is None and not explanation["rows"]:
        shown = remove_passwords(name)  # it may be a URL that was given in the wrong place
        raise FailedError(f"no counted file mentions {what} {shown}{f' on {day}' if day else ''}")
    if settings.prints_json:
        forgotten = {"forgotten_at": forgotten_at} if what == "user" else {}
        console.print_result(json.dumps({what: name, **forgotten, **explanation}, default=make_json_value))
    elif forgotten_at is not None:
        console.show(f"user {name} was forgotten at {format_moment(forgotten_at)}: their lines count for no user")
    else:
        (show_article if what == "article" else show_user)(console, name, explanation)
    return DONE


def show_article(console: RunOutput, article: str, explanation: "Mapping[str, list[Row]]") -> None:
    """Print which files made the rows of an article.

    console: prints them. article: the id. explanation: what `Reads.read_article` returns.
    """
    for text in explanation["texts"]:
        console.show(f"{text['name']} of {format_time(text['at'])} in {text['file']}: {text['text']}")
    columns = ("date", "file", "displays", "clicks", "cumulative_clicks", "click_through_rate")
    console.print_table(f"article_performance of {article}", columns, _parts_and_rows(explanation, columns))


def show_user(console: RunOutput, user: str, explanation: "Mapping[str, list[Row]]") -> None:
    """Print which files made the rows of a user, and which hold parts of the sessions.

    console: prints them. user: the id. explanation: what `Reads.read_user` returns.
    """
    columns = ("date", "file", "displays", "clicks", "click_through_rate", "sessions", "session_seconds")
    console.print_table(f"user_performance of {user}", columns, _parts_and_rows(explanation, columns))
    if explanation["sessions"]:
        parts = (
            (
                row["date"],
                row["session_id"],
                row["file"],
                row["events"],
                format_time(row["first_at"]),
                format_time(row["last_at"]),
            )
            for row in explanation["sessions"]
        )
        console.show()
        names = ("date", "session_id", "file", "events", "first event", "last event")
        console.print_table("The sessions that began then, by the files that hold parts of them", names, parts)


def _parts_and_rows(explanation: "Mapping[str, list[Row]]", columns: tuple[str, ...]) -> list[list[object]]:
    """Return for each day a line for each file, and then the row of the BI table that they add up to."""
    lines = []
    for row in explanation["rows"]:
        parts = [part for part in explanation["parts"] if part["date"] == row["date"]]
        lines += [[cells.get(column) for column in columns] for cells in (*parts, {**row, "file": "= together"})]
    return lines
