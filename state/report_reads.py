"""What the report reads from the database."""

from datetime import date

from state.row_reads import Row, RowReads


class ReportReads(RowReads):
    """What the page and the picture read."""

    def read_report_state(self) -> str:
        """Return a value that changes when anything changes that a report shows."""
        return str(self._rows("read_report_state")[0]["report_state"])

    def read_lake_state(self) -> Row:
        """Return the lake's URL, when the last file was ingested, and numbers of files, bytes, events and lines."""
        return self._rows("read_lake_state")[0]

    def read_failed_files(self, most: int) -> list[Row]:
        """Return `key` and `error` of the last `most` files that failed, the latest first."""
        return self._rows("read_failed_files", most=most)

    def read_files_of_last_run(self, most: int) -> list[Row]:
        """Return at most `most` files that the last run ingested; each row has the sums over all of them, too."""
        return self._rows("read_files_of_last_run", most=most)

    def read_restatements_of_last_run(self, most: int) -> list[Row]:
        """Return at most `most` days that the last run restated; each row has the sums over all of them, too."""
        return self._rows("read_restatements_of_last_run", most=most)

    def read_category_days(self, most: int) -> list[Row]:
        """Return displays and clicks by category and day; categories beyond `most` share one row for each day."""
        return self._rows("read_category_days", most=most)

    def read_session_days(self) -> list[Row]:
        """Return `date`, `sessions` and `session_seconds` of each day."""
        return self._rows("read_session_days")

    def read_busiest_articles(self, since: date, until: date, most: int) -> list[Row]:
        """Return the articles with the most clicks on some days.

        since, until: the first and the last of the days. most: the number of articles.
        """
        return self._rows("read_busiest_articles", since=since, until=until, most=most)

    def read_most_changed_article(self, before: date, after: date) -> list[Row]:
        """Return the article whose clicks changed most from one day to another; no row if none changed."""
        return self._rows("read_most_changed_article", before=before, after=after)

    def read_cumulative_clicks(self, article_ids: list[str], since: date, until: date) -> list[Row]:
        """Return the `cumulative_clicks` of some articles by day.

        article_ids: the articles. since, until: the first and the last of the days.
        """
        return self._rows("read_cumulative_clicks", article_ids=article_ids, since=since, until=until)
