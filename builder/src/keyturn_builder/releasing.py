"""Releases the package: each step looks first whether it was done, so a run can end anywhere.

What was done is asked of the Dev Hub org: packages by their name, builds by a tag that is the hash
of their content, releases by their state. Nothing that only this machine knows decides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from keyturn_builder import dev_hub_packages as packages
from keyturn_builder.app_config import AppConfig
from keyturn_builder.bond import Bond
from keyturn_builder.building import Built, build_package
from keyturn_builder.dev_hub import DevHub
from keyturn_builder.dev_hub_packages import BuildRequest, PackageVersion, tag_of
from keyturn_builder.errors import BuilderError
from keyturn_builder.project import Project
from keyturn_builder.record import ReleasedVersion, read_record, with_version, write_record
from keyturn_builder.release_project import stage
from keyturn_builder.sf_errors import meaning_of

_FIRST_WAIT: Final = 2.0  # seconds between two looks at a build
_LONGEST_WAIT: Final = 20.0
_WITHIN: Final = 2 * 3600.0  # seconds that a build is followed


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """What a run ended with. `built` tells whether this run asked for a build."""

    version: ReleasedVersion
    built: bool
    package_created: bool
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """The package in the Dev Hub org, and the copy of the project to build from."""

    package_id: str
    created: bool
    folder: Path
    versions: tuple[PackageVersion, ...]


def release_package(
    hub: DevHub,
    config: AppConfig,
    folder: Path,
    bond: Bond,
    *,
    beta: bool,
    wait: Callable[[float], None],
) -> Released:
    """Build, promote and record the version that the config names.

    Raises:
        BuilderError: it stops where it is; the next run goes on from there.
    """
    with hub.steps.step("write and lint the package"):
        built = build_package(config, folder, bond)
    place = _place(hub, config, built.project)
    tag, asked = tag_of(built.content_hash), False
    version = _version_of(place.versions, tag)
    if version is None:
        _number_is_free(config, place.versions)
        request, asked = _build(hub, config, place, tag)
        done = _followed(hub, request, wait)
        version = _built_version(hub, place.package_id, done)
    if not beta and not version.released:
        with hub.steps.step(f"promote {version.number}"):
            packages.promote(hub, version.id)
        version = _built_version(hub, place.package_id, version.id)
    with hub.steps.step("record the version"):
        recorded = _recorded(config, folder, built, place.package_id, version)
    return Released(
        version=recorded,
        built=asked,
        package_created=place.created,
        warnings=_warnings(config, built, version),
    )


def _place(hub: DevHub, config: AppConfig, project: Project) -> _Place:
    """Return the package, made if it is new, and the copy to build from."""
    copy, name = hub.work / "release", str(project.entry["package"])
    with hub.steps.step(f"look for the package {config.package.name}"):
        package_id = _known_id(project, name) or packages.find_package(
            hub, name=config.package.name, namespace=config.package.namespace
        )
    if package_id is None:
        path = stage(project, copy, package_id=None, has_release=False)
        with hub.steps.step(f"make the package {config.package.name}"):
            package_id = packages.create_package(hub, copy, name=config.package.name, path=path)
        versions, created = list[PackageVersion](), True
    else:
        with hub.steps.step("look at its versions"):
            versions, created = packages.versions_of(hub, package_id), False
    has_release = any(one.released for one in versions)
    stage(project, copy, package_id=package_id, has_release=has_release)
    return _Place(package_id=package_id, created=created, folder=copy, versions=tuple(versions))


def _known_id(project: Project, name: str) -> str | None:
    """Return the package id that the vendor's own project file holds."""
    if name.startswith("0Ho"):
        return name
    found = (project.said.get("packageAliases") or {}).get(name)
    return found if isinstance(found, str) and found.startswith("0Ho") else None


def _version_of(versions: tuple[PackageVersion, ...], tag: str) -> PackageVersion | None:
    """Return the version of this content: a released one before others, then the newest."""
    same = [one for one in versions if one.tag == tag]
    return max(same, key=lambda one: (one.released, one.build), default=None)


def _number_is_free(config: AppConfig, versions: tuple[PackageVersion, ...]) -> None:
    number = config.package.version
    if any(one.released and one.number == number for one in versions):
        raise BuilderError("version_taken", f"{number} was released with other content")


def _build(hub: DevHub, config: AppConfig, place: _Place, tag: str) -> tuple[BuildRequest, bool]:
    """Return the build of this content, and whether this run asked for it."""
    with hub.steps.step("look for a build under way"):
        running = None if place.created else packages.find_build(hub, place.package_id, tag)
    if running is not None:
        return running, False
    with hub.steps.step(f"ask for the build of {config.package.version}"):
        request = packages.begin_build(
            hub,
            place.folder,
            package_id=place.package_id,
            number=config.package.version,
            tag=tag,
            post_install_url=config.package.post_install_url,
        )
    return request, True


def _followed(hub: DevHub, request: BuildRequest, wait: Callable[[float], None]) -> str:
    """Follow a build to its end and return the version's id."""
    pause, waited = _FIRST_WAIT, 0.0
    with hub.steps.step("wait for Salesforce's build"):
        while request.is_running:
            if waited >= _WITHIN:
                raise BuilderError("build_under_way", request.id)
            hub.steps.tell(f"  {request.id}: {request.status}")
            with hub.steps.outside():
                wait(pause)
            waited, pause = waited + pause, min(pause * 1.5, _LONGEST_WAIT)
            request = packages.build_status(hub, request.id)
    if request.version_id is None or request.status == "Error":
        said = "; ".join(request.errors)
        known = meaning_of(said, doing="building the version")
        raise known if known.code != "sf_failed" else BuilderError("build_failed", said=said)
    return request.version_id


def _built_version(hub: DevHub, package_id: str, version_id: str) -> PackageVersion:
    with hub.steps.step("read the version"):
        for one in packages.versions_of(hub, package_id):
            if one.id == version_id:
                return one
    raise BuilderError("build_failed", f"{version_id} is not among the package's versions")


def _recorded(
    config: AppConfig, folder: Path, built: Built, package_id: str, version: PackageVersion
) -> ReleasedVersion:
    recorded = ReleasedVersion(
        version=version.number,
        id=version.id,
        package_id=package_id,
        content_hash=built.content_hash,
        scopes=tuple(sorted(config.app.scopes)),
        released=version.released,
        created=version.created,
    )
    known = read_record(folder)
    if recorded not in known:
        write_record(folder, with_version(known, recorded))
    return recorded


def _warnings(config: AppConfig, built: Built, version: PackageVersion) -> tuple[str, ...]:
    said = [str(found) for found in built.warnings]
    if version.number != config.package.version:
        said.append(
            f"the content is that of {version.number}, so nothing was built for "
            f"{config.package.version}"
        )
    return tuple(said)
