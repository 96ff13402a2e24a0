"""The vendor's packages, as the Dev Hub org that owns them knows them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from keyturn_core.salesforce.ids import OrgId
from keyturn_core.salesforce.package_subscribers import PackageVersionId


class DevHubUnreachable(Exception):
    """The Dev Hub gave no answer of use; `reason` is a code of the catalogue or of Salesforce's."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageInOrg:
    """The package that a version is of, in an org."""

    version: PackageVersionId
    org_id: OrgId


class InstalledPackages(Protocol):
    """Which orgs have installed a package, in whatever version. What it tells may be late."""

    async def among(self, asked: Collection[PackageInOrg]) -> frozenset[PackageInOrg]:
        """Return those of the asked that are installed, as far as the Dev Hub knows by now.

        Raises:
            DevHubUnreachable: it could not be asked.
        """
        ...
