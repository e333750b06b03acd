"""The page: in a real browser, with the tables' numbers, closed to whatever stands in the data."""

import base64
import datetime
import hashlib
import html.parser
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from processor.report import page, page_data
from processor.report import summary as report
from processor.report.atomic_file import write_file
from processor.report.formats import format_duration, format_interval, format_name, format_rate, name_category
from processor.report.page_data import Article, ChangedArticle, LakeTotals, NewFile, Overview, RestatedDay
from processor.report.rates import ClickThrough
from processor.report.summary import CategoryDay
from state.database import Database
from state.report_reads import ReportReads
from state.run import begin_run
from state.store import Store
from tests.support import made_lake
from tests.support.browser import Parts, needs_chromium, see
from tests.support.category_days import FIRST_DAY
from tests.support.event_files import CLICK, HEADER
from tests.support.paths import ROOT
from tests.support.tables import tables

HOSTILE = [
    "</script><script>console.error('out')</script>",
    "<!--<script>",
    "]]><img src=http://127.0.0.1:9/x onerror=console.error(1)>",
    "\u2028\u2029 line ends",
    "${alert(1)} {{ 7 * 7 }} {% raw %} \\u003c",
    "\"'`&amp;&lt;b&gt;",
    "javascript:alert(1)",
]


def run(folder: Path, lake: Path, database: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """One run that leaves its report in a folder."""
    folder.mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, str(ROOT / "run.py"), *arguments],
        check=False,
        capture_output=True,
        encoding="utf-8",
        cwd=folder,
        env={**os.environ, "LAKE_URL": str(lake), "DATABASE_URL": database},
    )


@pytest.fixture
def index(tmp_path: Path, database: str) -> Path:
    """The page of a made lake with one file that cannot be read."""
    made_lake.write(tmp_path / "lake", days=3, lines=3000)
    (tmp_path / "lake" / "broken.tsv").write_bytes(b"no header")
    assert run(tmp_path, tmp_path / "lake", database).returncode == 1
    return tmp_path / "report" / "index.html"


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    """The store of a database with an empty lake."""
    with Database(database) as db, begin_run(db, "/lake") as this_run:
        yield Store(this_run)


def made(rows: list[CategoryDay], articles: list[Article]) -> Overview:
    """The overview of some categories and articles."""
    summary = report.summarize(rows)
    days = sorted({row.date for row in rows})
    lake = LakeTotals(
        "s3://user:s3cret@bucket/lake/", datetime.datetime(2019, 3, 1, tzinfo=datetime.UTC), 1, 0, 5, 6, 7
    )
    clicks = [(article.article_id, day, i) for article in articles[:6] for i, day in enumerate(days[-28:])]
    sessions = page_data.gather_sessions([(day, 2, Decimal("61.5")) for day in days])
    failed = [(HOSTILE[0], HOSTILE[1])]
    numbers = (1, 2, 3, 4, 5, 6, Decimal(7), Decimal(8))
    restated = [RestatedDay(day, HOSTILE[:1], 2, *numbers, 1, day, day, 1, 1, 1) for day in days[:1]]
    return Overview("0", lake, failed, [], restated, summary, articles, days[0], clicks, None, sessions)


