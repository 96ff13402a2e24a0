"""What the vendor's package brings into an org: an object, a platform event and a flow."""

from orgsim.data.fields import Field
from orgsim.data.schema import ObjectType
from orgsim.data.standard_objects import AUDIT_FIELDS, IS_DELETED, OWNER, id_field

FLOW = "Renewal_Alert"
_EVENT_ID = "EventUuid"


def usage_name(namespace: str) -> str:
    """Return the API name of the object for product usage."""
    return f"{namespace}__Usage__c"


def event_name(namespace: str) -> str:
    """Return the API name of the renewal alert as an event."""
    return f"{namespace}__Renewal_Alert__e"


def flow_name(namespace: str) -> str:
    """Return the API name of the renewal alert as a flow."""
    return f"{namespace}__{FLOW}"


def usage(namespace: str) -> ObjectType:
    """Make the object that holds one account's use of the product on one day."""
    return ObjectType(
        name=usage_name(namespace),
        label="Usage",
        plural="Usage",
        prefix="a00",
        fields=(
            id_field("Record ID"),
            OWNER,
            IS_DELETED,
            Field(
                name="Name",
                label="Usage Number",
                type="string",
                length=80,
                nillable=False,
                creatable=False,
                updateable=False,
                name_field=True,
                auto_number="U-{0:06}",
            ),
            *AUDIT_FIELDS,
            Field(
                name=f"{namespace}__Key__c",
                label="Key",
                type="string",
                length=255,
                unique=True,
                external_id=True,
                id_lookup=True,
            ),
            Field(
                name=f"{namespace}__Account__c",
                label="Account",
                type="reference",
                length=18,
                reference_to=("Account",),
                relationship=f"{namespace}__Account__r",
                child_name=f"{namespace}__Usages__r",
            ),
            Field(
                name=f"{namespace}__Logins__c",
                label="Logins",
                type="double",
                precision=18,
            ),
            Field(name=f"{namespace}__Day__c", label="Day", type="date"),
        ),
    )


def renewal_alert(namespace: str) -> ObjectType:
    """Make the platform event that tells of an account whose contract ends soon.

    An event has no lookups: the account goes as text.

    Spec: Platform Events Developer Guide, "Platform Event Fields".
    """
    return ObjectType(
        name=event_name(namespace),
        label="Renewal Alert",
        plural="Renewal Alerts",
        prefix="e00",
        kind="event",
        fields=(
            Field(
                name="ReplayId",
                label="Replay ID",
                type="string",
                length=1000,
                creatable=False,
                updateable=False,
            ),
            Field(
                name=_EVENT_ID,
                label="Event UUID",
                type="string",
                length=36,
                creatable=False,
                updateable=False,
            ),
            *AUDIT_FIELDS[:2],
            Field(
                name=f"{namespace}__Account__c",
                label="Account",
                type="string",
                length=18,
                updateable=False,
            ),
            Field(
                name=f"{namespace}__Message__c",
                label="Message",
                type="string",
                length=255,
                updateable=False,
            ),
        ),
    )
