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
    """The texts of a page's cells by the id of their table and by row, and the descriptions of its marks."""

    def __init__(self, dom: str) -> None:
        """Read the page."""
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.marks: list[str] = []
        self._table: list[list[str]] = []
        self._is_in_cell = False
        self.feed(dom)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin a table, a row or a cell."""
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
        if attributes.get("aria-roledescription") in ("point", "bar", "line mark"):
            self.marks.append(attributes.get("aria-label") or "")

    def handle_endtag(self, tag: str) -> None:
        """End a cell."""
        self._is_in_cell = self._is_in_cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        """Add to the cell."""
        if self._is_in_cell:
            self._table[-1][-1] += data.strip()