@pytest.mark.slow
@needs_chromium
def test_the_page_shows_what_the_tables_hold(index: Path, database: str) -> None:
    seen = see(index)
    assert seen.console == []
    assert "data-ready" in seen.dom
    assert all(f">{day} Feb</text>" in seen.dom for day in (15, 16, 17))
    parts, found = Parts(seen.dom), tables(database)

    categories: Counter[tuple[str | None, str]] = Counter()
    days: dict[tuple[str | None, datetime.date], list[int]] = {}
    clicks: Counter[str] = Counter()
    displays: Counter[str] = Counter()
    texts = {}
    for (article, date), row in found.article_performance.items():
        categories[row.category, "clicks"] += row.clicks
        categories[row.category, "displays"] += row.displays
        both = days.setdefault((row.category, date), [0, 0])
        both[0] += row.clicks
        both[1] += row.displays
        clicks[article] += row.clicks
        displays[article] += row.displays
        texts[article] = f"{row.title or article}|{name_category(row.category) if row.category else 'no category'}"
    rates = {row[0]: row[1:4] for row in parts.tables["rates"][1:]}
    assert Parts(index.read_text(encoding="utf-8")).titles == parts.titles  # no chart needs JavaScript
    assert rates == {
        name_category(category) if category else "(no category)": [
            f"{some:,}",
            f"{many:,}",
            format_rate(some / many if many else float("nan")),
        ]
        for category, some, many in (
            (name, categories[name, "clicks"], categories[name, "displays"]) for name, _ in set(categories)
        )
    }
    shown_days = Counter(
        title.partition(" = ")[0]
        for chart, titles in parts.titles.items()
        for title in titles
        if ": click-through rate by day" in chart
    )
    assert shown_days == Counter(
        f"{date.day} Feb 2019: {ClickThrough(many, some)}" for (_, date), (some, many) in days.items()
    )

    order = sorted(clicks, key=lambda article: (-clicks[article], -displays[article], article))[:20]
    shown = [[row[0], row[1], row[2], row[4]] for row in parts.tables["busiest"][1:]]
    assert shown == [[texts[a], f"{clicks[a]:,}", f"{displays[a]:,}", f"{clicks[a]:,}"] for a in order]

    counted: Counter[datetime.date] = Counter()
    seconds: dict[datetime.date, Decimal] = {}
    for (_, date), user in found.user_performance.items():
        counted[date] += user.sessions
        seconds[date] = seconds.get(date, Decimal()) + user.session_seconds
    lengths = [
        [f"{d.day} Feb 2019", f"{counted[d]:,}", format_duration(seconds[d] / counted[d])] for d in sorted(counted)
    ]
    assert parts.tables["lengths"][1:] == lengths
    (titles,) = (titles for chart, titles in parts.titles.items() if chart.startswith("Sessions by day"))
    assert titles == [f"{row[0]}: {row[1]} sessions" for row in lengths] * 2  # for wide and narrow screens

    files = found.counting.values()
    state = {row[0]: row[1] for row in parts.tables["state"]}
    assert state["Files counted"] == "3"
    assert state["Events"] == f"{sum(file.events for file in files):,}"
    assert state["Lines rejected"] == f"{sum(file.rejected for file in files):,}"
    assert state["Files that could not be ingested"] == "1"
    assert parts.tables["failed"][0][0].startswith("broken.tsv|")
    newest = {row[0]: row[1] for row in parts.tables["newest"][1:]}
    assert newest == {key: f"{file.events:,}" for key, file in found.counting.items()}


@pytest.mark.slow
@needs_chromium
def test_names_from_the_data_stay_text(tmp_path: Path) -> None:
    rows = [CategoryDay(name, FIRST_DAY + datetime.timedelta(i), 900, 30) for name in HOSTILE for i in range(2)]
    articles = [Article(f"a{i}", name, name, 50, 5, 9) for i, name in enumerate(HOSTILE)]
    (tmp_path / "index.html").write_text(page.render_page(made(rows, articles)), encoding="utf-8")
    seen = see(tmp_path / "index.html")
    assert seen.console == []
    assert "data-ready" in seen.dom
    names = [row[0] for row in Parts(seen.dom).tables["rates"][1:]]
    assert sorted(names) == sorted(format_name(name) for name in HOSTILE)
    assert "s3cret" not in (tmp_path / "index.html").read_text(encoding="utf-8")


