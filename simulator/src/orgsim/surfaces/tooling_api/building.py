"""What a package version's content must be like, and the version that comes of it.

Spec: Second-Generation Managed Packaging Developer Guide, "External Client App" components and
"Package Versions"; Salesforce Help, "Configure Packageable External Client Apps". The words of
most refusals are not documented.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from orgsim.metadata import kinds
from orgsim.metadata.archive import Archive, NotAnArchive, read_archive, unzip
from orgsim.metadata.shapes import SHAPES, shape_problems
from orgsim.metadata.xml_text import Node, NotXml, parse
from orgsim.orgs.org import same_org
from orgsim.orgs.packages import Package, Version
from orgsim.orgs.registering import owner_of
from orgsim.surfaces.tooling_api import errors
from orgsim.world import World

_NUMBER = re.compile(r"([0-9]+)\.([0-9]+)\.([0-9]+)\.(NEXT|[0-9]+)", re.ASCII)
_LEAST_COVERAGE = 75  # percent; Second-Generation Managed Packaging Developer Guide
_FLAG = "enablePackageEcaOauthFromDevOrg"


class NotBuilt(Exception):
    """A version cannot be made; `reasons` are for its developer."""

    def __init__(self, *reasons: str) -> None:
        super().__init__(len(reasons))
        self.reasons = reasons


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """The zip of a request for a version, unpacked."""

    descriptor: Mapping[str, Any]
    archive: Archive
    takes_foreign_apps: bool

    def text(self, name: str) -> str | None:
        """Return a text of the descriptor."""
        value = self.descriptor.get(name)
        return value if isinstance(value, str) and value else None


def read_upload(data: bytes) -> Upload:
    """Unpack `package-version-info.zip`.

    Raises:
        NotBuilt: it is not what the command line sends.
    """
    try:
        files = unzip(data)
        descriptor = json.loads(files["package2-descriptor.json"])
        archive = read_archive(files["package.zip"])
        settings = unzip(files["settings.zip"]) if "settings.zip" in files else {}
    except NotAnArchive as error:
        raise NotBuilt(str(error)) from error
    except (KeyError, ValueError) as error:
        raise NotBuilt("The package version info is not complete.") from error
    if not isinstance(descriptor, dict):
        raise NotBuilt("The package descriptor is no JSON object.")
    return Upload(
        descriptor=descriptor, archive=archive, takes_foreign_apps=_takes_foreign(settings)
    )


def _takes_foreign(settings: Mapping[str, bytes]) -> bool:
    for path, body in settings.items():
        if path.endswith("ExternalClientApp.settings"):
            try:
                return parse(body).flag(_FLAG)
            except NotXml:
                return False
    return False


def content_problems(world: World, upload: Upload) -> list[str]:
    """Return all that keeps the content out of a package."""
    found: list[str] = [f"Unknown file in the package: {path}" for path in upload.archive.strange]
    nodes: dict[tuple[str, str], Node] = {}
    for file in upload.archive.files:
        if not file.kind.packageable:
            found.append(errors.not_packageable(file.kind.name, file.full_name))
        elif not file.kind.content:
            try:
                nodes[file.kind.name, file.full_name] = parse(file.body)
            except NotXml as error:
                found.append(f"{file.full_name}: Error parsing file: {error}")
    if not upload.archive.files:
        found.append(errors.NO_FILES)
    for (kind, name), node in nodes.items():
        found += [f"{name}: {text}" for text in _app_problems(world, upload, kind, node, nodes)]
    return found


def _app_problems(
    world: World,
    upload: Upload,
    kind: str,
    node: Node,
    nodes: Mapping[tuple[str, str], Node],
) -> Iterator[str]:
    shape = SHAPES.get(kind)
    if shape is None:
        return
    version = upload.archive.manifest.version
    yield from shape_problems(shape, node, kind=kind, version=version)
    if kind == kinds.HEADER:
        yield from _header_problems(world, upload, node)
    if kind == kinds.OAUTH:
        app = node.value("externalClientApplication")
        if (kinds.HEADER, app) not in nodes:
            yield (
                "INVALID_CROSS_REFERENCE_KEY: In field: externalClientApplication - no"
                f" ExternalClientApplication named {app} found"
            )
        link = node.value("oauthLink")
        owner = owner_of(world, link) if link else None
        if not link:
            yield errors.OAUTH_LINK_NULL
        elif owner is None:
            yield "The oauthLink value doesn't refer to an OAuth consumer."


def _header_problems(world: World, upload: Upload, node: Node) -> Iterator[str]:
    """Give what is wrong with a packaged header: whose app it is, and whether it may travel."""
    if node.value("distributionState") != "Packaged":
        yield errors.NOT_PACKAGED
    reference = node.value("orgScopedExternalApp")
    owner = owner_of(world, reference) if reference else None
    if owner is None:
        yield errors.NO_SUCH_APP
        return
    if owner.app.distribution != "packaged":
        yield errors.NOT_PACKAGED
    if not same_org(owner.home_org, world.hub.org_id) and not upload.takes_foreign_apps:
        yield errors.EPHEMERAL


def numbers_of(world: World, package: Package, written: str | None) -> tuple[int, int, int, int]:
    """Return a version's number, with the next build where that is asked.

    Raises:
        NotBuilt: it is no number, or is released already.
    """
    found = _NUMBER.fullmatch(written or "")
    if found is None:
        raise NotBuilt(f"The version number {written} isn't valid.")
    major, minor, patch = (int(part) for part in found.groups()[:3])
    versions = world.packages.versions_of(package.package_id)
    same = [v for v in versions if v.numbers[:3] == (major, minor, patch)]
    if any(version.released for version in same):
        raise NotBuilt(errors.released_before(f"{major}.{minor}.{patch}"))
    highest = max((version.numbers[3] for version in same), default=0)
    build = highest + 1 if found[4] == "NEXT" else int(found[4])
    if build <= highest:
        raise NotBuilt(f"The build number {build} is not higher than {highest}.")
    return major, minor, patch, build


def key_hash(key: str | None) -> str | None:
    """Return an installation key as it is kept."""
    return hashlib.sha256(key.encode()).hexdigest() if key else None


def build(
    world: World, package: Package, upload: Upload, asked: Mapping[str, Any], *, by: str
) -> Version:
    """Make a version.

    Raises:
        NotBuilt: its content, number or ancestor is refused.
    """
    problems = content_problems(world, upload)
    if problems:
        raise NotBuilt(*problems)
    ancestor = upload.text("ancestorId")
    if ancestor is not None and world.packages.version(ancestor) is None:
        raise NotBuilt(f"The ancestor {ancestor} can't be found.")
    numbers = numbers_of(world, package, upload.text("versionNumber"))
    skips = asked.get("SkipValidation") is True
    runs = asked.get("CalculateCodeCoverage") is True and not skips
    measured = world.switches.coverage_percent if runs else None
    hub_id = world.hub.org_id
    return Version(
        version_id=world.new_id(hub_id, "05i"),
        subscriber_version_id=world.new_id(hub_id, "04t"),
        package_id=package.package_id,
        numbers=numbers,
        name=upload.text("versionName") or ".".join(map(str, numbers[:3])),
        description=upload.text("versionDescription"),
        tag=_given(asked, "Tag"),
        branch=_given(asked, "Branch"),
        ancestor_id=ancestor,
        files=_files(upload.archive),
        key_hash=key_hash(_given(asked, "InstallKey")),
        skipped_validation=skips,
        passed_coverage=measured is not None and measured >= _LEAST_COVERAGE,
        coverage_percent=measured,
        post_install_url=upload.text("postInstallUrl"),
        release_notes_url=upload.text("releaseNotesUrl"),
        language=_given(asked, "Language"),
        created_at=world.clock.now(),
        created_by=by,
    )


def _given(asked: Mapping[str, Any], name: str) -> str | None:
    value = asked.get(name)
    return value if isinstance(value, str) and value else None


def _files(archive: Archive) -> dict[str, str]:
    kept: dict[str, str] = {}
    for file in archive.files:
        kept[file.path] = file.body.decode("utf-8", errors="replace")
        if file.about is not None:
            kept[f"{file.path}-meta.xml"] = file.about.decode("utf-8", errors="replace")
    return kept
