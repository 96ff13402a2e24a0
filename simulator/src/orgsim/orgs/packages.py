"""Second-generation packages of the Dev Hub: packages, requests for versions, versions, installs.

Spec: Tooling API Reference, "Package2", "Package2Version", "Package2VersionCreateRequest",
"PackageInstallRequest", "InstalledSubscriberPackage",
"SubscriberPackageVersionUninstallRequest".
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from orgsim.orgs.book import Book
from orgsim.orgs.store import Store

ForWhom = Literal["admins", "all", "profiles"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A package (`0Ho`), known to subscribers by another ID (`033`)."""

    package_id: str
    subscriber_package_id: str
    name: str
    description: str | None
    namespace: str | None
    container: Literal["Managed", "Unlocked"]
    org_dependent: bool
    error_username: str | None
    created_at: datetime
    created_by: str
    deprecated: bool = False

    @property
    def managed(self) -> bool:
        """Whether subscribers cannot change what it brings."""
        return self.container == "Managed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A package version (`05i`), known to subscribers by another ID (`04t`).

    `files` are the components by path; `key_hash` is that of the installation key.
    """

    version_id: str
    subscriber_version_id: str
    package_id: str
    numbers: tuple[int, int, int, int]
    name: str
    description: str | None
    tag: str | None
    branch: str | None
    ancestor_id: str | None
    files: dict[str, str]
    key_hash: str | None
    skipped_validation: bool
    passed_coverage: bool
    post_install_url: str | None
    release_notes_url: str | None
    language: str | None
    created_at: datetime
    created_by: str
    released: bool = False
    deprecated: bool = False
    coverage_percent: int | None = None

    @property
    def number(self) -> str:
        """The number as it is written."""
        return ".".join(map(str, self.numbers))


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionRequest:
    """A request for a version (`08c`): it ends with a version, or with errors."""

    request_id: str
    package_id: str
    version_id: str | None
    errors: tuple[str, ...]
    tag: str | None
    branch: str | None
    created_at: datetime
    created_by: str
    asked: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallRequest:
    """A request to install (`0Hf`) or uninstall (`06y`) a version in an org."""

    request_id: str
    org_id: str
    subscriber_version_id: str
    kind: Literal["install", "uninstall"]
    errors: tuple[str, ...]
    created_at: datetime
    created_by: str
    asked: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """A package as it stands in an org (`0A3`)."""

    installed_id: str
    org_id: str
    package_id: str
    subscriber_version_id: str
    for_whom: ForWhom
    at: datetime


class PackageBooks:
    """All of them; each written through to the store."""

    def __init__(self, store: Store) -> None:
        self.packages = Book("package", Package, key=lambda p: p.package_id, store=store)
        self.versions = Book("version", Version, key=lambda v: v.subscriber_version_id, store=store)
        self.requests = Book(
            "version request", VersionRequest, key=lambda r: r.request_id, store=store
        )
        self.installs = Book(
            "install request", InstallRequest, key=lambda r: r.request_id, store=store
        )
        self.installed = Book(
            "installed", Installed, key=lambda i: f"{i.org_id}:{i.package_id}", store=store
        )

    def package(self, written: str) -> Package | None:
        """Find a package by its ID of 15 or 18 characters."""
        return next((p for p in self.packages if p.package_id[:15] == written[:15]), None)

    def package_of(self, version: Version) -> Package:
        """Return the package that a version belongs to."""
        package = self.packages.get(version.package_id)
        if package is None:
            raise LookupError(version.package_id)
        return package

    def version(self, written: str) -> Version | None:
        """Find a version by either of its IDs."""
        wanted = written[:15]
        return next(
            (
                v
                for v in self.versions
                if wanted in (v.subscriber_version_id[:15], v.version_id[:15])
            ),
            None,
        )

    def versions_of(self, package_id: str) -> list[Version]:
        """Return a package's versions, the lowest number first."""
        return sorted(
            (v for v in self.versions if v.package_id == package_id), key=lambda v: v.numbers
        )

    def installed_in(self, org_id: str) -> list[Installed]:
        """Return what packages an org has."""
        return [i for i in self.installed if i.org_id == org_id]
