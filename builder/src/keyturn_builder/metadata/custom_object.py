"""`CustomObject` and `CustomField`: an object with its fields, each in a file of its own.

Spec: Metadata API Developer Guide, "CustomObject", "CustomField".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from keyturn_builder.metadata.component import Component
from keyturn_builder.metadata.xml import Value, document

_TEXT = {"type": "Text"}


def usage_object() -> Iterator[Component]:
    """Return what the product writes about usage: one record an account and day."""
    yield _object(
        "Usage__c",
        {
            "deploymentStatus": "Deployed",
            "description": "How a customer uses the product, written by the product.",
            "externalSharingModel": "Private",
            "label": "Usage",
            "nameField": {
                "displayFormat": "U-{00000000}",
                "label": "Usage Number",
                "type": "AutoNumber",
            },
            "pluralLabel": "Usage",
            "sharingModel": "ReadWrite",
        },
    )
    yield _field(
        "Usage__c",
        "Key__c",
        {
            **_TEXT,
            "caseSensitive": True,
            "externalId": True,
            "label": "Key",
            "length": 100,
            "unique": True,
        },
    )
    yield _field(
        "Usage__c",
        "Account__c",
        {
            "deleteConstraint": "SetNull",
            "label": "Account",
            "referenceTo": "Account",
            "relationshipLabel": "Usage",
            "relationshipName": "Usage",
            "type": "Lookup",
        },
    )
    yield _field(
        "Usage__c", "Logins__c", {"label": "Logins", "precision": 18, "scale": 0, "type": "Number"}
    )
    yield _field("Usage__c", "Day__c", {"label": "Day", "type": "Date"})


def alert_event() -> Iterator[Component]:
    """Return the platform event by which the product raises an alert."""
    yield _object(
        "Renewal_Alert__e",
        {
            "deploymentStatus": "Deployed",
            "description": "The product says that a renewal is at risk.",
            "eventType": "HighVolume",
            "label": "Renewal Alert",
            "pluralLabel": "Renewal Alerts",
            "publishBehavior": "PublishImmediately",
        },
    )
    yield _field("Renewal_Alert__e", "Account__c", {**_TEXT, "label": "Account", "length": 18})
    yield _field("Renewal_Alert__e", "Message__c", {**_TEXT, "label": "Message", "length": 255})


def _object(name: str, children: Mapping[str, Value]) -> Component:
    return Component(
        type="CustomObject",
        name=name,
        path=f"objects/{name}/{name}.object-meta.xml",
        text=document("CustomObject", children),
    )


def _field(owner: str, name: str, children: Mapping[str, Value]) -> Component:
    return Component(
        type="CustomField",
        name=f"{owner}.{name}",
        path=f"objects/{owner}/fields/{name}.field-meta.xml",
        text=document("CustomField", {"fullName": name, **children}),
    )
