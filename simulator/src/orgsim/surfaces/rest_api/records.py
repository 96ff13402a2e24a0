"""One record at a time: create, read, change, delete, and by external ID.

Spec: REST API Developer Guide, "sObject Basic Information", "sObject Rows" and "sObject Rows by
External ID".
"""

import re
from typing import Any

from orgsim.data import saving
from orgsim.data.fields import Field
from orgsim.data.ids import read_id
from orgsim.data.refusals import deleted, no_such_column, not_in_body
from orgsim.data.rows import Row
from orgsim.data.schema import ObjectType
from orgsim.data.wire import on_wire
from orgsim.soql import run_query
from orgsim.soql.answers import attributes
from orgsim.surfaces.rest_api.errors import malformed_id, not_an_external_id, not_found
from orgsim.surfaces.rest_api.exchange import Answer, Asked
from orgsim.surfaces.rest_api.json_bodies import read_object

_FIELD = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*", re.ASCII)
_CREATED_SINCE = 46  # the version from which an upsert says whether it created


def kind_of(asked: Asked, name: str) -> ObjectType:
    """Find an object of the API by its name.

    Raises:
        RestRefused: this org has none of that name.
    """
    kind = asked.data.schema.find(name)
    if kind is None or kind.kind == "union":
        raise not_found()
    return kind


def whole_record(asked: Asked, kind: ObjectType, row: Row) -> dict[str, Any]:
    """Return a record with all its fields."""
    body: dict[str, Any] = {"attributes": attributes(kind.name, str(row["Id"]), base=asked.base)}
    return body | {field.name: on_wire(field, row.get(field.name)) for field in kind.fields}


def saved(record_id: str, **more: bool) -> dict[str, Any]:
    """Return the result of a save that went well."""
    return {"id": record_id, "success": True, "errors": [], **more}


def publish(asked: Asked, kind: ObjectType, values: dict[str, Any]) -> dict[str, Any]:
    """Publish a platform event and return the result, whose error is none.

    Spec: Platform Events Developer Guide, "Publish Event Messages with Salesforce APIs".
    """
    event = asked.data.publish(kind, saving.read_event(kind, values), by=asked.user_id)
    placeholder = asked.data.new_id(prefix="e01", serial=0)
    queued = {"statusCode": "OPERATION_ENQUEUED", "message": event.uuid, "fields": []}
    return {"id": placeholder, "success": True, "errors": [queued]}


def create(asked: Asked) -> Answer:
    """Create a record, or publish an event."""
    kind = kind_of(asked, asked.path[1])
    values = read_object(asked)
    if kind.kind == "event":
        return Answer(status=201, body=publish(asked, kind, values))
    record_id = saving.create_record(asked.data, kind, values, by=asked.user_id)
    asked.data.look_at(record_id, by=asked.user_id)
    return _created(asked, kind, record_id, {})


def _created(asked: Asked, kind: ObjectType, record_id: str, more: dict[str, bool]) -> Answer:
    location = f"{asked.base}/sobjects/{kind.name}/{record_id}"
    return Answer(status=201, body=saved(record_id, **more), headers={"Location": location})


def _row(asked: Asked, kind: ObjectType, written: str) -> Row:
    """Find a record by the ID in a path.

    Raises:
        RestRefused: there is none.
        SaveRefused: it is deleted.
    """
    record_id = read_id(written)
    if record_id is None:
        raise not_an_external_id(written)
    row = asked.data.read(kind, record_id) if kind.queryable else None
    if row is None:
        raise not_found()
    if row.get("IsDeleted"):
        raise deleted()
    return row


def _shown(asked: Asked, kind: ObjectType, row: Row) -> Answer:
    record_id = str(row["Id"])
    asked.data.look_at(record_id, by=asked.user_id)
    wanted = asked.query.get("fields")
    if not wanted:
        return Answer(body=whole_record(asked, kind, row))
    names = [name.strip() for name in wanted.split(",") if name.strip()]
    for name in names:
        if not _FIELD.fullmatch(name):
            raise no_such_column(kind, name)
    listed = ", ".join(names) or "Id"
    query = f"SELECT {listed} FROM {kind.name} WHERE Id = '{record_id}'"  # noqa: S608 - SOQL, parsed
    found = run_query(asked.data, query, base=asked.base)
    return Answer(body=found.records[0])