@pytest.mark.slow
@needs_chromium
def test_tables_can_be_sorted_filtered_and_saved(tmp_path: Path) -> None:
    counts = {"a": (900, 30), "b": (5000, 9), "=c,d": (1000, 2)}
    rows = [CategoryDay(name, FIRST_DAY, *both) for name, both in counts.items()]
    script = """
        const rows = () => [...document.querySelectorAll("#rates tbody tr")].filter((row) => !row.hidden)
          .map((row) => row.cells[0].textContent).join(" ");
        const seen = [];
        const headers = document.querySelectorAll("#rates th button");
        for (const number of [0, 0, 1, 1, 3]) { headers[number].click(); seen.push(rows()); }
        seen.push(document.querySelectorAll("#rates th")[3].ariaSort);
        const tools = document.querySelector("#rates").previousElementSibling;
        const keep = (text) => { document.body.dataset.csv = text; };
        URL.createObjectURL = (blob) => { blob.text().then(keep); return "#"; };
        tools.querySelector("input").value = "C";
        tools.querySelector("input").dispatchEvent(new Event("input"));
        seen.push(rows());
        tools.querySelector("a").click();
        document.body.dataset.seen = seen.join("|");
    """
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    text = page.render_page(made(rows, [])).replace("script-src ", f"script-src 'sha256-{digest}' ")
    (tmp_path / "index.html").write_text(
        text.replace("</body>", f'<script type="module">{script}</script></body>'), encoding="utf-8"
    )
    seen = see(tmp_path / "index.html")
    assert seen.console == []
    (body,) = (attributes for tag, attributes in Elements(seen.dom).starts if tag == "body")
    assert body["data-seen"] == "=c,d A B|B A =c,d|A B =c,d|=c,d B A|A =c,d B|descending|=c,d"
    assert body["data-csv"] == (
        '"Category","Clicks","Displays","Rate","95 % interval"\n"\'=c,d","2","1000","0.002","0.05–0.73 %"\n'
    )


@pytest.mark.slow
@needs_chromium
def test_categories_and_days_can_be_chosen(tmp_path: Path) -> None:
    """The filter sums what the charts show; a table that was sorted or filtered before stays so."""
    counts = {"news": [(1000, 30), (1500, 90), (0, 2)], "music": [(900, 1), (4000, 2), (10, 11)], "a": [(7, 7)] * 3}
    rows = [
        CategoryDay(name, FIRST_DAY + datetime.timedelta(i), *both)
        for name, its in counts.items()
        for i, both in enumerate(its)
    ]
    script = """
        const [category, first, last] = document.querySelectorAll(".filter select");
        const seen = [];
        const look = () => {
          const sections = [...document.querySelectorAll("#panels > section")].filter((section) => !section.hidden);
          const table = [...document.querySelectorAll("#rates tbody tr")].filter((row) => !row.hidden);
          seen.push([
            sections.map((section) => [
              section.querySelector("h3").textContent,
              section.querySelector(".total").textContent,
              section.querySelectorAll("svg:first-of-type .out").length,
            ]),
            table.map((row) => [...row.cells].map((cell) => cell.textContent)),
            document.querySelector(".filter output").textContent,
          ]);
        };
        const choose = (select, value) => { select.value = value; select.dispatchEvent(new Event("change")); look(); };
        look();
        document.querySelectorAll("#rates th button")[0].click();
        choose(first, 1);
        choose(category, 2);
        choose(first, 2);
        choose(last, 0);
        const filter = document.querySelector("#rates").previousElementSibling.querySelector("input");
        filter.value = "a";
        filter.dispatchEvent(new Event("input"));
        choose(category, 0);
        filter.value = "";
        document.querySelector(".filter button").click();
        setTimeout(() => { look(); document.body.dataset.seen = JSON.stringify(seen); }, 100);
    """
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    html = page.render_page(made(rows, []))
    assert "<select" not in html  # without JavaScript, everything is shown
    (tmp_path / "index.html").write_text(
        html.replace("script-src ", f"script-src 'sha256-{digest}' ").replace(
            "</body>", f'<script type="module">{script}</script></body>'
        ),
        encoding="utf-8",
    )
    found = see(tmp_path / "index.html")
    assert found.console == []
    (body,) = (attributes for tag, attributes in Elements(found.dom).starts if tag == "body")
    seen = json.loads(body["data-seen"] or "")

    def wanted(names: str, first: int, last: int, order: str, text: str | None) -> list[object]:
        sums = {
            name: ClickThrough(
                sum(day[0] for day in counts[name][first : last + 1]),
                sum(day[1] for day in counts[name][first : last + 1]),
            )
            for name in names.split()
        }
        titles = {name: name_category(name) for name in sums}
        everything = ClickThrough(sum(one.displays for one in sums.values()), sum(one.clicks for one in sums.values()))
        return [
            [[titles[name], f"{one} = {format_rate(one.rate)}", 3 - (last - first + 1)] for name, one in sums.items()],
            [
                [titles[name], f"{one.clicks:,}", f"{one.displays:,}", format_rate(one.rate), format_interval(one)]
                for name, one in ((name, sums[name]) for name in order.split())
            ],
            "" if text is None else f"{text}: {everything} = {format_rate(everything.rate)}",
        ]

    assert seen == [
        wanted("music news a", 0, 2, "music news a", None),
        wanted("music news a", 1, 2, "a music news", "All categories, 16 Feb 2019 to 17 Feb 2019"),
        wanted("news", 1, 2, "news", "News, 16 Feb 2019 to 17 Feb 2019"),
        wanted("news", 2, 2, "news", "News, 17 Feb 2019"),
        wanted("news", 0, 0, "news", "News, 15 Feb 2019"),
        wanted("music news a", 0, 0, "a", "All categories, 15 Feb 2019"),
        wanted("music news a", 0, 2, "a music news", "All categories, 15 Feb 2019 to 17 Feb 2019"),
    ]


