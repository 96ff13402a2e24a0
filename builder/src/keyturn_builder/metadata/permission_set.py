"""`PermissionSet`: one in the package for its own components, one beside it for the rest.

A packaged permission set keeps only what belongs to the package; standard objects and user
permissions are dropped at the install, without a word.
Spec: Second-Generation Managed Packaging Developer Guide, "Permission Sets and Profile Settings".
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from keyturn_builder.app_config import Access, AppTable, ObjectTable
from keyturn_builder.metadata.component import Component
from keyturn_builder.metadata.xml import Value, document

TYPE = "PermissionSet"
_EVENT = "__e"
# Every user who sees the record sees these; a permission on them fails the deploy.
_ALWAYS: Mapping[str, frozenset[str]] = {
    "": frozenset(
        {"Id", "Name", "OwnerId", "IsDeleted", "CreatedById", "CreatedDate", "LastModifiedById"}
        | {"LastModifiedDate", "SystemModstamp"}
    ),
    "Case": frozenset({"Status"}),
    "Contact": frozenset({"FirstName", "LastName", "Salutation"}),
    "Lead": frozenset({"Company", "FirstName", "LastName", "Salutation", "Status"}),
    "Opportunity": frozenset({"CloseDate", "StageName"}),
}
# Reading these asks for reading accounts.
_BELOW_ACCOUNT = frozenset({"Asset", "Case", "Contact", "Contract", "Opportunity", "Order"})
# Activities have no object permissions: one user permission each.
_ACTIVITIES: Mapping[str, str] = {"Event": "EditEvent", "Task": "EditTask"}


def package_permission_set(
    app: AppTable,
    objects: Mapping[str, ObjectTable],
    *,
    flows: Iterable[str] = (),
    required: Collection[str] = (),
) -> Component:
    """Return the package's own permission set.

    `objects` are the package's own, and standard ones that it adds fields to; `required` fields
    (`Usage__c.Key__c`) carry no permission.
    """
    name = f"{app.name}_Package"
    children: dict[str, Value] = {
        "description": f"What {app.label} itself brings.",
        "fieldPermissions": list(_fields(objects, required)),
        "flowAccesses": [{"enabled": True, "flow": flow} for flow in sorted(flows)],
        "hasActivationRequired": False,
        "label": f"{app.label}: package",
        "objectPermissions": [
            _object(key, table) for key, table in sorted(objects.items()) if "__" in key
        ],
    }
    return Component.of(TYPE, name, document(TYPE, children))


def admin_permission_set(app: AppTable, objects: Mapping[str, ObjectTable]) -> Component:
    """Return the permission set that the customer's admin deploys: standard objects, the API."""
    name = admin_permission_set_name(app)
    records = {key: table for key, table in objects.items() if key not in _ACTIVITIES}
    if _BELOW_ACCOUNT & records.keys():
        records.setdefault("Account", ObjectTable())
    users = {"ApiEnabled", *_activity_permissions(objects)}
    children: dict[str, Value] = {
        "description": f"What {app.label} needs beside its package.",
        "fieldPermissions": list(_fields(records, ())),
        "hasActivationRequired": False,
        "label": f"{app.label}: access",
        "objectPermissions": [_object(key, table) for key, table in sorted(records.items())],
        "userPermissions": [{"enabled": True, "name": user} for user in sorted(users)],
    }
    return Component.of(TYPE, name, document(TYPE, children))


def admin_permission_set_name(app: AppTable) -> str:
    """Return the name of the permission set beside the package."""
    return f"{app.name}_Access"


def _activity_permissions(objects: Mapping[str, ObjectTable]) -> Iterator[str]:
    for name, permission in _ACTIVITIES.items():
        if name in objects and set(objects[name].access) - {Access.READ}:
            yield permission


def _object(name: str, table: ObjectTable) -> dict[str, Value]:
    """Return permissions on an object; those that one asks for are given with it."""
    access = set(table.access)
    delete = Access.DELETE in access
    edit = delete or Access.EDIT in access
    allowed: dict[str, Value] = {
        "allowCreate": Access.CREATE in access,
        "allowDelete": delete,
        "allowEdit": edit,
        "allowRead": True,
        "modifyAllRecords": False,
        "object": name,
        "viewAllRecords": False,
    }
    if name.endswith(_EVENT):  # events are published and heard, nothing else
        allowed |= {"allowDelete": False, "allowEdit": False}
    return allowed


def _fields(
    objects: Mapping[str, ObjectTable], required: Collection[str]
) -> Iterator[dict[str, Value]]:
    for name, table in sorted(objects.items()):
        if name.endswith(_EVENT):
            continue
        writes = bool(set(table.access) & {Access.CREATE, Access.EDIT, Access.DELETE})
        for field in sorted(set(table.fields) - _ALWAYS[""] - _ALWAYS.get(name, frozenset())):
            if f"{name}.{field}" not in required:
                yield {"editable": writes, "field": f"{name}.{field}", "readable": True}
