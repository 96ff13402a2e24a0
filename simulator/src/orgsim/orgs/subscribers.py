"""What the Dev Hub is told of installs, and when it knows.

Spec: Second-Generation Managed Packaging Developer Guide, "Get Information About Orgs That Have
Installed Your Package" (`PackageSubscriber`, which lags).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from orgsim.data.rows import Row
from orgsim.data.wire import stored_moment
from orgsim.orgs.org import Org
from orgsim.orgs.packages import Package, Version

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
