"""Reads what the lines of the lake mean from `lake.toml`, or from the file that LAKE_DEFINITION names."""

import tomllib
from pathlib import Path

from processor.errors import SettingError
from processor.reducers.days import is_timezone
from processor.reducers.definition import SECTIONS, Definition

DEFAULT_FILE = Path(__file__).resolve().parents[2] / "lake.toml"
# A text with one of these is in no header, and in no line.
FORBIDDEN = frozenset("\t\n\r\0")


class WrongValueError(Exception):
    """A section, key or value is wrong; the message says which and what to write, and follows the file's name."""


def read_definition(path: Path) -> Definition:
    """Return the definition in a TOML file; raises SettingError, which names the file, the key and what to write."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise SettingError(
            f"{path} cannot be read ({error.strerror}); make it readable, or name another file in LAKE_DEFINITION"
        ) from error
    except UnicodeDecodeError as error:
        raise SettingError(f"{path} is not UTF-8; save it as UTF-8") from error
    try:
        found = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise SettingError(
            f"{path} is not TOML ({error}); write one setting per line, with text in double quotes, as in "
            f"{_example('click')}"
        ) from error
    try:
        return _check(found)
    except WrongValueError as error:
        raise SettingError(f"{path}: {error}") from error


def _check(found: dict[str, object]) -> Definition:
    """Return the definition in parsed TOML; raises WrongValueError with the key and what to write."""
    values: dict[str, str | frozenset[str]] = {}
    for section in found.keys() - SECTIONS.keys():
        raise WrongValueError(f"{section} is unknown; the sections are {', '.join(f'[{name}]' for name in SECTIONS)}")
    for section, keys in SECTIONS.items():
        settings = found.get(section, {})
        if not isinstance(settings, dict):
            raise WrongValueError(f"{section} must be a section; write [{section}] on a line of its own")
        for key in settings.keys() - set(keys):
            raise WrongValueError(f"[{section}] {key} is unknown; the keys of [{section}] are {', '.join(keys)}")
        for key in keys:
            if key not in settings:
                raise WrongValueError(f"[{section}] {key} is missing; write it as in {_example(key)}")
            values[key] = _check_value(section, key, settings[key])
        _refuse_doubles(section, keys, values)
    return Definition(**values)  # type: ignore[arg-type]


def _check_value(section: str, key: str, value: object) -> str | frozenset[str]:
    if section == "events":
        if not isinstance(value, list) or not value or not all(map(_is_name, value)):
            raise WrongValueError(
                f"[{section}] {key} must be a list of names in double quotes, without tabs and line breaks, as in "
                f"{_example(key)}"
            )
        return frozenset(value)
    if not isinstance(value, str) or not _is_name(value):
        raise WrongValueError(
            f"[{section}] {key} must be text in double quotes, without tabs and line breaks, as in {_example(key)}"
        )
    if key == "timezone" and value != "UTC" and not is_timezone(value):
        raise WrongValueError(f'[{section}] {key} must be the IANA name of a zone, as in {key} = "Europe/Berlin"')
    return value


def _is_name(value: object) -> bool:
    r"""Whether a value is a text that a field can hold and that is not null, as the empty text and \N are."""
    return isinstance(value, str) and value not in ("", r"\N") and not FORBIDDEN.intersection(value)


def _refuse_doubles(section: str, keys: tuple[str, ...], values: dict[str, str | frozenset[str]]) -> None:
    """Raise WrongValueError if two keys of a section have a name in common."""
    key_of: dict[str, str] = {}
    for key in keys:
        value = values[key]
        for name in value if isinstance(value, frozenset) else {value}:
            if name in key_of:
                both = f"{key_of[name]} and {key}"
                raise WrongValueError(f"[{section}] {both} have the same name, {name}; each needs a name of its own")
            key_of[name] = key


def _example(key: str) -> str:
    """Return a line of the file as it may be."""
    value = getattr(Definition(), key)
    names = ", ".join(f'"{name}"' for name in sorted(value)) if isinstance(value, frozenset) else f'"{value}"'
    return f"{key} = [{names}]" if isinstance(value, frozenset) else f"{key} = {names}"
