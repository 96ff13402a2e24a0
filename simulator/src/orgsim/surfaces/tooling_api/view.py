"""Packaging objects as rows, as they are when somebody asks; SOQL runs over them.

Nothing is kept here: the books of the world are the truth, and a query sees a table made of them.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

from orgsim.data.fields import Scalar
from orgsim.data.rows import Row, Rows
from orgsim.data.schema import Schema
from orgsim.data.wire import stored_moment
from orgsim.orgs.installing import validation_status
from orgsim.orgs.org import Org
from orgsim.orgs.packages import InstallRequest, Package, Version, VersionRequest
from orgsim.surfaces.tooling_api import external_apps
from orgsim.surfaces.tooling_api.objects import HUB, SUBSCRIBER
from orgsim.world import World

_RELEASE = 68.0
_LADDER = ("Queued", "VerifyingMetadata", "FinalizingPackageVersion", "PerformingValidations")
Maker = Callable[["ToolingView"], Iterator[Row]]


class ToolingView:
    """One org's packaging objects at one moment, in the form that queries run over."""

    def __init__(self, world: World, org: Org, *, presented_key: str | None = None) -> None:
        self.world = world
        self.org = org
        self.books = world.packages
        self.presented_key = presented_key
        self.schema: Schema = HUB if org.dev_hub else SUBSCRIBER
        self._rows = Rows(None)
        self._rows.lay_out(self.schema)
        for kind in self.schema:
            for row in MAKERS[kind.name](self):
                self._rows.insert(kind, row)

    def now(self) -> datetime:
        """Return the world's time."""
        return self.world.clock.now()

    def select(self, sql: str, parameters: Sequence[Scalar] = ()) -> list[tuple[Any, ...]]:
        """Run a query that the SOQL compiler wrote."""
        return self._rows.select(sql, parameters)

    def find(self, name: str, record_id: str) -> Row | None:
        """Return a record of an object, whole."""
        kind = self.schema.find(name)
        return None if kind is None else self._rows.read(kind, record_id)

    def close(self) -> None:
        """Let go of the tables."""
        self._rows.close()


def stamps(at: datetime) -> Row:
    """Return when a row was made; nothing says when it was changed last."""
    moment = stored_moment(at)
    return {
        "IsDeleted": False,
        "CreatedDate": moment,
        "LastModifiedDate": moment,
        "SystemModstamp": moment,
    }


def status_of(request: VersionRequest, *, waits: int) -> str:
    """Return how far a request for a version is: it moves on with each question."""
    if request.asked <= waits:
        return _LADDER[min(request.asked, len(_LADDER) - 1)]
    return "Error" if request.errors else "Success"


def install_status(request: InstallRequest, *, waits: int, shouts: bool) -> str:
    """Return how far an install or uninstall is; the two spell their states differently."""
    if request.asked <= waits:
        return "IN_PROGRESS" if shouts else "InProgress"
    end = "Error" if request.errors else "Success"
    return end.upper() if shouts else end


def _packages(view: ToolingView) -> Iterator[Row]:
    for package in view.books.packages:
        yield {
            "Id": package.package_id,
            "SubscriberPackageId": package.subscriber_package_id,
            "Name": package.name,
            "Description": package.description,
            "NamespacePrefix": package.namespace,
            "ContainerOptions": package.container,
            "IsDeprecated": package.deprecated,
            "IsOrgDependent": package.org_dependent,
            "PackageErrorUsername": package.error_username,
            "AppAnalyticsEnabled": False,
            "CreatedById": package.created_by,
            "LastModifiedById": package.created_by,
            **stamps(package.created_at),
        }


def _versions(view: ToolingView) -> Iterator[Row]:
    for version in view.books.versions:
        major, minor, patch, build = version.numbers
        yield {
            "Id": version.version_id,
            "Package2Id": version.package_id,
            "SubscriberPackageVersionId": version.subscriber_version_id,
            "Tag": version.tag,
            "Branch": version.branch,
            "AncestorId": version.ancestor_id,
            "ValidationSkipped": version.skipped_validation,
            "ValidatedAsync": False,
            "Name": version.name,
            "Description": version.description,
            "MajorVersion": major,
            "MinorVersion": minor,
            "PatchVersion": patch,
            "BuildNumber": build,
            "IsDeprecated": version.deprecated,
            "IsPasswordProtected": version.key_hash is not None,
            "HasPassedCodeCoverageCheck": version.passed_coverage,
            "IsReleased": version.released,
            "ReleaseVersion": _RELEASE,
            "BuildDurationInSeconds": 0,
            "EndToEndBuildDurationInSeconds": 0,
            "HasMetadataRemoved": False,
            "DeveloperUsePkgZip": False,
            "HasVpi": False,
            "Language": version.language,
            "TotalNumberOfMetadataFiles": len(version.files),
            "TotalSizeOfMetadataFiles": sum(len(text) for text in version.files.values()),
            "CreatedById": version.created_by,
            "LastModifiedById": version.created_by,
            **stamps(version.created_at),
        }


def _version_requests(view: ToolingView) -> Iterator[Row]:
    waits = view.world.switches.status_checks_until_done
    for request in view.books.requests:
        status = status_of(request, waits=waits)
        yield {
            "Id": request.request_id,
            "Status": status,
            "Package2Id": request.package_id,
            "Package2VersionId": request.version_id if status == "Success" else None,
            "Tag": request.tag,
            "Branch": request.branch,
            "IsConversionRequest": False,
            "AsyncValidation": False,
            "SkipValidation": False,
            "CalculateCodeCoverage": False,
            "CreatedById": request.created_by,
            **stamps(request.created_at),
        }


