"""Objects that only a Dev Hub has: scratch orgs, and who runs which package.

Spec: Second-Generation Managed Packaging Developer Guide, "Get Information About Orgs That Have
Installed Your Package"; Salesforce DX Developer Guide, "Scratch Orgs".
"""

from orgsim.data.fields import Field, FieldType
from orgsim.data.schema import ObjectType
from orgsim.data.standard_objects import AUDIT_FIELDS, IS_DELETED, OWNER, id_field


def _told(name: str, label: str, type: FieldType = "string", length: int = 255) -> Field:
    """Make a field that Salesforce fills."""
    return Field(
        name=name, label=label, type=type, length=length, creatable=False, updateable=False
    )


def scratch_org_info() -> ObjectType:
    """Make the request for a scratch org, of which this hub never has one."""
    return ObjectType(
        name="ScratchOrgInfo",
        label="Scratch Org Info",
        plural="Scratch Org Infos",
        prefix="2SR",
        kind="setup",
        fields=(
            id_field("Record ID"),
            OWNER,
            IS_DELETED,
            _told("Name", "Number"),
            *AUDIT_FIELDS,
            _told("Edition", "Edition"),
            _told("Status", "Status"),
            _told("ScratchOrg", "Scratch Org"),
            _told("SignupUsername", "Username"),
            _told("LoginUrl", "Login URL"),
            _told("ExpirationDate", "Expiration Date", "date"),
        ),
    )


def package_subscriber() -> ObjectType:
    """Make the object that says who runs which package; Salesforce fills it, after a while."""
    return ObjectType(
        name="PackageSubscriber",
        label="Package Subscriber",
        plural="Package Subscribers",
        prefix="0Hd",
        kind="setup",
        fields=(
            id_field("Record ID"),
            _told("OrgKey", "Org Key", length=18),
            _told("OrgName", "Org Name"),
            _told("OrgType", "Org Type"),
            _told("OrgStatus", "Org Status"),
            _told("InstalledStatus", "Installed Status"),
            _told("InstanceName", "Instance Name"),
            _told("ParentOrg", "Parent Org"),
            _told("MetadataPackageId", "Metadata Package ID", length=18),
            _told("MetadataPackageVersionId", "Metadata Package Version ID", length=18),
            *AUDIT_FIELDS[:1],
            *AUDIT_FIELDS[2:3],
        ),
    )


def metadata_package() -> ObjectType:
    """Make the package as queries outside the Tooling API see it."""
    return ObjectType(
        name="MetadataPackage",
        label="Metadata Package",
        plural="Metadata Packages",
        prefix="033",
        kind="setup",
        fields=(
            id_field("Record ID"),
            _told("Name", "Name"),
            _told("NamespacePrefix", "Namespace Prefix"),
            _told("PackageCategory", "Package Category"),
        ),
    )


def metadata_package_version() -> ObjectType:
    """Make the package version as queries outside the Tooling API see it."""
    return ObjectType(
        name="MetadataPackageVersion",
        label="Metadata Package Version",
        plural="Metadata Package Versions",
        prefix="04t",
        kind="setup",
        fields=(
            id_field("Record ID"),
            _told("Name", "Name"),
            _told("ReleaseState", "Release State"),
            _told("MajorVersion", "Major", "int"),
            _told("MinorVersion", "Minor", "int"),
            _told("PatchVersion", "Patch", "int"),
            _told("BuildNumber", "Build", "int"),
            Field(
                name="MetadataPackageId",
                label="Metadata Package ID",
                type="reference",
                length=18,
                reference_to=("MetadataPackage",),
                relationship="MetadataPackage",
                creatable=False,
                updateable=False,
            ),
        ),
    )


def all_of_them() -> tuple[ObjectType, ...]:
    """Return every object of a Dev Hub that other orgs do not have."""
    return (
        scratch_org_info(),
        package_subscriber(),
        metadata_package(),
        metadata_package_version(),
    )
