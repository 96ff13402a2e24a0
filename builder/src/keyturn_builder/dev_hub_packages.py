"""Packages and versions of the Dev Hub org, by `sf package …`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from keyturn_builder.dev_hub import ALIAS, DevHub
from keyturn_builder.errors import BuilderError

_HUB: Final = ("--target-dev-hub", ALIAS)
_TAG: Final = "keyturn-sha256-"


def tag_of(content_hash: str) -> str:
    """Return the tag by which a version of this content is found again."""
    return f"{_TAG}{content_hash}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageVersion:
    """A version that the Dev Hub org has built. `number` is `1.2.0`, `id` starts with `04t`."""

    id: str
    number: str
    build: int
    released: bool
    tag: str
    created: str

    @property
    def content_hash(self) -> str | None:
        """The content it was built from; None where Keyturn did not build it."""
        return self.tag.removeprefix(_TAG) if self.tag.startswith(_TAG) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """A build that was asked for; `id` starts with `08c`."""

    id: str
    package_id: str
    status: str
    tag: str
    version_id: str | None
    errors: tuple[str, ...]

    @property
    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return self.status not in {"Success", "Error"}


def find_package(hub: DevHub, *, name: str, namespace: str) -> str | None:
    """Return the id (`0Ho`) of a managed package by its name; None where there is none."""
    for one in _rows(hub.sf("package", "list", *_HUB, doing="looking for the package")):
        if one.get("Name") == name and one.get("NamespacePrefix") == namespace:
            return str(one["Id"])
    return None


def create_package(hub: DevHub, project: Path, *, name: str, path: str) -> str:
    """Make the package and return its id."""
    arguments = ("--name", name, "--package-type", "Managed", "--path", path)
    made = hub.sf(
        "package", "create", *arguments, *_HUB, doing="making the package", folder=project
    )
    return str(made["Id"])


def versions_of(hub: DevHub, package_id: str) -> list[PackageVersion]:
    """Return the versions of a package, oldest first."""
    arguments = ("package", "version", "list", "--packages", package_id, *_HUB)
    rows = _rows(hub.sf(*arguments, doing="listing versions"))
    found = [
        PackageVersion(
            id=str(one["SubscriberPackageVersionId"]),
            number=f"{one['MajorVersion']}.{one['MinorVersion']}.{one['PatchVersion']}",
            build=int(one["BuildNumber"]),
            released=one.get("IsReleased") is True,
            tag=str(one.get("Tag") or ""),
            created=str(one.get("CreatedDate") or ""),
        )
        for one in rows
    ]
    return sorted(found, key=lambda one: ([int(part) for part in one.number.split(".")], one.build))


def find_build(hub: DevHub, package_id: str, tag: str) -> BuildRequest | None:
    """Return the newest build of a content that has not failed; None where there is none."""
    rows = _rows(hub.sf("package", "version", "create", "list", *_HUB, doing="listing builds"))
    for one in map(_request, rows):
        if one.package_id[:15] == package_id[:15] and one.tag == tag and one.status != "Error":
            return one
    return None


def begin_build(
    hub: DevHub,
    project: Path,
    *,
    package_id: str,
    number: str,
    tag: str,
    post_install_url: str | None,
) -> BuildRequest:
    """Ask for a build and return at once."""
    after = ("--post-install-url", post_install_url) if post_install_url else ()
    arguments = (
        "--package",
        package_id,
        "--version-number",
        f"{number}.NEXT",
        "--tag",
        tag,
        *after,
        "--code-coverage",
        "--installation-key-bypass",
        "--wait",
        "0",
    )
    made = hub.sf(
        "package",
        "version",
        "create",
        *arguments,
        *_HUB,
        doing="asking for the build",
        folder=project,
    )
    return _request(made)


def build_status(hub: DevHub, request_id: str) -> BuildRequest:
    """Return how far a build has come."""
    arguments = ("--package-create-request-id", request_id, *_HUB)
    said = hub.sf("package", "version", "create", "report", *arguments, doing="following the build")
    rows = _rows(said)
    if not rows:
        raise BuilderError("sf_unreadable", "the report of the build is empty")
    return _request(rows[0])


def promote(hub: DevHub, version_id: str) -> None:
    """Release a version; that cannot be undone."""
    arguments = ("--package", version_id, "--no-prompt", *_HUB)
    hub.sf("package", "version", "promote", *arguments, doing="promoting the version")


def _request(one: dict[str, Any]) -> BuildRequest:
    version = one.get("SubscriberPackageVersionId")
    errors = one.get("Error") or []
    return BuildRequest(
        id=str(one["Id"]),
        package_id=str(one.get("Package2Id") or ""),
        status=str(one.get("Status") or ""),
        tag=str(one.get("Tag") or ""),
        version_id=str(version) if version else None,
        errors=tuple(str(error) for error in (errors if isinstance(errors, list) else [errors])),
    )


def _rows(result: Any) -> list[dict[str, Any]]:
    rows = result if isinstance(result, list) else [result]
    return list(_objects(rows))


def _objects(rows: list[Any]) -> Iterator[dict[str, Any]]:
    yield from (row for row in rows if isinstance(row, dict))
