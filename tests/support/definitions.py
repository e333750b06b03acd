"""Definitions of what lines mean: as the oracle, as lake.toml and as the program has them."""

import json
from pathlib import Path

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
