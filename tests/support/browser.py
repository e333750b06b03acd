"""A real browser, without a window: what a page becomes in it, and what it says of it."""

import html.parser
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

import pytest

CHROMIUM = shutil.which("chromium")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium")


class Seen(NamedTuple):
    """A page after its scripts have run: its elements as HTML, and the lines of the browser's console."""

    dom: str
    console: list[str]


def see(page: Path) -> Seen:
    """Open a file in the browser."""
    assert CHROMIUM is not None
    with tempfile.TemporaryDirectory() as profile:
        done = subprocess.run(
            [
                CHROMIUM,
                "--headless",
                *(["--no-sandbox"] if os.geteuid() == 0 else []),
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--disable-background-networking",
                "--disable-component-update",
                "--no-first-run",
                f"--user-data-dir={profile}",
                "--window-size=1200,900",
                "--virtual-time-budget=60000",
                "--enable-logging=stderr",
                "--dump-dom",
                page.as_uri(),
            ],
            check=True,
            capture_output=True,
            encoding="utf-8",
        )
    return Seen(done.stdout, [line for line in done.stderr.splitlines() if re.search(r"\bCONSOLE\b", line)])


class Parts(html.parser.HTMLParser):
    """The texts of a page's cells by the id of their table and by row, and the titles in its charts by their labels."""

    def __init__(self, dom: str) -> None:
        """Read the page."""
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.titles: dict[str, list[str]] = {}
        self._titles: list[str] = []
        self._table: list[list[str]] = []
        self._is_in_cell = self._is_in_title = False
        self.feed(dom)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin a table, a row, a cell, a chart or a title."""
        attributes = dict(attrs)
        if tag == "table":
            self._table = self.tables.setdefault(attributes.get("id") or "", [])
        elif tag == "tr":
            self._table.append([])
        elif tag in ("td", "th"):
            self._table[-1].append("")
            self._is_in_cell = True
        elif self._is_in_cell:
            self._table[-1][-1] += "|"
        if tag == "svg":
            self._titles = self.titles.setdefault(attributes.get("aria-label") or "", [])
        elif tag == "title":
            self._titles.append("")
            self._is_in_title = True

    def handle_endtag(self, tag: str) -> None:
        """End a cell or a title."""
        self._is_in_cell = self._is_in_cell and tag not in ("td", "th")
        self._is_in_title = self._is_in_title and tag != "title"

    def handle_data(self, data: str) -> None:
        """Add to the cell or the title."""
        if self._is_in_title:
            self._titles[-1] += data
        elif self._is_in_cell:
            self._table[-1][-1] += data.strip()
