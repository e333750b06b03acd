"""Definitions of what lines mean: as the oracle, as lake.toml and as the program has them."""

import json
from pathlib import Path

from hypothesis import strategies as st

from processor.reducers.definition import SECTIONS, Definition
from tests.support import oracle

# Every setting differs from the assignment's, but files of the assignment can be read by it.
OTHER = oracle.Definition(
    session="MD5(USER_ID)",
    user="MD5(SESSION_ID)",
    click=("app_opened", "my_news_card_viewed"),
    display=("article_viewed",),
    article="title",
    title="category",
    category="id",
)

# Zones whose midnight is near that of UTC, around which the strategies draw times, and others.
ZONES = ("UTC", "Africa/Lagos", "Atlantic/Azores", "America/Noronha", "Europe/London", "Asia/Kathmandu")


@st.composite
def definitions(draw: st.DrawFn) -> oracle.Definition:
    """A definition by which files of the strategies can be read."""
    session, user = draw(st.permutations((oracle.REQUIRED[1], oracle.REQUIRED[3])))
    names = draw(st.permutations((oracle.CLICK, *oracle.DISPLAYS, "app_opened", "article_closed")))
    clicks = draw(st.integers(1, 2))
    article, title, category = draw(st.permutations(("id", "title", "category")))
    return oracle.Definition(
        session=session,
        user=user,
        click=tuple(names[:clicks]),
        display=tuple(names[clicks : draw(st.integers(clicks + 1, 4))]),
        article=article,
        title=title,
        category=category,
        timezone=draw(st.sampled_from(ZONES)),
    )


def write_definition(path: Path, definition: oracle.Definition) -> Path:
    """Write a lake.toml, and return its path."""
    lines = []
    for section, keys in SECTIONS.items():
        lines.append(f"[{section}]")
        for key in keys:
            value = getattr(definition, key)
            lines.append(f"{key} = {json.dumps(value if isinstance(value, str) else list(value))}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def of_the_program(definition: oracle.Definition) -> Definition:
    """Return the definition as the program has it."""
    values = {key: value if isinstance(value, str) else frozenset(value) for key, value in definition._asdict().items()}
    return Definition(**values)  # type: ignore[arg-type]