def read(asked: Asked) -> Answer:
    """Show a record, whole or the fields asked for."""
    kind = kind_of(asked, asked.path[1])
    return _shown(asked, kind, _row(asked, kind, asked.path[2]))


def change(asked: Asked) -> Answer:
    """Change fields of a record."""
    kind = kind_of(asked, asked.path[1])
    record_id = _known_id(asked.path[2])
    values = read_object(asked)
    if any(name.lower() == "id" for name in values):
        raise not_in_body("Id")
    saving.change_record(asked.data, kind, record_id, values, by=asked.user_id)
    asked.data.look_at(record_id, by=asked.user_id)
    return Answer(status=204)


def delete(asked: Asked) -> Answer:
    """Delete a record."""
    kind = kind_of(asked, asked.path[1])
    saving.delete_record(asked.data, kind, _known_id(asked.path[2]), by=asked.user_id)
    return Answer(status=204)


def _known_id(written: str) -> str:
    record_id = read_id(written)
    if record_id is None:
        raise malformed_id(written)
    return record_id


# -- by external ID -----------------------------------------------------------------------------


def external_field(kind: ObjectType, name: str) -> Field:
    """Find a field by which records may be looked up.

    Raises:
        RestRefused: it is none.
    """
    field = kind.field(name)
    if field is None or not (field.external_id or field.id_lookup):
        raise not_an_external_id(name)
    return field


def found_by(asked: Asked, kind: ObjectType, field: Field, value: Any) -> list[Row]:
    """Find the live records with a value in a lookup field."""
    read_value = saving.lookup_value(field, value)
    return [] if read_value is None else asked.data.live_with(kind, field, read_value)


def _by_external(asked: Asked) -> tuple[ObjectType, Field, str, list[Row]]:
    kind = kind_of(asked, asked.path[1])
    field = external_field(kind, asked.path[2])
    value = asked.path[3]
    return kind, field, value, found_by(asked, kind, field, value)


def _several(asked: Asked, kind: ObjectType, rows: list[Row]) -> Answer:
    urls = [f"{asked.base}/sobjects/{kind.name}/{row['Id']}" for row in rows]
    return Answer(status=300, body=urls)


def read_by_external(asked: Asked) -> Answer:
    """Show the record with an external ID."""
    kind, _, _, rows = _by_external(asked)
    if not rows:
        raise not_found()
    return _several(asked, kind, rows) if len(rows) > 1 else _shown(asked, kind, rows[0])


def delete_by_external(asked: Asked) -> Answer:
    """Delete the record with an external ID."""
    kind, _, _, rows = _by_external(asked)
    if not rows:
        raise not_found()
    if len(rows) > 1:
        return _several(asked, kind, rows)
    saving.delete_record(asked.data, kind, str(rows[0]["Id"]), by=asked.user_id)
    return Answer(status=204)


def upsert(asked: Asked) -> Answer:
    """Change the record with an external ID, or create it."""
    kind, field, value, rows = _by_external(asked)
    values = read_object(asked)
    for name in values:
        if name.lower() in {"id", field.name.lower()}:
            raise not_in_body(field.name if name.lower() != "id" else "Id")
    if len(rows) > 1:
        return _several(asked, kind, rows)
    tells = asked.version >= _CREATED_SINCE
    if rows:
        known = str(rows[0]["Id"])
        saving.change_record(asked.data, kind, known, values, by=asked.user_id)
        return Answer(body=saved(known, created=False)) if tells else Answer(status=204)
    if asked.flag("updateOnly") or field.type == "id":
        raise not_found()
    values = {**values, field.name: value}
    record_id = saving.create_record(asked.data, kind, values, by=asked.user_id)
    return _created(asked, kind, record_id, {"created": True} if tells else {})
