"""Up to 200 records in one call.

Spec: REST API Developer Guide, "sObject Collections".
"""

from collections.abc import Callable
from itertools import groupby
from typing import Any

from orgsim.data import saving
from orgsim.data.ids import read_id
from orgsim.data.refusals import HALTED, SaveRefused, refused
from orgsim.data.schema import ObjectType
from orgsim.soql import run_query
from orgsim.surfaces.rest_api import records
from orgsim.surfaces.rest_api.errors import RestRefused, not_found, save_errors
from orgsim.surfaces.rest_api.exchange import Answer, Asked
from orgsim.surfaces.rest_api.json_bodies import read_object, records_of, too_many

MOST = 200
_MOST_READ = 2_000
_MOST_CHUNKS = 10
_Step = Callable[[Any], dict[str, Any]]


class _Undo(Exception):
    """Takes back a call in which not everything went well."""


def _results(asked: Asked, items: list[Any], step: _Step, *, all_or_none: bool) -> Answer:
    """Do one step for each item, and tell how each went.

    What a composite request around it demands overrides the call's own `all_or_none`; the status
    then says that the part failed.

    Spec: REST API Developer Guide, "allOrNone Parameters in Composite and Collections Requests".
    """
    results: list[dict[str, Any]] = []
    status = 200
    try:
        with asked.data.undone_on_error():
            results = [_result(asked, item, step) for item in items]
            _check_all(results, all_or_none=all_or_none or asked.all_or_none)
    except _Undo:
        results = [_halted(result) if result["success"] else result for result in results]
        status = 400 if asked.all_or_none else 200
    return Answer(status=status, body=results)


def _check_all(results: list[dict[str, Any]], *, all_or_none: bool) -> None:
    if all_or_none and not all(result["success"] for result in results):
        raise _Undo


def _result(asked: Asked, item: Any, step: _Step) -> dict[str, Any]:
    try:
        with asked.data.undone_on_error():
            return step(item)
    except SaveRefused as error:
        return {"success": False, "errors": save_errors(error, asked.body)}


def _halted(result: dict[str, Any]) -> dict[str, Any]:
    error = {
        "statusCode": "ALL_OR_NONE_OPERATION_ROLLED_BACK",
        "message": HALTED,
        "fields": [],
    }
    return {"id": result["id"], "success": False, "errors": [error]}


def _typed(asked: Asked, record: dict[str, Any]) -> ObjectType:
    """Return the object that a record says it is of."""
    match record.get("attributes"):
        case {"type": str(name)}:
            kind = asked.data.schema.find(name)
            if kind is None or kind.kind == "union":
                raise refused("INVALID_TYPE", f"sObject type '{name}' is not supported.")
            return kind
        case _:
            raise refused("INVALID_TYPE", "Record must include an attributes type")


def _body(asked: Asked) -> tuple[list[dict[str, Any]], bool]:
    body = read_object(asked)
    return records_of(body, most=MOST), body.get("allOrNone") is True


def _mixed_body(asked: Asked) -> tuple[list[dict[str, Any]], bool]:
    """Read a body whose records may be of several types, each run of one type being a chunk.

    Raises:
        RestRefused: there are too many chunks.
    """
    items, all_or_none = _body(asked)
    if sum(1 for _ in groupby(items, key=_type_name)) > _MOST_CHUNKS:
        raise RestRefused(
            "LIMIT_EXCEEDED",
            f"Cannot have more than {_MOST_CHUNKS} chunks in a single operation. Please rearrange "
            "the data to reduce chunking.",
        )
    return items, all_or_none


def _type_name(record: dict[str, Any]) -> str:
    match record.get("attributes"):
        case {"type": str(name)}:
            return name.lower()
        case _:
            return ""


def create(asked: Asked) -> Answer:
    """Create records, or publish events."""

    def step(record: dict[str, Any]) -> dict[str, Any]:
        kind = _typed(asked, record)
        if kind.kind == "event":
            return records.publish(asked, kind, record)
        return records.saved(saving.create_record(asked.data, kind, record, by=asked.user_id))

    items, all_or_none = _mixed_body(asked)
    return _results(asked, items, step, all_or_none=all_or_none)