@pytest.mark.slow
@needs_chromium
@pytest.mark.parametrize(
    "part",
    ["<img src='http://127.0.0.1:9/x'>", "<script>1</script>", "<link rel=stylesheet href='http://127.0.0.1:9/'>"],
)
def test_nothing_leaves_the_page_and_the_browser_says_so(tmp_path: Path, part: str) -> None:
    html = page.render_page(made([CategoryDay("news", FIRST_DAY, 5, 1)], []))
    (tmp_path / "index.html").write_text(html.replace("</main>", f"{part}</main>"), encoding="utf-8")
    assert any("Content Security Policy" in line for line in see(tmp_path / "index.html").console)


def test_a_long_and_wide_lake_gives_a_small_page() -> None:
    days = [FIRST_DAY + datetime.timedelta(i) for i in range(92)]
    name = "W" * 190
    rows = [CategoryDay(f"{name}{i}", day, 10**9, 123_456_789) for i in range(31) for day in days]
    rows += [CategoryDay(None, day, 10**9, 123_456_789, categories=969_000) for day in days]
    articles = [Article(f"{name}{i}", f"{name}{i}", name, 10**9, 123_456_789, 10**9) for i in range(20)]
    html = page.render_page(made(rows, articles))
    assert len(html.encode()) < 1_200_000
    assert "969,000 least displayed of 969,031" in html


@pytest.mark.parametrize(("days", "most"), [(3, 300_000), (1000, 1_000_000)])
def test_a_page_is_small(days: int, most: int) -> None:
    dates = [FIRST_DAY + datetime.timedelta(i) for i in range(days)]
    rows = [CategoryDay(f"category {i}", date, 10**6, 12_345) for i in range(32) for date in dates]
    articles = [Article(f"a{i}", f"An article's title {i} " * 3, "c", 10**6, 123_456, 10**6) for i in range(20)]
    assert len(page.render_page(made(rows, articles)).encode()) < most


def test_an_empty_lake_gives_a_page_that_says_so(tmp_path: Path, database: str) -> None:
    (tmp_path / "lake").mkdir()
    assert run(tmp_path, tmp_path / "lake", database).returncode == 0
    assert "Nothing to show yet" in (tmp_path / "report" / "index.html").read_text(encoding="utf-8")


def test_the_page_is_drawn_when_something_changed_and_only_then(tmp_path: Path, database: str) -> None:
    lake, index = tmp_path / "lake", tmp_path / "report" / "index.html"
    lake.mkdir()

    def drawn(*arguments: str) -> bool:
        before = index.stat().st_mtime_ns if index.exists() else None
        assert run(tmp_path, lake, database, *arguments).returncode in (0, 1)
        return index.stat().st_mtime_ns != before

    for name in ("a.tsv", "b.tsv"):
        (lake / name).write_bytes(HEADER + CLICK)
    assert [drawn(), drawn()] == [True, False]
    (lake / "broken.tsv").write_bytes(b"no header")
    assert [drawn(), drawn()] == [True, False]
    (lake / "broken.tsv").unlink()
    assert [drawn(), drawn()] == [True, False]
    (lake / "a.tsv").write_bytes(HEADER + CLICK * 2)
    assert [drawn(), drawn()] == [True, False]
    (lake / "b.tsv").unlink()
    assert [drawn(), drawn("forget", "b.tsv"), drawn()] == [False, True, False]
    index.unlink()
    assert drawn()
    index.with_name("click_through_rate.png").unlink()
    assert drawn()
    index.write_text("<html>of an earlier version</html>", encoding="utf-8")
    assert drawn()


