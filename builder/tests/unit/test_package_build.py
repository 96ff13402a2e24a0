"""Building a package: into a vendor's project, or into one that is started."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from keyturn_builder.app_config import AppConfig
from keyturn_builder.bond import Bond
from keyturn_builder.building import OUTPUT, build_package, lint_folder
from keyturn_builder.errors import BuilderError
from keyturn_builder.metadata.xml import read_document
from keyturn_builder.package_build import content_hash
from keyturn_builder.project import find_project, read_project_file
from keyturn_builder.record import read_record

FIXTURE = Path(__file__).parents[1] / "fixtures/northstar"
BOND = Bond(
    org_scoped_external_app="00D5g00000AcmeX:Acme_Connect",
    oauth_link="00D5g00000AcmeX:8885g00000AcmeY",
)


def bytes_below(folder: Path) -> dict[str, bytes]:
    """Return all files of a folder, hidden ones too."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def existing(tmp_path: Path, config: AppConfig) -> tuple[AppConfig, Path]:
    """A vendor's own project and the config beside it."""
    folder = tmp_path / "northstar"
    shutil.copytree(FIXTURE, folder)
    package = config.package.model_copy(update={"source": "force-app", "version": "2.4.0"})
    return config.model_copy(update={"package": package}), folder


def test_a_vendors_project_gets_the_app_and_nothing_else_changes(
    existing: tuple[AppConfig, Path],
) -> None:
    """Byte by byte: components, ancestors, tests, the project file."""
    config, folder = existing

    built = build_package(config, folder, BOND)

    after = bytes_below(folder)
    added = set(after) - set(bytes_below(FIXTURE))
    assert {name: after[name] for name in set(after) - added} == bytes_below(FIXTURE)
    assert {name for name in added if not name.startswith("force-app/keyturn/")} == {
        f"{OUTPUT}/.gitignore",
        *(f"{OUTPUT}/{name}" for name in built.beside),
    }
    assert {f"force-app/{name}" for name in built.written} < added


def test_an_empty_folder_becomes_a_project(tmp_path: Path, config: AppConfig) -> None:
    """With a usage object, an alert event and a renewal flow to begin with."""
    built = build_package(config, tmp_path, BOND)

    said = json.loads((tmp_path / "salesforce/sfdx-project.json").read_text())
    (entry,) = said["packageDirectories"]
    assert (said["namespace"], entry["package"], entry["path"]) == ("acme", "Acme", "force-app")
    assert entry["versionNumber"] == "1.0.0.NEXT"
    assert any("Usage__c.object" in name for name in built.started)
    assert any("Renewal_Alert__e.object" in name for name in built.started)
    assert any("Renewal_Alert.flow" in name for name in built.started)
    assert lint_folder(config, tmp_path) == []


def test_two_builds_are_the_same_byte_by_byte(tmp_path: Path, config: AppConfig) -> None:
    """From the same config, in two places, and over one another."""
    first, second = tmp_path / "first", tmp_path / "second"
    hashes = set()
    for folder in (first, second, second):
        folder.mkdir(exist_ok=True)
        hashes.add(build_package(config, folder, BOND).content_hash)
    assert len(hashes) == 1
    assert bytes_below(first) == bytes_below(second)


def test_a_dry_run_says_what_would_be_and_writes_nothing(
    existing: tuple[AppConfig, Path],
) -> None:
    """Neither into a vendor's project; the hash is that of the build to come."""
    config, folder = existing
    would = build_package(config, folder, BOND, dry_run=True)
    assert bytes_below(folder) == bytes_below(FIXTURE)
    assert would.project.source == folder / "force-app"
    built = build_package(config, folder, BOND)
    assert (would.content_hash, would.written) == (built.content_hash, built.written)


def test_a_dry_run_of_an_empty_folder_leaves_it_empty(tmp_path: Path, config: AppConfig) -> None:
    """And of a started project as it is."""
    would = build_package(config, tmp_path, BOND, dry_run=True)
    assert list(tmp_path.iterdir()) == []

    built = build_package(config, tmp_path, BOND)
    again = build_package(config, tmp_path, BOND, dry_run=True)

    assert would.started == built.started
    assert again.started == ()
    assert would.content_hash == built.content_hash == again.content_hash


def test_a_started_project_is_the_vendors_from_then_on(tmp_path: Path, config: AppConfig) -> None:
    """What they change is never written over, and is other content."""
    first = build_package(config, tmp_path, BOND)
    flow = tmp_path / "salesforce/force-app/main/default/flows/Renewal_Alert.flow-meta.xml"
    flow.write_text(flow.read_text().replace("Renewal at risk", "Call them"))

    second = build_package(config, tmp_path, BOND)

    assert "Call them" in flow.read_text()
    assert second.started == ()
    assert second.content_hash != first.content_hash


@pytest.mark.parametrize(
    ("path", "before", "after", "same"),
    [
        ("sfdx-project.json", '"2.4.0.NEXT"', '"2.5.0.NEXT"', True),
        ("sfdx-project.json", '"Winter"', '"Spring"', True),
        ("sfdx-project.json", '"66.0"', '"67.0"', False),
        ("sfdx-project.json", '"HIGHEST"', '"2.3.0"', False),
        ("config/package.json", '"Developer"', '"Enterprise"', False),
        ("force-app/main/default/classes/Plans.cls", "/ 10", "/ 20", False),
        ("unpackaged/README.md", "only", "just", True),
        ("force-app/.hidden", "", "x", True),
    ],
)
def test_the_same_content_has_the_same_hash(
    existing: tuple[AppConfig, Path], path: str, before: str, after: str, *, same: bool
) -> None:
    """Numbers and names of a version are no content; all that Salesforce is sent is."""
    config, folder = existing
    first = build_package(config, folder, BOND).content_hash
    file = folder / path
    text = file.read_text() if file.exists() else ""
    file.write_text(text.replace(before, after, 1))
    assert (build_package(config, folder, BOND).content_hash == first) is same