def change(asked: Asked) -> Answer:
    """Change records by their IDs."""

    def step(record: dict[str, Any]) -> dict[str, Any]:
        kind = _typed(asked, record)
        written = next((record[name] for name in record if name.lower() == "id"), None)
        if not isinstance(written, str) or not written:
            raise refused("MISSING_ARGUMENT", "Id not specified in an update call")
        record_id = _id(written)
        values = {name: value for name, value in record.items() if name.lower() != "id"}
        return records.saved(
            saving.change_record(asked.data, kind, record_id, values, by=asked.user_id)
        )

    items, all_or_none = _mixed_body(asked)
    return _results(asked, items, step, all_or_none=all_or_none)


def _id(written: str) -> str:
    record_id = read_id(written)
    if record_id is None:
        raise refused("MALFORMED_ID", f"malformed id {written}")
    return record_id


def delete(asked: Asked) -> Answer:
    """Delete records by their IDs, of whatever kind."""

    def step(written: str) -> dict[str, Any]:
        record_id = _id(written)
        kind = asked.data.schema.by_prefix(record_id)
        if kind is None or not kind.queryable:
            raise refused("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
        return records.saved(saving.delete_record(asked.data, kind, record_id, by=asked.user_id))

    ids = [one.strip() for one in asked.query.get("ids", "").split(",") if one.strip()]
    if not ids:
        raise RestRefused("INVALID_INPUT", "The ids parameter is required")
    too_many(ids, most=MOST)
    return _results(asked, ids, step, all_or_none=asked.flag("allOrNone"))


def upsert(asked: Asked) -> Answer:
    """Change records by an external ID, or create those that are not there."""
    kind = records.kind_of(asked, asked.path[2])
    field = records.external_field(kind, asked.path[3])
    seen = set[Any]()

    def step(record: dict[str, Any]) -> dict[str, Any]:
        if _typed(asked, record) is not kind:
            raise refused("INVALID_TYPE", f"Record must be of type {kind.name}")
        value = next((v for name, v in record.items() if name.lower() == field.name.lower()), None)
        key = saving.lookup_value(field, value)
        if key is None:
            raise refused("MISSING_ARGUMENT", f"{field.name} not specified")
        if key in seen:
            raise refused("DUPLICATE_VALUE", f"Duplicate external id specified: {value}")
        seen.add(key)
        found = asked.data.live_with(kind, field, key)
        if len(found) > 1:
            raise refused(
                "DUPLICATE_EXTERNAL_ID", f"{field.name}: more than one record found for {value}"
            )
        if not found and field.type == "id":
            raise refused("NOT_FOUND", "The requested resource does not exist")
        if not found:
            made = saving.create_record(asked.data, kind, record, by=asked.user_id)
            return records.saved(made, created=True)
        known = str(found[0]["Id"])
        dropped = {"id", field.name.lower()}
        values = {name: v for name, v in record.items() if name.lower() not in dropped}
        saving.change_record(asked.data, kind, known, values, by=asked.user_id)
        return records.saved(known, created=False)

    items, all_or_none = _body(asked)
    return _results(asked, items, step, all_or_none=all_or_none)


def retrieve(asked: Asked) -> Answer:
    """Show records of one kind by their IDs; null stands for one that is not there."""
    kind = records.kind_of(asked, asked.path[2])
    if asked.method == "POST":
        body = read_object(asked)
        ids, fields = _texts(body.get("ids"), "ids"), _texts(body.get("fields"), "fields")
    else:
        ids = [one.strip() for one in asked.query.get("ids", "").split(",") if one.strip()]
        fields = [one.strip() for one in asked.query.get("fields", "").split(",") if one.strip()]
    if not kind.queryable:
        raise not_found()
    too_many(ids, most=_MOST_READ)
    if not ids or not fields:
        raise RestRefused("INVALID_INPUT", "The ids and fields parameters are required")
    known = [read_id(one) for one in ids]
    wanted = ", ".join(f"'{one}'" for one in known if one is not None)
    names = ", ".join(dict.fromkeys(("Id", *(n for n in fields if n.lower() != "id"))))
    tested = f"Id IN ({wanted})" if wanted else "Id = null"
    query = f"SELECT {names} FROM {kind.name} WHERE {tested}"  # noqa: S608 - SOQL, parsed
    found = run_query(asked.data, query, base=asked.base)
    by_id = {record["Id"]: record for record in found.records}
    return Answer(body=[by_id.get(one) for one in known])


def _texts(value: Any, name: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise RestRefused("INVALID_INPUT", f"The {name} property must be a list of strings")
    return value
