"""Makes realistic lakes of any size, always the same bytes for the same arguments.

    python -m tests.support.made_lake FOLDER --days 3 --lines 5000

Lines are joined from prepared parts, minute by minute: memory holds the lines of the sessions under way and the
articles of the last days, however long a file is.
"""

import argparse
import base64
import gzip
import hashlib
import json
import math
import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from pathlib import Path
from random import Random
from typing import BinaryIO, NamedTuple
from uuid import UUID

from tests.support.event_files import HEADER

MINUTES = 24 * 60
SECONDS = 60 * MINUTES
CLOCK = [f"{s // 3600:02}:{s // 60 % 60:02}:{s % 60:02}.".encode() for s in range(SECONDS)]
MILLISECONDS = [f"{ms:03} +0000\t".encode() for ms in range(1000)]

FIRST_DAY = date(2019, 2, 15)
BEGUN_BY_HOUR = [2, 1, 1, 1, 1, 2, 5, 8, 8, 6, 5, 5, 6, 6, 5, 5, 5, 6, 7, 8, 8, 7, 5, 4]
CARDS_IN_SESSION = range(6, 19)
ARTICLE_DAYS = 4
BAD_CARDS_ONE_IN = 1600
NULL_IDS_ONE_IN = 500
LATE_SESSIONS_ONE_IN = 300

CATEGORIES = {
    "news": ["crime", "disasters", "miscellaneous"],
    "politics": ["home_affairs", "foreign_affairs", "elections"],
    "sports": ["football", "tennis", "motor_racing", "cycling"],
    "digital_life": ["games", "mobile_tablet", "internet"],
    "fashion_beauty_lifestyle": ["health", "food_drink", "beauty"],
    "people_shows": ["tv", "vips", "cinema"],
    "business_finance": ["markets", "companies", "consumer"],
    "science_tech": ["space", "climate", "medicine"],
    "music": ["pop", "classical", "miscellaneous"],
    "travel": ["europe", "far_away", "miscellaneous"],
    "auto": ["road_tests", "electric", "traffic"],
    "culture": ["books", "art", "theatre"],
}
# A title is one part from each list of a language.
LANGUAGES = [
    (
        ["Die Bürgermeisterin", "Der Wetterdienst", "Eine Bäckerei aus Köln", "Das „schönste“ Städtchen"],
        ["sucht", "verschenkt", "prüft jetzt", "öffnet wieder für", "überrascht mit"],
        ["einen größeren Garten", "5 Tipps gegen Müdigkeit", "ein Überraschungsei", "grünes Licht – vorerst"],
    ),
    (
        [
            "The old harbour",
            "A retired teacher",
            "Our neighbours' dog",
            'The "quiet" committee',
            "Scientists",
        ],
        ["discovered", "said no to", "can't explain", "dreamt of", "won"],
        ['a "lost" painting', "the last bus home", "10 things nobody knew", "cheaper trains & planes"],
    ),
    (
        ["La boulangère", "Le théâtre de l’île", "Un garçon de Besançon", "L'équipe de Nîmes", "La forêt"],
        ["découvre", "n’oublie pas", "rêve de", "a retrouvé", "préfère"],
        ["une forêt enchantée", "l’été à la mer", "3 000 € dans l'armoire", "des pâtes « al dente »"],
    ),
    (
        ["El pequeño museo", "Una señora de Cádiz", "Nuestra niñez", "El “otro” equipo"],
        ["encontró", "sueña con", "celebrará", "ganó", "perdió"],
        ["el mañana", "un balón de 1974", "la canción del año", "¡más de 100 años!"],
    ),
    (
        ["Pół miasta", "Szczęśliwy kierowca", "Żółta łódka", "Młodzież z Łodzi"],
        ["śledzi", "wygrywa", "odkrywa", "kupiła", "chce mieć"],
        ["źródło ciepła", "nową ścieżkę", "50 % zniżki", "gwiazdę wieczoru ⭐"],
    ),
    (
        ["La città vecchia", "Perché il caffè", "Un'università", "La gioventù"],
        ["cerca", "è pronta per", "sceglie così", "trova", "salverà"],
        ["la verità", "più libertà", "un gelato da 7 €", "l'età dell'oro"],
    ),
]
SOURCES = [
    "Tagesfährte",
    "Morning Kettle",
    "L’Écho du Lac",
    "El Correo Pequeño",
    "Żuraw",
    "Il Ponte",
    "Nordwind",
]
NOTES = ["TRENDING_SOCIAL", "SPECIFIC_TRENDING", "SERENDIPITY", "TRENDING_NEWS", "REAL_LIFE", "GENERAL_NEWS"]

