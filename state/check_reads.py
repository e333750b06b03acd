"""What `run.py check` reads from the database."""

from datetime import date

from state.row_reads import Row, RowReads


class CheckReads(RowReads):
    """What the checks read; days are both included, and `since_at` is a time in microseconds since 1970-01-01 UTC."""

    def find_newest_day(self, before: date) -> date | None:
        """Return the last day before another one that has any event that is counted, or None."""
        found: date | None = self._rows("find_newest_day", before=before)[0]["date"]
        return found

    def sum_days(self, since: date, until: date) -> list[Row]:
        """Return `date`, `displays` and `clicks` of each day that has a click, a display or a session."""
        return self._rows("sum_days", since=since, until=until)

    def sum_categories(self, since: date, until: date) -> list[Row]:
        """Return `name`, `date` and `events` of each category and day."""
        return self._rows("sum_categories", since=since, until=until)

    def sum_event_names(self, since: date, until: date, since_at: int) -> list[Row]:
        """Return `name`, `date` and `events` of each event name that is counted, by day.

        since, until: the first and the last day. since_at: a time before the first day.
        """
        return self._rows("sum_event_names", since=since, until=until, since_at=since_at)

    def find_rejecting_days(self, since: date, since_at: int, percent: float) -> list[Row]:
        """Return days on which too many of the lines in their files were rejected, with the `key` of the worst file.

        since: the first day. since_at: a time before it. percent: more than this of the lines.
        """
        return self._rows("find_rejecting_days", since=since, since_at=since_at, percent=percent)

    def find_future_files(self, now: int) -> list[Row]:
        """Return `key` and `newest_at` of files with an event after `now`, in microseconds since 1970-01-01 UTC."""
        return self._rows("find_future_files", now=now)

    def find_long_sessions(self, since: date, seconds: float) -> list[Row]:
        """Return `user_id`, `date`, `first_at` and `seconds` of sessions that are longer than `seconds`."""
        return self._rows("find_long_sessions", since=since, seconds=seconds)

    def find_busy_users(self, since: date, events: int) -> list[Row]:
        """Return `user_id`, `date` and `events` of users with more clicks and displays on a day than `events`."""
        return self._rows("find_busy_users", since=since, events=events)

    def find_clicks_without_display(self, since: date, percent: float) -> list[Row]:
        """Return days on which more than `percent` of the clicks are on articles without a display on that day."""
        return self._rows("find_clicks_without_display", since=since, percent=percent)