def _version_request_errors(view: ToolingView) -> Iterator[Row]:
    for request in view.books.requests:
        for at, text in enumerate(request.errors):
            yield {
                "Id": f"0bL{request.request_id[3:13]}{at:02}AAA",
                "Message": text,
                "ParentRequestId": request.request_id,
                **stamps(request.created_at),
            }


def _subscriber_packages(view: ToolingView) -> Iterator[Row]:
    for package in view.books.packages:
        yield {
            "Id": package.subscriber_package_id,
            "Name": package.name,
            "Description": package.description,
            "NamespacePrefix": package.namespace,
            "IsPackageValid": True,
            **stamps(package.created_at),
        }


def _subscriber_versions(view: ToolingView) -> Iterator[Row]:
    for version in view.books.versions:
        package = view.books.packages.get(version.package_id)
        if package is not None:
            yield _subscriber_version(view, version, package)


def _subscriber_version(view: ToolingView, version: Version, package: Package) -> Row:
    major, minor, patch, build = version.numbers
    return {
        "Id": version.subscriber_version_id,
        "BuildNumber": build,
        "Description": version.description,
        "InstallValidationStatus": validation_status(view.world, view.org, version),
        "InstallationKey": view.presented_key,
        "IsBeta": not version.released,
        "IsDeprecated": version.deprecated,
        "IsManaged": package.managed,
        "IsOrgDependent": package.org_dependent,
        "IsPasswordProtected": version.key_hash is not None,
        "IsSecurityReviewed": False,
        "MajorVersion": major,
        "MinorVersion": minor,
        "Name": version.name,
        "Package2ContainerOptions": package.container,
        "PatchVersion": patch,
        "PostInstallUrl": version.post_install_url,
        "PublisherName": view.world.hub.name,
        "ReleaseNotesUrl": version.release_notes_url,
        "ReleaseState": "Released" if version.released else "Beta",
        "SubscriberPackageId": package.subscriber_package_id,
        **stamps(version.created_at),
    }


def _installed(view: ToolingView) -> Iterator[Row]:
    for installed in view.books.installed_in(view.org.org_id):
        package = view.books.packages.get(installed.package_id)
        yield {
            "Id": installed.installed_id,
            "SubscriberPackageId": None if package is None else package.subscriber_package_id,
            "SubscriberPackageVersionId": installed.subscriber_version_id,
            "MinPackageVersionId": installed.subscriber_version_id,
            **stamps(installed.at),
        }


def _install_requests(view: ToolingView) -> Iterator[Row]:
    waits = view.world.switches.status_checks_until_done
    for request in view.books.installs:
        if (request.org_id, request.kind) == (view.org.org_id, "install"):
            yield {
                "Id": request.request_id,
                "Status": install_status(request, waits=waits, shouts=True),
                "SubscriberPackageVersionKey": request.subscriber_version_id,
                "NameConflictResolution": "Block",
                "SecurityType": "None",
                "PackageInstallSource": "U",
                "UpgradeType": "mixed-mode",
                "ApexCompileType": "all",
                "EnableRss": False,
                "CreatedById": request.created_by,
                **stamps(request.created_at),
            }


def _uninstall_requests(view: ToolingView) -> Iterator[Row]:
    waits = view.world.switches.status_checks_until_done
    for request in view.books.installs:
        if (request.org_id, request.kind) == (view.org.org_id, "uninstall"):
            yield {
                "Id": request.request_id,
                "Status": install_status(request, waits=waits, shouts=False),
                "SubscriberPackageVersionId": request.subscriber_version_id,
                **stamps(request.created_at),
            }


def _uninstall_errors(view: ToolingView) -> Iterator[Row]:
    for request in view.books.installs:
        if (request.org_id, request.kind) == (view.org.org_id, "uninstall"):
            for at, text in enumerate(request.errors):
                yield {
                    "Id": f"0bM{request.request_id[3:13]}{at:02}AAA",
                    "Message": text,
                    "ParentRequestId": request.request_id,
                    **stamps(request.created_at),
                }


def _of_apps(name: str, make: Callable[[World, Org], Iterator[Row]]) -> Maker:
    """Return what makes an object's rows of apps; columns that the object lacks are left out."""

    def rows(view: ToolingView) -> Iterator[Row]:
        columns = {field.name for field in view.schema[name].fields}
        for row in make(view.world, view.org):
            yield {column: row[column] for column in row if column in columns}

    return rows


MAKERS: dict[str, Maker] = {
    "Package2": _packages,
    "Package2Version": _versions,
    "Package2VersionCreateRequest": _version_requests,
    "Package2VersionCreateRequestError": _version_request_errors,
    "SubscriberPackage": _subscriber_packages,
    "SubscriberPackageVersion": _subscriber_versions,
    "InstalledSubscriberPackage": _installed,
    "PackageInstallRequest": _install_requests,
    "SubscriberPackageVersionUninstallRequest": _uninstall_requests,
    "PackageVersionUninstallRequestError": _uninstall_errors,
    "ExternalClientApplication": _of_apps("ExternalClientApplication", external_apps.applications),
    "ExtlClntAppOauthSettings": _of_apps("ExtlClntAppOauthSettings", external_apps.oauth_settings),
    "ExtlClntAppOauthPlcyCnfg": _of_apps("ExtlClntAppOauthPlcyCnfg", external_apps.oauth_policies),
    "ExtlClntAppPlcyCnfg": _of_apps("ExtlClntAppPlcyCnfg", external_apps.plugin_policies),
    "SetupEntityAccess": _of_apps("SetupEntityAccess", external_apps.accesses),
}