Attributes = dict[str, str | list[str]]


class Article(NamedTuple):
    """An article, and the parts of its lines: a card's attributes are its head, a position and its tail."""

    born: int
    popularity: float
    attributes: Attributes
    card: bytes
    head: bytes
    tail: bytes
    click: bytes


class Card(NamedTuple):
    """An article on one day: the parts of its lines, and the share of its cards that are clicked."""

    click_rate: float
    name: bytes
    head: bytes
    tail: bytes
    click: bytes


class Arrivals:
    """The lines to write, as parts, by the minute of their arrival; times are in ms since the first day."""

    def __init__(self, first_day: date, days: int) -> None:
        # The sessions of the last evening continue on the next day.
        self.dates = [f"{first_day + timedelta(day)} ".encode() for day in range(days + 1)]
        self.minutes: defaultdict[int, list[bytes]] = defaultdict(list)

    def add(self, at: int, delay: int, *parts: bytes) -> None:
        """Add a line of this time that arrives `delay` minutes late."""
        self.minutes[at // 60_000 + delay] += self.stamped(at, *parts)

    def stamped(self, at: int, *parts: bytes) -> tuple[bytes, ...]:
        """Return the parts of a line after those of its timestamp."""
        second = at // 1000
        return self.dates[second // SECONDS], CLOCK[second % SECONDS], MILLISECONDS[at % 1000], *parts

    def take(self, minute: int) -> bytes:
        """Return and remove the lines that arrive in a minute."""
        return b"".join(self.minutes.pop(minute, ()))


def write(
    folder: Path,
    *,
    days: int = 3,
    lines: int = 5000,
    seed: int = 1,
    first_day: date = FIRST_DAY,
    users: int | None = None,
    articles: int | None = None,
    compress: bool = False,
) -> list[Path]:
    """Write one file of about `lines` lines for each day, and return the files; more days add files and change none.

    `users` is how many there are, `articles` how many are new each day; both follow `lines` where not given.
    """
    folder.mkdir(parents=True, exist_ok=True)
    random = Random(seed)
    users = users or max(10, lines // 30)
    articles = articles or max(20, min(lines // 100, 4000))
    base_rates = {category: 0.045 + 0.075 * random.random() for category in CATEGORIES}
    arrivals = Arrivals(first_day, days)
    live: list[Article] = []
    for day in range(-ARTICLE_DAYS, 0):
        live = live_articles(random, live, articles, first_day, day)
    paths = []
    due = 0.0
    for day in range(days):
        live = live_articles(random, live, articles, first_day, day)
        cards = todays_cards(live, base_rates, day)
        sessions = lines / mean_lines(cards)
        paths.append(folder / f"{first_day + timedelta(day)}.tsv{'.gz' if compress else ''}")
        with opened(paths[-1]) as file:
            file.write(HEADER)
            for minute in range(MINUTES):
                due += sessions * BEGUN_BY_HOUR[minute // 60] / sum(BEGUN_BY_HOUR) / 60
                while due >= 1:
                    due -= 1
                    at = 60_000 * (day * MINUTES + minute) + int(60_000 * random.random())
                    user = f"{seed} {int(users * random.random() ** 1.5)}"
                    add_session(random, arrivals, at, hashlib.md5(user.encode()).hexdigest().encode(), cards)
                file.write(arrivals.take(day * MINUTES + minute))
    return paths


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO | gzip.GzipFile]:
    """Open a file to write to; one that is compressed contains no name and no time."""
    with path.open("wb") as file:
        if path.suffix != ".gz":
            yield file
            return
        with gzip.GzipFile("", "wb", compresslevel=1, fileobj=file, mtime=0) as packed:
            yield packed


def add_session(random: Random, arrivals: Arrivals, at: int, user: bytes, cards: list[Card]) -> None:
    """Add the lines of one session, which opens the app, sees cards and clicks on some."""
    chance, add, count = random.random, arrivals.add, len(cards)
    session = b"%032x" % random.getrandbits(128)
    if chance() * NULL_IDS_ONE_IN < 1:
        session = random.choice((b"", rb"\N"))
    if chance() * NULL_IDS_ONE_IN < 1:
        user = random.choice((b"", rb"\N"))
    delay = int(1 + 180 * chance()) if chance() * LATE_SESSIONS_ONE_IN < 1 else 0
    pace = 10_000 + int(80_000 * chance() ** 2)
    add(at, delay, session, b"\tapp_opened\t", user, OPENED)
    positions = POSITIONS[: random.choice(CARDS_IN_SESSION)]
    for position in positions:
        # The third power makes a long tail: few articles, at the front, are on most cards.
        click_rate, name, head, tail, click = cards[int(count * chance() ** 3)]
        at += 200 + int(pace * chance())
        add(at, delay, session, name, user, head, position, tail)
        if chance() < click_rate:
            at += 500 + int(2_000 * chance())
            add(at, delay, session, b"\tarticle_viewed\t", user, click)
            at += 1_000 + int(2 * pace * chance())
            add(at, delay, session, b"\tarticle_closed\t", user, CLOSED)
    if chance() * BAD_CARDS_ONE_IN < len(positions):
        line = b"".join(arrivals.stamped(at, session, name, user, head, positions[0], tail))
        arrivals.minutes[at // 60_000 + delay].append(damaged(random, line))


def damaged(random: Random, line: bytes) -> bytes:
    """Return a line that is rejected, each time for another reason, made from a good one."""
    title = b'"title": "'
    return random.choice(
        (
            line[: len(line) * 2 // 3] + b"\n",
            line.replace(b"\t", b" ", 1),
            line.replace(b"-", b"/", 2),
            re.sub(rb"\t[a-z_]+_viewed\t", b"\t\t", line),
            line.replace(title, b'"title": "\xfc'),
            line.replace(title, b'"title": "\0'),
            line.replace(title, rb'"title": "\u0000'),
            line.replace(title, rb'"title": "\ud83d'),
            line.replace(title, b'"title": NaN, "'),
        )
    )


def mean_lines(cards: list[Card]) -> float:
    """Return the approximate number of lines of a session."""
    click_rate = sum(card.click_rate for card in cards) / len(cards)
    return 1 + sum(CARDS_IN_SESSION) / len(CARDS_IN_SESSION) * (1 + 2 * click_rate)


def todays_cards(live: list[Article], base_rates: dict[str, float], day: int) -> list[Card]:
    """Return the cards of the day, the most popular first; click rates drift between 3 and 15 per cent."""
    rates = {}
    for index, (category, base) in enumerate(base_rates.items()):
        rates[category] = min(0.15, max(0.03, base * (1 + 0.3 * math.sin(day / 5 + index))))
    ranked = sorted(live, key=lambda article: article.popularity / 2 ** (day - article.born), reverse=True)
    return [Card(rates[str(article.attributes["category"])], *article[3:]) for article in ranked]


def live_articles(random: Random, live: list[Article], new: int, first_day: date, day: int) -> list[Article]:
    """Return yesterday's articles that are not too old, some with a new title, and the day's new ones."""
    kept = [article for article in live if day - article.born < ARTICLE_DAYS]
    kept = [retitled(random, article) if random.random() < 0.05 else article for article in kept]
    return kept + [new_article(random, first_day, day) for _ in range(new)]


def retitled(random: Random, article: Article) -> Article:
    """Return the article with a new title."""
    attributes = article.attributes | {"title": f"+++ {article.attributes['title']} +++"}
    return with_parts(random, article.born, article.popularity, attributes)


def new_article(random: Random, first_day: date, day: int) -> Article:
    """Return a new article of the day; one in three is top news."""
    category = random.choice(list(CATEGORIES))
    title = " ".join(random.choice(words) for words in random.choice(LANGUAGES))
    source = random.choice(SOURCES)
    domain = re.sub("[^a-z]", "", source.lower()) + random.choice([".de", ".com", ".fr", ".example.org"])
    slug = re.sub("[^a-z0-9]+", "-", title.lower()).strip("-")
    published = datetime.combine(first_day, time()) + timedelta(day, random.randrange(-SECONDS // 4, SECONDS))
    parts = random.sample(CATEGORIES[category], random.choice((0, 1, 1, 2)))
    key = random.getrandbits(128)
    attributes: Attributes = {
        "category": category,
        "publishTime": f"{published.isoformat()}Z",
        "sourceDomain": domain,
        "sourceName": source,
        "subcategories": [f"{category}.{part}" for part in parts],
        "title": title,
        "url": f"https://www.{domain}/{category}/{published:%Y/%m/%d}/{slug}-{key % 10**8}.html?amp=1",
    }
    if random.random() < 1 / 3:
        attributes |= {"id": str(UUID(int=key)), "stream": "ntk"}
    else:
        short = base64.urlsafe_b64encode(key.to_bytes(16, "big")).decode().rstrip("=")
        attributes |= {"id": short, "stream": "wtk", "noteType": random.choice(NOTES)}
    return with_parts(random, day, random.random(), attributes)


def with_parts(random: Random, born: int, popularity: float, attributes: Attributes) -> Article:
    """Return the article with the parts of its lines."""
    top = attributes["stream"] == "ntk"
    name = b"\ttop_news_card_viewed\t" if top else b"\tmy_news_card_viewed\t"
    card = attributes | {"orientation": "PORTRAIT", "position": "?"}
    head, tail = field(card if top else card | {"streamType": "my news"}).split(b'"position": "?"')
    browser = random.choice(("Chrome", "Custom Chrome Tabs", "Samsung Internet"))
    click = field(attributes | {"browser": browser, "network": "online"})
    return Article(born, popularity, attributes, name, head, tail, click)


def field(attributes: Attributes) -> bytes:
    """Return the attributes as the end of a line, with the spaces of the app."""
    spaced = json.dumps(attributes, indent=2, ensure_ascii=False, sort_keys=True).replace("\n", "  ")
    return f"\t{spaced}\n".encode()


POSITIONS = [f'"position": "{position}"'.encode() for position in range(1, CARDS_IN_SESSION.stop)]
OPENED = field({"network": "wifi", "orientation": "PORTRAIT"})
CLOSED = field({"browser": "Custom Chrome Tabs", "stream": "wtk"})


def main() -> None:
    """Make the lake that the command line describes."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.made_lake", description="Make a realistic lake.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--days", type=int, default=3)
    parser.add_argument("--lines", type=int, default=5000, help="about how many in each file")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first-day", type=date.fromisoformat, default=FIRST_DAY, metavar="YYYY-MM-DD")
    parser.add_argument("--users", type=int, help="how many there are (default: a thirtieth of the lines)")
    parser.add_argument("--articles", type=int, help="how many are new each day (default: a hundredth)")
    parser.add_argument("--gzip", action="store_true", dest="compress", help="write .tsv.gz")
    options = vars(parser.parse_args())
    write(options.pop("folder"), **options)


if __name__ == "__main__":
    main()
