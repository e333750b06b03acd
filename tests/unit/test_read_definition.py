"""lake.toml: what it may say, and what a wrong file is answered."""

from pathlib import Path

import pytest

from processor import cli
from processor.command_line.read_definition import DEFAULT_FILE, read_definition
from processor.errors import SettingError
from processor.reducers.definition import Definition
from tests.support.command_lines import set_only_a_database
from tests.support.definitions import OTHER, of_the_program, write_definition
from tests.support.paths import ROOT

TEXT = DEFAULT_FILE.read_text(encoding="utf-8")

WRONG = {
    "[columns]\ntimestamp = 1": "[columns] timestamp must be text in double quotes",
    TEXT.replace('user = "MD5(USER_ID)"\n', ""): '[columns] user is missing; write it as in user = "MD5(USER_ID)"',
    TEXT.replace(
        "user =", "usr ="
    ): "[columns] usr is unknown; the keys of [columns] are timestamp, session, event, user",
    TEXT.replace("[days]", "[day]"): "day is unknown; the sections are [columns], [events], [attributes], [days]",
    "version = 1\n" + TEXT: "version is unknown; the sections are",
    "days = 1\n" + TEXT.partition("[days]")[0]: "days must be a section; write [days] on a line of its own",
    "": '[columns] timestamp is missing; write it as in timestamp = "TIMESTAMP"',
    TEXT.replace('["article_viewed"]', '"article_viewed"'): "[events] click must be a list of names in double quotes",
    TEXT.replace('["article_viewed"]', "[]"): "[events] click must be a list of names in double quotes, without tabs",
    TEXT.replace('["article_viewed"]', '["a", 1]'): 'as in click = ["article_viewed"]',
    TEXT.replace('["article_viewed"]', r'["\\N"]'): "[events] click must be a list",
    TEXT.replace('"id"', '""'): "[attributes] article must be text in double quotes, without tabs and line breaks",
    TEXT.replace('"id"', r'"i\u0000d"'): "[attributes] article must be text",
    TEXT.replace('"id"', "[1]"): 'as in article = "id"',
    TEXT.replace(
        '"title"', '"id"'
    ): "[attributes] article and title have the same name, id; each needs a name of its own",
    TEXT.replace('"EVENT_NAME"', '"TIMESTAMP"'): "[columns] timestamp and event have the same name, TIMESTAMP",
    TEXT.replace('["article_', '["my_news_card_'): "[events] click and display have the same name, my_news_card_viewed",
    TEXT.replace('"UTC"', "false"): "[days] timezone must be text in double quotes",
    TEXT.replace('"id"', "id"): "is not TOML (Invalid value (at line ",
    TEXT.replace('"id"', '"id'): "write one setting per line, with text in double quotes, as in click = [",
    TEXT.replace('title = "title"', 'article = "id"'): "is not TOML (Cannot overwrite a value (at line ",
    "x = " + "[" * 5000: "is not TOML (",
    "x = " + "9" * 5000: "is not TOML (",
}


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    set_only_a_database(monkeypatch)
    monkeypatch.setenv("LAKE_URL", "s3://b/l/")


def test_the_file_beside_the_program_has_the_assignments_meaning() -> None:
    assert DEFAULT_FILE == ROOT / "lake.toml"
    assert read_definition(DEFAULT_FILE) == Definition()
    assert cli.parse_settings([]).lake_settings.definition == Definition()


def test_another_file_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_definition(tmp_path / "mine.toml", OTHER)
    monkeypatch.setenv("LAKE_DEFINITION", str(path))
    assert cli.parse_settings(["status"]).lake_settings.definition == of_the_program(OTHER)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))  # as editors on Windows write it
    assert read_definition(path) == of_the_program(OTHER)


def test_the_order_of_lists_and_comments_change_nothing(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        TEXT.replace("[days]", "# a comment\n[days]").replace('["top', '["my_news_card_viewed", "top'), "utf-8"
    )
    assert read_definition(path) == Definition()
    assert read_definition(path).overrides() == {}
    assert of_the_program(OTHER).overrides() == {
        "columns.session": "MD5(USER_ID)",
        "columns.user": "MD5(SESSION_ID)",
        "events.click": ["app_opened", "my_news_card_viewed"],
        "events.display": ["article_viewed"],
        "attributes.article": "title",
        "attributes.title": "category",
        "attributes.category": "id",
    }


@pytest.mark.parametrize(("text", "message"), WRONG.items())
def test_what_is_wrong_is_named_in_one_line(
    text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "lake.toml"
    path.write_text(text, encoding="utf-8")
    monkeypatch.setenv("LAKE_DEFINITION", str(path))
    with pytest.raises(SystemExit) as ended:
        cli.parse_settings([])
    (line,) = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2
    assert str(path) in line
    assert message in line
    doctor = cli.parse_settings(["doctor"])
    assert (len(doctor.errors), doctor.lake_settings.definition) == (1, Definition())
    assert message in doctor.errors[0]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "none.toml", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(SettingError) as raised:
            read_definition(path)
        assert str(raised.value) == (
            f"{path} cannot be read ({reason}); make it readable, or name another file in LAKE_DEFINITION"
        )
    (tmp_path / "latin").write_bytes(b'[columns]\nuser = "\xe9"\n')
    with pytest.raises(SettingError, match=r"latin is not UTF-8; save it as UTF-8$"):
        read_definition(tmp_path / "latin")
