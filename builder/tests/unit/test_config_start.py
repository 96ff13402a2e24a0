"""Starting `keyturn.toml`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from keyturn_builder.config_file import parse_config
from keyturn_builder.config_start import Answers, already_said, api_name, file_text

PROJECT = {
    "namespace": "acme",
    "packageDirectories": [
        {"path": "unpackaged"},
        {"path": "force-app", "package": "Acme", "versionNumber": "2.4.0.NEXT", "default": True},
    ],
}


def test_a_project_and_sf_say_a_part_already(tmp_path: Path) -> None:
    """Namespace, package, version, source, and the Dev Hub org of the project."""
    (tmp_path / "sfdx-project.json").write_text(json.dumps(PROJECT))
    (tmp_path / ".sf").mkdir()
    (tmp_path / ".sf/config.json").write_text('{"target-dev-hub": "hub"}')

    said = already_said(tmp_path, home=tmp_path / "home")

    assert said == Answers(
        namespace="acme", dev_hub="hub", package="Acme", source="force-app", version="2.4.0"
    )


def test_the_dev_hub_of_all_projects_is_second(tmp_path: Path) -> None:
    """Where the project names none."""
    (tmp_path / ".sf").mkdir()
    (tmp_path / ".sf/config.json").write_text('{"target-dev-hub": "hub"}')
    assert already_said(tmp_path / "project", home=tmp_path).dev_hub == "hub"


@pytest.mark.parametrize(
    "project",
    [
        "",
        "[]",
        '{"packageDirectories": [{"path": "force-app"}]}',
        '{"packageDirectories": null}',
        '{"packageDirectories": 1}',
        '{"a": ' + "[" * 2000 + "]" * 2000 + "}",
    ],
)
def test_an_empty_or_odd_project_says_nothing(tmp_path: Path, project: str) -> None:
    """It is not the place to complain about it."""
    (tmp_path / "sfdx-project.json").write_text(project)
    assert already_said(tmp_path, home=tmp_path) == Answers()


def test_two_packages_without_a_default_say_nothing(tmp_path: Path) -> None:
    """Which of them is meant is for the reader to say."""
    directories = [{"path": name, "package": name} for name in ("one", "two")]
    (tmp_path / "sfdx-project.json").write_text(json.dumps({"packageDirectories": directories}))
    assert already_said(tmp_path, home=tmp_path).source is None


def test_what_is_started_is_sound() -> None:
    """And the least that works."""
    answers = Answers(
        label='Acme "Connect" 2',
        contact="help@acme.example",
        service_url="https://connect.acme.example/",
        namespace="acme",
        dev_hub="hub",
    )

    read = parse_config(file_text(answers), file="keyturn.toml")

    assert read.app.name == "Acme_Connect_2"
    assert read.app.label == 'Acme "Connect" 2'
    assert read.app.callback_urls == ["https://connect.acme.example/oauth/callback"]
    assert read.app.scopes == ["api", "refresh_token"]
    assert read.package.source is None
    assert (read.package.post_install_url, read.app.egress) == (None, [])


def test_what_is_optional_is_said_where_it_is_known() -> None:
    """With it the file lacks nothing that a first release needs."""
    answers = Answers(
        label="Acme",
        contact="help@acme.example",
        service_url="https://connect.acme.example",
        namespace="acme",
        dev_hub="hub",
        return_origin="https://app.acme.example",
        post_install_url="https://app.acme.example/installed",
        egress="192.0.2.8/29, 192.0.2.1",
    )

    read = parse_config(file_text(answers), file="keyturn.toml")

    assert list(read.warnings()) == []
    assert read.service is not None
    assert read.service.return_origins == ["https://app.acme.example"]
    assert len(read.app.egress) == 2


def test_flags_stand_over_what_is_said_already() -> None:
    """The one who types knows better."""
    assert Answers(namespace="new").over(Answers(namespace="old", dev_hub="hub")) == Answers(
        namespace="new", dev_hub="hub"
    )


@pytest.mark.parametrize(
    ("label", "name"), [("Acme Connect", "Acme_Connect"), ("7 - up!", "App_7_up")]
)
def test_a_name_is_made_of_a_label(label: str, name: str) -> None:
    """As Salesforce takes it."""
    assert api_name(label) == name
