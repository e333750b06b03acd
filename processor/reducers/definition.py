"""What the lines of a lake mean: a value that `lake.toml` describes, and that every fold gets."""

from dataclasses import dataclass

# The sections of lake.toml with their keys, which are the fields of a Definition.
SECTIONS = {
    "columns": ("timestamp", "session", "event", "user", "attributes"),
    "events": ("click", "display"),
    "attributes": ("article", "title", "category"),
    "days": ("timezone",),
}


@dataclass(frozen=True, slots=True)
class Definition:
    """What the lines of a lake mean; without arguments, what they mean in the lake of the assignment.

    timestamp, session, event, user, attributes: the names of columns. click, display: the names of the events that are
    counted. article, title, category: keys of the attributes. timezone: the zone whose days are counted, as IANA names
    it.
    """

    timestamp: str = "TIMESTAMP"
    session: str = "MD5(SESSION_ID)"
    event: str = "EVENT_NAME"
    user: str = "MD5(USER_ID)"
    attributes: str = "ATTRIBUTES"
    click: frozenset[str] = frozenset({"article_viewed"})
    display: frozenset[str] = frozenset({"top_news_card_viewed", "my_news_card_viewed"})
    article: str = "id"
    title: str = "title"
    category: str = "category"
    timezone: str = "UTC"

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns that a header must have, in the order of the fields."""
        return self.timestamp, self.session, self.event, self.user, self.attributes

    def overrides(self) -> dict[str, object]:
        """Return the settings that differ from the assignment's, as JSON can hold them; equal for equal definitions."""
        default = Definition()
        return {
            f"{section}.{key}": sorted(value) if isinstance(value, frozenset) else value
            for section, keys in SECTIONS.items()
            for key in keys
            if (value := getattr(self, key)) != getattr(default, key)
        }
