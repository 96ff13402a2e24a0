"""What the Dev Hub is told of installs, and when it knows.

Spec: Second-Generation Managed Packaging Developer Guide, "Get Information About Orgs That Have
Installed Your Package" (`PackageSubscriber`, which lags).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from orgsim.data.rows import Row
from orgsim.data.wire import stored_moment
from orgsim.orgs.apps import App
from orgsim.orgs.org import Org
from orgsim.orgs.packages import Package, Version
from orgsim.randomness import Seeded

InstalledStatus = Literal["i", "u"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """An install or uninstall that the Dev Hub knows of from `due` on."""

    row_id: str
    org_id: str
    subscriber_package_id: str
    subscriber_version_id: str
    status: InstalledStatus
    at: datetime
    due: datetime

    @property
    def key(self) -> str:
        """One notice for each org and package: the last one counts."""
        return f"{self.org_id}:{self.subscriber_package_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstPackage:
    """The package that a world has from the start, as its subscribers and the hub know it."""

    name: str
    namespace: str | None
    subscriber_package_id: str
    subscriber_version_id: str

    def rows(self) -> Iterator[tuple[str, Row]]:
        """Give what queries in the Dev Hub find of it, each row with the name of its object."""
        yield (
            "MetadataPackage",
            {
                "Id": self.subscriber_package_id,
                "Name": self.name,
                "NamespacePrefix": self.namespace,
                "PackageCategory": "Package",
            },
        )
        yield (
            "MetadataPackageVersion",
            {
                "Id": self.subscriber_version_id,
                "Name": "ver 1.0",
                "ReleaseState": "Released",
                "MajorVersion": 1,
                "MinorVersion": 0,
                "PatchVersion": 0,
                "BuildNumber": 1,
                "MetadataPackageId": self.subscriber_package_id,
            },
        )


def first_package(app: App, seeded: Seeded) -> FirstPackage:
    """Return the package that brings the world's first app."""
    return FirstPackage(
        name=app.name,
        namespace=app.namespace,
        subscriber_package_id=seeded.record_id("033", app.name),
        subscriber_version_id=seeded.record_id("04t", app.name),
    )


def subscriber_row(notice: Notice, org: Org) -> Row:
    """Return the row of `PackageSubscriber`; orgs go by their 15 characters there."""
    moment = stored_moment(notice.at)
    return {
        "Id": notice.row_id,
        "OrgKey": notice.org_id[:15],
        "OrgName": org.name,
        "OrgType": "Sandbox" if org.environment == "sandbox" else "Production",
        "OrgStatus": "Active",
        "InstalledStatus": notice.status,
        "InstanceName": "DEU7S" if org.environment == "sandbox" else "DEU42",
        "MetadataPackageId": notice.subscriber_package_id,
        "MetadataPackageVersionId": notice.subscriber_version_id,
        "CreatedDate": moment,
        "LastModifiedDate": moment,
    }


def package_row(package: Package) -> Row:
    """Return the row of `MetadataPackage`."""
    return {
        "Id": package.subscriber_package_id,
        "Name": package.name,
        "NamespacePrefix": package.namespace,
        "PackageCategory": "Package",
    }


def version_row(version: Version, package: Package) -> Row:
    """Return the row of `MetadataPackageVersion`."""
    major, minor, patch, build = version.numbers
    return {
        "Id": version.subscriber_version_id,
        "Name": version.name,
        "ReleaseState": "Released" if version.released else "Beta",
        "MajorVersion": major,
        "MinorVersion": minor,
        "PatchVersion": patch,
        "BuildNumber": build,
        "MetadataPackageId": package.subscriber_package_id,
    }
