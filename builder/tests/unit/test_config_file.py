"""Reading `keyturn.toml`: file, line and remedy of each mistake; the schema for editors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from keyturn_builder.app_config import AppConfig
from keyturn_builder.config_file import lines_of, parse_config, read_config, schema_text
from keyturn_builder.errors import BuilderError


def mistakes(text: str) -> list[tuple[int | None, str, str]]:
    """Return line, place and remedy of each mistake."""
    with pytest.raises(BuilderError) as refusal:
        parse_config(text, file="keyturn.toml")
    return [(one.line, one.place, one.remedy) for one in refusal.value.findings]


def test_each_mistake_has_its_line(sound: str) -> None:
    """All at once, not one a run."""
    text = sound.replace('"api", ', '"apy", ').replace("alias =", "alais =")

    found = mistakes(text)

    assert [(line, place) for line, place, _ in found] == [
        (6, "app.scopes.0"),
        (19, "dev_hub.alias"),
        (20, "dev_hub.alais"),
    ]
    assert "add it" in found[1][2]
    assert "remove it" in found[2][2]


def test_the_remedy_says_what_the_key_is_for(sound: str) -> None:
    """A complaint that only says no leaves the reader alone."""
    ((_, place, remedy),) = mistakes(sound.replace('"Acme_Connect"', '"Acme Connect"'))
    assert place == "app.name"
    assert "API name in the Dev Hub org" in remedy


def test_a_rule_over_several_keys_points_at_their_table(sound: str) -> None:
    """The scopes that a flow needs are about the whole table."""
    ((line, place, _),) = mistakes(sound.replace('["api", "refresh_token"]', '["id"]'))
    assert (line, place) == (1, "app")


def test_what_is_no_toml_is_said_with_its_line() -> None:
    """A quotation mark that is missing is on a line of its own."""
    ((line, _, remedy),) = mistakes('[app]\nname = "Acme\n')
    assert line == 2
    assert "quotes" in remedy


def test_lines_inside_a_list_are_no_keys(sound: str) -> None:
    """The key behind a list of several lines is found where it stands."""
    lines = lines_of(sound.replace('"https://connect', '"a=b", "https://connect'))
    assert lines["app", "callback_urls"] == 7
    assert lines["app", "flows"] == 10
    assert lines[("package",)] == 13


def test_a_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    """With how to start one."""
    with pytest.raises(BuilderError) as refusal:
        read_config(tmp_path / "keyturn.toml")
    assert refusal.value.code == "config_missing"
    assert "keyturn config init" in refusal.value.where


@pytest.mark.parametrize(
    ("content", "line", "said", "remedy"),
    [
        ("[app]\nlabel = 'é'\n".encode("latin-1"), 2, "0xe9 is not UTF-8", "as UTF-8"),
        ("[app]\n".encode("utf-16"), 1, "UTF-16", "as UTF-8"),
        (b"a = 1\nb = " + b"[" * 2000 + b"]" * 2000, 2, "brackets", "one pair of brackets"),
        (b"a = " + b"{a = " * 2000 + b"}" * 2000, 1, "brackets", "one pair of brackets"),
        (b"a = " + b"9" * 5000, None, "not TOML", "texts stand in quotes"),
    ],
)
def test_what_cannot_be_read_is_said_like_any_other_mistake(
    tmp_path: Path, content: bytes, line: int | None, said: str, remedy: str
) -> None:
    """With file, line and remedy, and the code of a file that is not right."""
    path = tmp_path / "keyturn.toml"
    path.write_bytes(content)

    with pytest.raises(BuilderError) as refusal:
        read_config(path)

    (finding,) = refusal.value.findings
    assert refusal.value.code == "config_invalid"
    assert (finding.file, finding.line) == (str(path), line)
    assert said in finding.message
    assert remedy in finding.remedy


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path, sound: str) -> None:
    """Some editors write one."""
    path = tmp_path / "keyturn.toml"
    path.write_bytes(b"\xef\xbb\xbf" + sound.replace("\n", "\r\n").encode())
    assert read_config(path) == parse_config(sound, file="keyturn.toml")


@pytest.mark.parametrize("depth", range(60, 400, 20))
def test_however_deep_brackets_stand_there_is_an_answer(sound: str, depth: int) -> None:
    """Also just below the depth that is too deep to read."""
    assert mistakes(sound.replace('"1.0.0"', "[" * depth + "]" * depth))


def test_a_line_separator_in_a_text_ends_no_line(sound: str) -> None:
    """Lines are counted as editors count them."""
    text = sound.replace('label = "Acme Connect"', 'label = "Acme\u2028Connect"')
    assert lines_of(text)[("package",)] == lines_of(sound)[("package",)]


def test_a_file_is_read(tmp_path: Path, sound: str) -> None:
    """As its text says."""
    path = tmp_path / "keyturn.toml"
    path.write_text(sound)
    assert read_config(path) == parse_config(sound, file="keyturn.toml")


def test_the_schema_names_every_key_and_its_meaning() -> None:
    """So that an editor can explain each."""
    schema = json.loads(schema_text())
    tables = [schema, *schema["$defs"].values()]
    keys = [key for table in tables for key in table.get("properties", {}).values()]
    assert set(schema["properties"]) == set(AppConfig.model_fields)
    assert [key for key in keys if not key.get("description")] == []
    assert "full" in schema["$defs"]["AppTable"]["properties"]["scopes"]["items"]["enum"]
