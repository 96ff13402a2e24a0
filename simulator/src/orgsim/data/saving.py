"""Creating, changing and deleting records by Salesforce's rules.

The order of the checks is Salesforce's: can it be read, may it be written, is it complete, does it
point to something, is it unique.

Spec: REST API Developer Guide, "sObject Rows"; Salesforce Object Reference.
"""

from collections.abc import Mapping
from typing import Any

from orgsim.data import refusals
from orgsim.data.fields import Field, Scalar
from orgsim.data.ids import read_id
from orgsim.data.incoming import read_value
from orgsim.data.rows import Row
from orgsim.data.schema import ObjectType
from orgsim.data.store import OrgData

_IGNORED = frozenset({"attributes"})


def _read_fields(kind: ObjectType, values: Mapping[str, Any], *, creating: bool) -> Row:
    """Turn a JSON object into fields and stored values."""
    fields: list[tuple[Field, Any]] = []
    for name, value in values.items():
        if name in _IGNORED:
            continue
        field = kind.field(name)
        if field is None:
            raise refusals.no_such_column(kind, name)
        fields.append((field, value))
    read = {field.name: read_value(field, value) for field, value in fields}
    closed = [f.name for f, _ in fields if not (f.creatable if creating else f.updateable)]
    if closed:
        raise refusals.not_writable(closed)
    return read


def _check_complete(kind: ObjectType, row: Row, *, creating: bool) -> None:
    lacking = [
        field.name
        for field in kind.fields
        if field.required and row.get(field.name) is None and (creating or field.name in row)
    ]
    if lacking:
        raise refusals.missing(lacking)


def _check_references(data: OrgData, kind: ObjectType, row: Row) -> None:
    for name, value in row.items():
        field = kind.field(name)
        if field is None or field.type != "reference" or not isinstance(value, str):
            continue
        target = data.schema.by_prefix(value)
        if target is None or target.name not in field.reference_to:
            raise refusals.wrong_id(field, value)
        found = data.read(target, value)
        if found is None:
            raise refusals.unknown_reference()
        if found.get("IsDeleted"):
            raise refusals.deleted()


def _check_unique(data: OrgData, kind: ObjectType, row: Row, record_id: str | None) -> None:
    for field in kind.fields:
        value = row.get(field.name)
        if field.unique and value is not None:
            for other in data.live_with(kind, field, value):
                if other["Id"] != record_id:
                    raise refusals.duplicate(field, str(other["Id"]))


def _fill_defaults(kind: ObjectType, row: Row) -> Row:
    """Put defaults where a caller explicitly wrote null into what always has a value."""
    filled = dict(row)
    for field in kind.fields:
        if field.name in row and row[field.name] is None and not field.nillable:
            filled[field.name] = field.default
    return filled


def existing(data: OrgData, kind: ObjectType, record_id: str) -> Row:
    """Return a record that is there.

    Raises:
        SaveRefused: `NOT_FOUND`, or it is deleted.
    """
    known = read_id(record_id)
    found = data.read(kind, known) if known is not None and kind.queryable else None
    if found is None:
        raise refusals.refused("NOT_FOUND", "The requested resource does not exist")
    if found.get("IsDeleted"):
        raise refusals.deleted()
    return found


def create_record(data: OrgData, kind: ObjectType, values: Mapping[str, Any], *, by: str) -> str:
    """Add a record and return its ID.

    Raises:
        SaveRefused: Salesforce would not take it.
    """
    if not kind.writable:
        raise refusals.read_only_object()
    row = _read_fields(kind, values, creating=True)
    owner = row.get("OwnerId")
    if "OwnerId" in row and owner is None:
        del row["OwnerId"]
    _check_complete(kind, row, creating=True)
    _check_references(data, kind, row)
    _check_unique(data, kind, row, None)
    return data.keep(kind.name, _fill_defaults(kind, row), at=data.now(), by=by)


def change_record(
    data: OrgData, kind: ObjectType, record_id: str, values: Mapping[str, Any], *, by: str
) -> str:
    """Change a record and return its ID of 18 characters.

    Raises:
        SaveRefused: it is not there, or Salesforce would not take the change.
    """
    row = _read_fields(kind, values, creating=False)
    known = str(existing(data, kind, record_id)["Id"])
    if not kind.writable:
        raise refusals.read_only_object()
    if "OwnerId" in row and row["OwnerId"] is None:
        raise refusals.missing(["OwnerId"])
    _check_complete(kind, row, creating=False)
    _check_references(data, kind, row)
    _check_unique(data, kind, row, known)
    data.change(kind, known, _fill_defaults(kind, row), by=by)
    return known


def delete_record(data: OrgData, kind: ObjectType, record_id: str, *, by: str) -> str:
    """Delete a record and return its ID of 18 characters.

    Raises:
        SaveRefused: it is not there, or is nobody's to delete.
    """
    known = str(existing(data, kind, record_id)["Id"])
    if not kind.writable:
        raise refusals.read_only_object()
    with data.undone_on_error():
        data.mark_deleted(kind, known, by=by)
    return known


def read_event(kind: ObjectType, values: Mapping[str, Any]) -> Row:
    """Return the fields of a platform event that somebody publishes.

    Raises:
        SaveRefused: Salesforce would not take it.
    """
    row = _read_fields(kind, values, creating=True)
    _check_complete(kind, row, creating=True)
    return row


def lookup_value(field: Field, value: Any) -> Scalar:
    """Read the value by which a record is looked up, such as an external ID.

    Raises:
        SaveRefused: it is not of the field's type.
    """
    return read_value(field, value)
