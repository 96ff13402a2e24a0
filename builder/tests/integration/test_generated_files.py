"""What `keyturn package build` writes, by two programs, held against Salesforce's types."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest

from keyturn_builder.config_file import parse_config
from keyturn_builder.lint.schema import Schema, check_document, salesforce_schema
from keyturn_builder.metadata.header import header
from keyturn_builder.metadata.oauth_settings import oauth_settings
from keyturn_builder.metadata.xml import read_document

CONFIG = """\
[app]
name = "Acme_Connect"
label = "Acme Connect"
contact = "help@acme.example"
description = "Connects Acme."
scopes = ["refresh_token", "openid", "api", "id"]
callback_urls = ["https://connect.acme.example/oauth/callback"]
flows = ["code", "jwt"]
egress = ["192.0.2.8/29", "198.51.100.7"]

[package]
name = "Acme"
namespace = "acme"

[dev_hub]
alias = "acme-hub"

[objects.Task]
access = ["create"]

[objects.Contact]
access = ["read", "edit"]
fields = ["Phone", "Email"]
"""
SPACE = "{http://soap.sforce.com/2006/04/metadata}"
MANIFEST = "package.xml"


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, bytes]]:
    """The files of two builds, by programs that share neither folder, hash seed nor time zone."""
    return [
        built_by(tmp_path_factory.mktemp(name), PYTHONHASHSEED=seed, TZ=zone, LC_ALL=language)
        for name, seed, zone, language in (
            ("first", "1", "UTC", "C.UTF-8"),
            ("and-second", "4711", "Asia/Kathmandu", "C"),
        )
    ]


def built_by(folder: Path, **environment: str) -> dict[str, bytes]:
    """Build in an empty folder; return all files, and what the program said as one of them."""
    (folder / "keyturn.toml").write_text(CONFIG)
    app = parse_config(CONFIG, file="keyturn.toml").app
    retrieved = folder / "retrieved"
    retrieved.mkdir()
    for one in (
        header(app, org_scoped_external_app="00D5g00000AcmeX:Acme_Connect"),
        oauth_settings(app, oauth_link="00D5g00000AcmeX:8885g00000AcmeY"),
    ):
        (retrieved / one.path.rpartition("/")[2]).write_text(one.text)
    keyturn = Path(sys.executable).parent / "keyturn"
    done = subprocess.run(
        [keyturn, "package", "build", "--retrieved", "retrieved"],
        cwd=folder,
        env=environment,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    found = {str(path.relative_to(folder)): path.read_bytes() for path in files}
    return found | {"said": done.stdout.replace(bytes(folder), b"")}


@pytest.fixture(scope="module")
def documents(builds: list[dict[str, bytes]]) -> dict[str, str]:
    """Every component that a build wrote, by its file."""
    return {
        name: text.decode()
        for name, text in builds[0].items()
        if text.startswith(b"<?xml") and Path(name).name != MANIFEST
    }


def complaints(file: str, text: str) -> list[str]:
    """Return what the schema check says of a document."""
    return [one.message for one in check_document(file, read_document(text), salesforce_schema())]


def test_two_programs_build_the_same_bytes(builds: list[dict[str, bytes]]) -> None:
    """All files of the project, and those for admins."""
    first, second = builds
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []
    assert len(first) > 15


def test_every_generated_file_is_as_salesforces_types_have_it(documents: dict[str, str]) -> None:
    """None is of a type that the table lacks."""
    kinds = {read_document(text).name for text in documents.values()}
    assert kinds == {
        "CustomField",
        "CustomObject",
        "ExternalClientApplication",
        "ExtlClntAppOauthSettings",
        "Flow",
        "PermissionSet",
    }
    assert kinds <= salesforce_schema().types.keys()
    assert {file: found for file in documents if (found := complaints(file, documents[file]))} == {}


def test_what_is_planted_in_a_generated_file_fails_it(documents: dict[str, str]) -> None:
    """In each file: an unknown element anywhere, a wrong value of each enum, each field missing."""
    planted = [
        (file, what) for file in documents for what in mutants(documents[file], salesforce_schema())
    ]
    kinds = {what[0] for _, what in planted}
    survived = [(file, what[0]) for file, what in planted if not complaints(file, what[1])]
    assert kinds == {"unknown element", "wrong value", "missing field"}
    assert len(planted) > 100
    assert survived == []


def mutants(text: str, schema: Schema) -> Iterator[tuple[str, str]]:
    """Give a document with one mistake each, and what the mistake is."""
    root = ET.fromstring(text)  # noqa: S314 - a file of our own
    yield from _in(root, root, schema, root.tag.removeprefix(SPACE))


def _in(
    root: ET.Element, node: ET.Element, schema: Schema, type_: str
) -> Iterator[tuple[str, str]]:
    stray = ET.SubElement(node, f"{SPACE}colour")
    yield "unknown element", _written(root)
    node.remove(stray)
    for child in list(node):
        said = schema.types[type_][child.tag.removeprefix(SPACE)]
        kind = said.rstrip("?[]")
        if not said.endswith(("?", "[]")):
            at = list(node).index(child)
            node.remove(child)
            yield "missing field", _written(root)
            node.insert(at, child)
        if kind in schema.enums:
            before, child.text = child.text, "Packageable"
            yield "wrong value", _written(root)
            child.text = before
        if kind in schema.types:
            yield from _in(root, child, schema, kind)


def _written(root: ET.Element) -> str:
    return ET.tostring(root, encoding="unicode")