def test_a_page_of_another_lake_is_drawn_again(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "report" / "index.html"
    assert page.read_page_state(path) is None
    seen = page_data.read_overview(store.reads.report)
    write_file(path, page.render_page(seen).encode())
    assert page.read_page_state(path) == seen.state == store.reads.report.read_report_state()
    write_file(path, page.render_page(seen._replace(state="other")).encode())
    assert page.read_page_state(path) != store.reads.report.read_report_state()


def test_the_files_of_the_last_run_that_counted_any_are_new(tmp_path: Path, database: str) -> None:
    lake = tmp_path / "lake"
    lake.mkdir()

    def newest() -> tuple[set[str], set[tuple[int, int]]]:
        assert run(tmp_path, lake, database).returncode == 0
        with Database(database) as db, begin_run(db, str(lake)) as this_run:
            rows = page_data.read_overview(ReportReads(this_run)).newest
        return {row.key for row in rows}, {(row.files, row.all_clicks) for row in rows}

    (lake / "a.tsv").write_bytes(HEADER + CLICK)
    assert newest() == ({"a.tsv"}, {(1, 1)})
    for name in ("b.tsv", "c.tsv"):
        (lake / name).write_bytes(HEADER + CLICK * 2)
    assert newest() == ({"b.tsv", "c.tsv"}, {(2, 4)})
    assert newest() == ({"b.tsv", "c.tsv"}, {(2, 4)})


def test_the_page_says_what_the_last_run_restated(tmp_path: Path, database: str) -> None:
    lake, index = tmp_path / "lake", tmp_path / "report" / "index.html"
    lake.mkdir()
    (lake / "a.tsv").write_bytes(HEADER + CLICK)
    assert run(tmp_path, lake, database).returncode == 0
    assert "restated" not in Parts(index.read_text(encoding="utf-8")).tables
    days = [CLICK.replace(b"02-15", f"02-{day}".encode()) for day in range(10, 21)]
    (lake / "days.tsv").write_bytes(HEADER + b"".join(days))
    assert run(tmp_path, lake, database).returncode == 0
    sentence = "The last run changed 1 day that had been published before, 15 Feb 2019: 1 click more, 1 session fewer."
    assert sentence in index.read_text(encoding="utf-8")
    for number in range(2):
        (lake / f"late{number}.tsv").write_bytes(HEADER + b"".join(days).replace(b"s1", b"s2"))
    assert run(tmp_path, lake, database).returncode == 0
    html = index.read_text(encoding="utf-8")
    assert (
        "The last run changed 11 days that had been published before, 10 Feb 2019 to 20 Feb 2019: "
        "22 clicks more, 1 session more."
    ) in html
    assert "and 1 earlier day<" in html
    rows = Parts(html).tables["restatements"][1:]
    assert len(rows) == 10
    assert rows[0] == ["20 Feb 2019|by late0.tsv and 1 other file", "1 → 3", "0", "0", "0 min 00 s"]
    (lake / "new.tsv").write_bytes(HEADER + CLICK.replace(b"02-15", b"02-28").replace(b"s1", b"s3"))
    assert run(tmp_path, lake, database).returncode == 0
    assert "published before" not in index.read_text(encoding="utf-8")


def events(*clicked: tuple[str, str | None, int, int, int]) -> bytes:
    """A file of articles: id, category, day of February 2019, clicks, displays."""
    lines = []
    for article, category, day, clicks, displays in clicked:
        attributes = json.dumps({"id": article} | ({"category": category} if category else {}))
        for event, count in (("article_viewed", clicks), ("top_news_card_viewed", displays)):
            lines += [f"2019-02-{day:02} 10:00:00.000 +0000\ts\t{event}\tu\t{attributes}\n"] * count
    return HEADER + "".join(lines).encode()


def test_the_busiest_articles_are_of_the_newest_week_with_all_their_clicks(tmp_path: Path, database: str) -> None:
    lake = tmp_path / "lake"
    lake.mkdir()
    (lake / "a.tsv").write_bytes(
        events(
            ("steady", "c", 15, 90, 0),  # before the week: of the cumulative clicks only
            *(("steady", "c", day, 3, 1) for day in range(21, 28)),  # 21 in the week, 3 on each day
            ("once", None, 27, 20, 40),
            *((f"few{i:02}", "c", 22, 4, i) for i in range(30)),  # more on a day than "steady"
        )
    )
    assert run(tmp_path, lake, database).returncode == 0
    with Database(database) as db, begin_run(db, str(lake)) as this_run:
        seen = page_data.read_overview(ReportReads(this_run))
    assert seen.articles_since == datetime.date(2019, 2, 21)
    shown = [(a.article_id, a.displays, a.clicks, a.cumulative_clicks) for a in seen.articles]
    assert shown[:2] == [("steady", 7, 21, 111), ("once", 40, 20, 20)]
    assert shown[2:] == [(f"few{i:02}", i, 4, 4) for i in range(29, 11, -1)]
    assert next(row for row in seen.cumulative_clicks if row[0] == "steady") == (
        "steady",
        datetime.date(2019, 2, 15),
        90,
    )


def test_the_article_whose_clicks_changed_most_is_found(tmp_path: Path, database: str) -> None:
    lake = tmp_path / "lake"
    lake.mkdir()

    def changed(*some: tuple[str, str | None, int, int, int]) -> ChangedArticle | None:
        (lake / "a.tsv").write_bytes(events(*some))
        assert run(tmp_path, lake, database).returncode == 0
        with Database(database) as db, begin_run(db, str(lake)) as this_run:
            return page_data.read_overview(ReportReads(this_run)).changed_article

    old = ("old", "c", 15, 50, 50)
    same = [("same", "c", day, 9, 9) for day in (17, 20)]
    assert changed(old, *same) is None
    assert changed(old) is None
    assert changed(*same, ("less", "c", 17, 8, 1), ("more", "c", 20, 7, 1)) == ChangedArticle("less", None, 8, 0)
    assert changed(*same, ("more", "c", 17, 1, 1), ("more", "c", 20, 9, 1)) == ChangedArticle("more", None, 1, 9)


def test_categories_beyond_what_fits_are_gathered(tmp_path: Path, database: str) -> None:
    lake = tmp_path / "lake"
    lake.mkdir()
    named = [(f"a{i}", f"c{i}", 15 + i % 3, i % 2, 50 - i) for i in range(35)]
    (lake / "a.tsv").write_bytes(events(*named, ("none", None, 16, 1, 60)))
    assert run(tmp_path, lake, database).returncode == 0
    with Database(database) as db, begin_run(db, str(lake)) as this_run:
        summary = page_data.read_overview(ReportReads(this_run)).summary
    assert summary is not None
    assert [panel.categories for panel in summary.panels] == [1] * 31 + [5]
    assert [panel.name for panel in summary.panels] == [None, *(f"c{i}" for i in range(30)), None]
    assert summary.panels[-1].total == ClickThrough(sum(50 - i for i in range(30, 35)), 2)
    assert summary.overall.categories == 36
    assert summary.overall.total == ClickThrough(sum(50 - i for i in range(35)) + 60, 18)


def everywhere() -> Overview:
    """An overview whose every text is hostile, and whose counts are more than what is shown."""
    rows = [CategoryDay(text, FIRST_DAY + datetime.timedelta(i), 9000, 1500) for text in HOSTILE for i in range(2)]
    articles = [Article(f"a{i}", text, text, 5000, 1000, 9000) for i, text in enumerate(HOSTILE)]
    articles.append(Article(HOSTILE[0], None, None, 5000, 1000, 9000))
    when = datetime.datetime(2019, 3, 1, 1, 30, tzinfo=datetime.timezone(datetime.timedelta(hours=2)))
    newest = [
        NewFile(
            text, when, 3000, 1000, FIRST_DAY, FIRST_DAY, 2000, 1500, 9, 30_000, 10_000, FIRST_DAY, FIRST_DAY, 20_000, 1
        )
        for text in HOSTILE
    ]
    found = made(rows, articles)
    lake = LakeTotals(f"s3://user:s3cret@bucket/{HOSTILE[0]}", when, 1000, 9000, 5_000_000, 6000, 7000)
    return found._replace(lake=lake, failed=[(text, text) for text in HOSTILE], newest=newest)


class Elements(html.parser.HTMLParser):
    """The elements of a page as a browser without scripts reads it, and the text of each script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.starts: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.starts.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "script":
            self.scripts[-1] += data


def test_no_text_of_the_data_is_markup() -> None:
    harmless = everywhere()
    plain = harmless._replace(
        lake=harmless.lake._replace(url="s3://bucket/"),
        failed=[("key", "error")] * len(HOSTILE),
        newest=[file._replace(key="key") for file in harmless.newest],
    )
    hostile, tame = (Elements(page.render_page(overview)) for overview in (harmless, plain))
    assert hostile.starts == tame.starts
    assert Counter(tag for tag, _ in hostile.starts)["script"] == 1
    for tag, attributes in hostile.starts:
        assert tag not in ("a", "base", "form", "iframe", "img", "link", "object")
        assert not {name for name in attributes if name.startswith("on")} | (
            attributes.keys() & {"src", "href", "action"}
        )


def test_every_text_of_the_data_is_shown_with_what_is_invisible_made_visible() -> None:
    parts = Parts(page.render_page(everywhere()))
    shown = [format_name(text) for text in HOSTILE]
    assert "“\\u2028\\u2029 line ends”" in shown
    assert sorted(row[0] for row in parts.tables["rates"][1:]) == sorted(shown)
    assert [row[0] for row in parts.tables["newest"][1:]] == shown
    assert [row[0] for row in parts.tables["failed"]] == [f"{text}|{text}" for text in shown]
    busiest = [row[0].partition("|")[::2] for row in parts.tables["busiest"][1:]]
    assert busiest == [*((text, text) for text in shown), (shown[0], "no category")]


def test_counts_are_written_with_commas() -> None:
    text = page.render_page(everywhere())
    parts = Parts(text)
    words = " ".join(re.sub(r"<[^>]*>", "", text).split())
    assert "9 files, counted 2019-02-28 23:30 UTC, of 15 Feb 2019: 30,000 events, among them 1 click and" in words
    assert "1 click and 20,000 displays; 10,000 lines rejected." in words
    assert [row[1:] for row in parts.tables["newest"][1:]] == [["3,000", "1,500", "2,000", "1,000"]] * len(HOSTILE)
    assert [row[1] for row in parts.tables["state"]] == ["1,000", "5.0 MB", "6,000", "7,000", "9,000"]
    assert parts.tables["busiest"][1][1:] == ["1,000", "5,000", "20.0 %|18.9–21.1 %", "9,000"]
    assert parts.tables["rates"][1][1:] == ["3,000", "18,000", "16.7 %", "16.1–17.2 %"]
    assert "3,000 clicks / 18,000 displays = 16.7 %" in words


def test_the_page_may_run_its_own_scripts_and_nothing_else() -> None:
    text = page.render_page(everywhere())
    elements = Elements(text)
    (policy,) = (a["content"] for tag, a in elements.starts if a.get("http-equiv") == "Content-Security-Policy")
    rules = dict(rule.split(" ", 1) for rule in (policy or "").split("; "))
    hashes = [base64.b64encode(hashlib.sha256(it.encode()).digest()).decode() for it in elements.scripts]
    assert rules == {
        "default-src": "'none'",
        "script-src": " ".join(f"'sha256-{digest}'" for digest in hashes),
        "style-src": "'unsafe-inline'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    tags = [tag for tag, _ in elements.starts]
    assert text.index("Content-Security-Policy") < text.index("<style")  # it does not hold for what stands before it
    assert tags.index("meta") < tags.index("script")


def test_a_page_says_what_it_leaves_out() -> None:
    more = everywhere()
    text = page.render_page(more)
    assert "and 2 files with fewer clicks" in text  # 9 new files, of which 7 are shown
    assert "and 8,993 files more" in text  # 9,000 failed files, of which 7 are shown
    assert "<code>python run.py rejected</code> shows the rejected lines" in text
    assert "9,000 files could not be ingested" in text
    exact = page.render_page(
        more._replace(
            lake=more.lake._replace(failed_files=7, rejected_lines=0),
            newest=[file._replace(files=7) for file in more.newest],
        )
    )
    for words in ("with fewer clicks", "files more", "python run.py rejected"):
        assert words not in exact
    few = Elements(page.render_page(made([CategoryDay("news", FIRST_DAY, 5, 1)], [])._replace(failed=[])))
    assert {"failed", "newest", "busiest"}.isdisjoint(attributes.get("id") for _, attributes in few.starts)


def test_the_tiles_are_the_sums() -> None:
    def tiles(overview: Overview) -> dict[object, tuple[object, object, object]]:
        return {tile["name"]: (tile["value"], tile["note"], tile["change"]) for tile in page._tiles(overview)}

    found = made([CategoryDay("news", FIRST_DAY, 5000, 1200), CategoryDay("sport", FIRST_DAY, 3000, 0)], [])
    assert tiles(found) == {
        "Click-through rate": ("15.0 %", "95 %: 14.2–15.8 %", ""),
        "Clicks": ("1,200", "of 8,000 displays", ""),
        "Sessions": ("2", "by user and session", ""),
        "Average session": ("0 min 31 s", "first to last event", ""),
    }
    later = made([CategoryDay("news", FIRST_DAY + datetime.timedelta(i), 1000, 40 + i) for i in range(2)], [])
    assert [change for _, _, change in tiles(later).values()] == [
        "+0.10 points on the day before",
        "+2.5 % on the day before",
        "±0.0 % on the day before",
        "±0.0 % on the day before",
    ]
    assert tiles(found._replace(summary=None, sessions=None)) == {}


def test_a_tile_compares_whole_months() -> None:
    days = (datetime.date(2019, 1, 1) + datetime.timedelta(i) for i in range(1000))
    found = made([CategoryDay("news", day, 1000, 40 + day.month % 2) for day in days], [])
    changes = {str(tile["name"]): tile["change"] for tile in page._tiles(found)}
    # The last day is 2021-09-26: August is compared with July, which has as many days.
    assert changes["Clicks"] == "\N{MINUS SIGN}2.4 % in the last whole month"
    assert changes["Click-through rate"] == "\N{MINUS SIGN}0.10 points in the last whole month"
    assert changes["Sessions"] == "±0.0 % in the last whole month"


def test_the_page_says_what_changed_most() -> None:
    some = made([CategoryDay("news", FIRST_DAY + datetime.timedelta(i), 1000, 40 + i) for i in range(2)], [])
    text = page.render_page(some._replace(changed_article=ChangedArticle("a1", HOSTILE[0], 3, 9)))
    assert "console.error(&#39;out&#39;)&lt;/script&gt;” changed most: 9 clicks on 16 Feb 2019, 6 more than on" in text


def test_times_are_shown_in_utc() -> None:
    assert page.render_page(everywhere()).count("2019-02-28 23:30 UTC") == 2  # of the lake, and of the newest files
    nothing = everywhere()._replace(lake=LakeTotals("/lake", None, 0, 0, 0, 0, 0), newest=[], failed=[])
    assert "No file is counted yet" in page.render_page(nothing)
    assert "Nothing yet." in page.render_page(nothing)


def test_a_state_is_looked_for_at_the_head_of_a_page(tmp_path: Path) -> None:
    path = tmp_path / "index.html"
    path.write_text(f'{"x" * 1000}<meta name="event-lake-state" content="1">', encoding="utf-8")
    assert page.read_page_state(path) is None
    path.write_text(
        '<meta name="event-lake-state" content="1"><meta name="event-lake-state" content="2">', encoding="utf-8"
    )
    assert page.read_page_state(path) == "1"
