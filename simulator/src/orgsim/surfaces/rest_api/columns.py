"""What `query?columns=true` tells of a query's columns.

Undocumented; `sf data query` asks for it after every answer that has rows.

Spec: `@salesforce/plugin-data` `dataSoqlQueryCommand.js`, read November 2026.
"""

from typing import Any

from orgsim.data.fields import NUMBER_TYPES, TEXT_TYPES, FieldType
from orgsim.soql.compiler import Compiled, Output

_APEX_TYPES: dict[FieldType, str] = {
    "id": "Id",
    "reference": "Id",
    "boolean": "Boolean",
    "int": "Integer",
    "double": "Double",
    "currency": "Double",
    "percent": "Double",
    "date": "Date",
    "datetime": "Datetime",
}


def _column(name: str, *, type: FieldType | None = None, **more: Any) -> dict[str, Any]:
    return {
        "aggregate": False,
        "apexType": None if type is None else _APEX_TYPES.get(type, "String"),
        "booleanType": type == "boolean",
        "columnName": name,
        "custom": name.endswith("__c"),
        "displayName": name,
        "foreignKeyName": None,
        "insertable": True,
        "joinColumns": [],
        "numberType": type in NUMBER_TYPES,
        "textType": type in TEXT_TYPES or type in {"id", "reference"},
        "updatable": True,
        **more,
    }


def _add(columns: list[dict[str, Any]], output: Output) -> None:
    """Put a column where its path belongs; each parent is a column with columns inside."""
    for name in output.path:
        parent = next((known for known in columns if known["columnName"] == name), None)
        if parent is None:
            parent = _column(name, foreignKeyName=name)
            columns.append(parent)
        columns = parent["joinColumns"]
    columns.append(_column(output.name, type=output.type))


def column_metadata(compiled: Compiled) -> dict[str, Any]:
    """Return the columns of a query and what it starts from."""
    columns: list[dict[str, Any]] = []
    for output in compiled.outputs:
        if compiled.grouped:
            computed = output.expression.field is None
            columns.append(_column(output.name, type=output.type, aggregate=computed))
        else:
            _add(columns, output)
    for children in compiled.children:
        inner = [
            _column(str(selected.item.written))
            for selected in children.query.select
            if hasattr(selected.item, "written")
        ]
        columns.append(_column(children.name, aggregate=True, joinColumns=inner))
    return {
        "columnMetadata": columns,
        "entityName": compiled.kind.name,
        "groupBy": compiled.grouped,
        "idSelected": any(output.name == "Id" and not output.path for output in compiled.outputs),
        "keyPrefix": compiled.kind.prefix,
    }
