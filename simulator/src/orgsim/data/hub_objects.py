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


def all_of_them() -> tuple[ObjectType, ...]:
    """Return every object of a Dev Hub that other orgs do not have."""
    return (scratch_org_info(),)