def test_the_packages_own_permission_set_is_about_its_own(
    existing: tuple[AppConfig, Path],
) -> None:
    """Objects of the package are read; its fields on other objects are its own too."""
    config, folder = existing
    objects = {
        "Account": config.objects["Contact"].model_copy(update={"fields": ["Plan__c", "Phone"]})
    }

    build_package(config.model_copy(update={"objects": objects}), folder, BOND)

    packaged, beside = (
        read_document(next(folder.rglob(name)).read_text())
        for name in ("Acme_Connect_Package.*", "Acme_Connect_Access.*")
    )
    assert [one.said("field") for one in packaged.all("fieldPermissions")] == [
        "Account.Plan__c",
        "Plan__c.Seats__c",
    ]
    assert [one.said("field") for one in beside.all("fieldPermissions")] == ["Account.Phone"]
    assert [one.said("object") for one in packaged.all("objectPermissions")] == ["Plan__c"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"namespace": "other"}, "namespace_mismatch"),
        ({"source": "unpackaged"}, "project_invalid"),
        ({"source": "nowhere"}, "project_invalid"),
        ({"generation": 1}, "first_generation"),
    ],
)
def test_a_project_that_does_not_fit_is_refused(
    existing: tuple[AppConfig, Path], change: dict[str, object], code: str
) -> None:
    """Before anything is written."""
    config, folder = existing
    package = config.package.model_copy(update=change)
    with pytest.raises(BuilderError) as refusal:
        build_package(config.model_copy(update={"package": package}), folder, BOND)
    assert refusal.value.code == code
    assert bytes_below(folder) == bytes_below(FIXTURE)


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ({}, "project_missing"),
        ({"src/package.xml": "<Package/>"}, "first_generation"),
        ({"sfdx-project.json": "["}, "project_invalid"),
        ({"sfdx-project.json": "[]"}, "project_invalid"),
        ({"sfdx-project.json": '{"packageDirectories": null}'}, "project_invalid"),
        ({"sfdx-project.json": "[" * 2000 + "]" * 2000}, "project_invalid"),
    ],
)
def test_what_is_no_project_is_said_so(
    tmp_path: Path, config: AppConfig, files: dict[str, str], code: str
) -> None:
    """A package of the first generation is told what to do."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    package = config.package.model_copy(update={"source": "src"})
    with pytest.raises(BuilderError) as refusal:
        find_project(config.model_copy(update={"package": package}), tmp_path)
    assert refusal.value.code == code


@pytest.mark.parametrize("file", ["sfdx-project.json", "keyturn.versions.json"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{\n"a": "\xe9"}', "on line 2: save the file as UTF-8"),
        (b"\xff\xfe{\x00", "UTF-16"),
        (b"[" * 2000 + b"]" * 2000, "too deep"),
    ],
)
def test_files_of_the_project_say_why_they_cannot_be_read(
    tmp_path: Path, file: str, content: bytes, said: str
) -> None:
    """Whoever reads them."""
    (tmp_path / file).write_bytes(content)
    with pytest.raises(BuilderError) as refusal:
        read_project_file(tmp_path / file) if file[0] == "s" else read_record(tmp_path)
    assert refusal.value.code in {"project_invalid", "record_invalid"}
    assert said in refusal.value.detail


def test_a_project_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    """Some editors write one."""
    (tmp_path / "sfdx-project.json").write_bytes(b'\xef\xbb\xbf{"namespace": "acme"}')
    assert read_project_file(tmp_path / "sfdx-project.json") == {"namespace": "acme"}


@pytest.mark.parametrize(
    ("file", "text", "code"),
    [
        ("force-app/keyturn/mine.txt", "mine", "folder_taken"),
        ("force-app/old/Acme_Connect.eca-meta.xml", "<x/>", "component_exists"),
        ("force-app/main/default/classes/Key.cls", "3MVG9" + "A" * 80, "lint_failed"),
    ],
)
def test_a_build_that_would_break_something_writes_no_app(
    existing: tuple[AppConfig, Path], file: str, text: str, code: str
) -> None:
    """A folder of somebody else's, the app twice, a secret."""
    config, folder = existing
    path = folder / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    with pytest.raises(BuilderError) as refusal:
        build_package(config, folder, BOND)
    assert refusal.value.code == code
    assert path.read_text() == text
    assert not list(folder.rglob("keyturn/externalClientApps"))


@pytest.mark.parametrize(("name", "field"), [("Nowhere__c", "Name"), ("Plan__c", "Nowhere__c")])
def test_an_object_that_is_not_there_is_said_so(
    existing: tuple[AppConfig, Path], name: str, field: str
) -> None:
    """It would be the package's own by its name."""
    config, folder = existing
    objects = {name: config.objects["Contact"].model_copy(update={"fields": [field]})}
    with pytest.raises(BuilderError) as refusal:
        build_package(config.model_copy(update={"objects": objects}), folder, BOND)
    assert refusal.value.code == "object_unknown"


def test_the_content_hash_is_of_what_lies_there(existing: tuple[AppConfig, Path]) -> None:
    """64 hexadecimal digits, asked twice the same."""
    config, folder = existing
    built = build_package(config, folder, BOND)
    assert len(built.content_hash) == 64
    assert content_hash(built.project, config) == built.content_hash
