"""What objects and fields an org has, as clients ask for it.

Key sets as recorded from real orgs (API 52.0) with what the WSDL of 66.0 adds.

Spec: REST API Developer Guide, "Describe Global", "sObject Describe", "sObject Basic Information".
"""

from typing import Any

from orgsim.data.fields import NUMBER_TYPES, TEXT_TYPES, Field
from orgsim.data.incoming import read_moment
from orgsim.data.schema import ChildRelationship, ObjectType
from orgsim.soql import run_query
from orgsim.surfaces.rest_api.errors import RestRefused
from orgsim.surfaces.rest_api.exchange import Answer, Asked
from orgsim.surfaces.rest_api.records import kind_of

_RECENT = 200
_SOAP = {
    "id": "tns:ID",
    "reference": "tns:ID",
    "boolean": "xsd:boolean",
    "int": "xsd:int",
    "double": "xsd:double",
    "currency": "xsd:double",
    "percent": "xsd:double",
    "date": "xsd:date",
    "datetime": "xsd:dateTime",
}
_MASTER_RECORD_TYPE = "012000000000000AAA"


def describe_global(asked: Asked) -> Answer:
    """List the objects of the org."""
    listed = [_listed(asked, kind) for kind in asked.data.schema if kind.kind != "union"]
    return Answer(body={"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": listed})


def basic(asked: Asked) -> Answer:
    """Show an object in short, with what the caller saw of it last."""
    kind = kind_of(asked, asked.path[1])
    recent = [
        {"attributes": {"type": kind.name, "url": _url(asked, kind, record_id)}, "Id": record_id}
        for record_id in asked.data.recently_seen(asked.user_id)[:_RECENT]
        if record_id.startswith(kind.prefix)
    ]
    return Answer(body={"objectDescribe": _listed(asked, kind), "recentItems": recent})


def describe(asked: Asked) -> Answer:
    """Describe an object with its fields and relationships."""
    kind = kind_of(asked, asked.path[1])
    children = [
        _child(relation)
        for relation in asked.data.schema.children(kind)
        if relation.child.queryable
    ]
    body = _listed(asked, kind) | {
        "actionOverrides": [],
        "childRelationships": children,
        "compactLayoutable": kind.writable,
        "defaultImplementation": None,
        "extendedBy": None,
        "extendsInterfaces": None,
        "fields": [_field(field) for field in kind.fields],
        "implementedBy": None,
        "implementsInterfaces": None,
        "listviewable": None,
        "lookupLayoutable": None,
        "namedLayoutInfos": [],
        "networkScopeFieldName": None,
        "recordTypeInfos": [_master_record_type(asked, kind)] if kind.writable else [],
        "searchLayoutable": kind.writable,
        "sobjectDescribeOption": "FULL",
        "supportedScopes": [
            {"label": f"All {kind.plural.lower()}", "name": "everything"},
            {"label": f"My {kind.plural.lower()}", "name": "mine"},
        ],
    }
    return Answer(body=body)


def updated(asked: Asked) -> Answer:
    """List the IDs of records that were changed in a span of time."""
    kind = kind_of(asked, asked.path[1])
    rows = _span(asked, kind, "IsDeleted = false")
    body = {"ids": [row["Id"] for row in rows], "latestDateCovered": _covered(asked, "end")}
    return Answer(body=body)


def deleted(asked: Asked) -> Answer:
    """List the records that were deleted in a span of time."""
    kind = kind_of(asked, asked.path[1])
    rows = _span(asked, kind, "IsDeleted = true")
    body = {
        "deletedRecords": [{"id": row["Id"], "deletedDate": row["SystemModstamp"]} for row in rows],
        "earliestDateAvailable": _covered(asked, "start"),
        "latestDateCovered": _covered(asked, "end"),
    }
    return Answer(body=body)


def _span(asked: Asked, kind: ObjectType, test: str) -> list[dict[str, Any]]:
    start, end = _moment(asked, "start"), _moment(asked, "end")
    query = (
        f"SELECT Id, SystemModstamp FROM {kind.name} WHERE {test} "  # noqa: S608 - SOQL, parsed
        f"AND SystemModstamp >= {start} AND SystemModstamp < {end}"
    )
    return list(run_query(asked.data, query, base=asked.base, include_deleted=True).records)


def _moment(asked: Asked, name: str) -> str:
    """Read one end of a span of time.

    Raises:
        RestRefused: it is not there, or no time.
    """
    # A plus sign that was not encoded arrives as a space.
    moment = read_moment(asked.query.get(name, "").replace(" ", "+"))
    if moment is None:
        raise RestRefused("INVALID_REPLICATION_DATE", f"{name}: a date and time is required")
    return moment


def _covered(asked: Asked, name: str) -> str:
    return _moment(asked, name).replace("Z", "+0000")


def _url(asked: Asked, kind: ObjectType, rest: str) -> str:
    return f"{asked.base}/sobjects/{kind.name}/{rest}"


def _urls(asked: Asked, kind: ObjectType) -> dict[str, str]:
    urls = {
        "describe": _url(asked, kind, "describe"),
        "rowTemplate": _url(asked, kind, "{ID}"),
        "sobject": f"{asked.base}/sobjects/{kind.name}",
    }
    if kind.kind == "event":
        urls["eventSchema"] = _url(asked, kind, "eventSchema")
    return urls


def _listed(asked: Asked, kind: ObjectType) -> dict[str, Any]:
    records = kind.writable
    return {
        "activateable": False,
        "associateEntityType": None,
        "associateParentEntity": None,
        "createable": records or kind.kind == "event",  # codespell:ignore
        "custom": kind.custom,
        "customSetting": False,
        "dataTranslationEnabled": None,
        "deepCloneable": False,
        "deletable": records,
        "deprecatedAndHidden": False,
        "feedEnabled": records,
        "hasSubtypes": False,
        "idEnabled": kind.queryable,
        "isInterface": False,
        "isSubtype": False,
        "keyPrefix": kind.prefix,
        "label": kind.label,
        "labelPlural": kind.plural,
        "layoutable": records,
        "mergeable": kind.name in {"Account", "Contact"},
        "mruEnabled": records,
        "name": kind.name,
        "queryable": kind.queryable,
        "replicateable": kind.queryable,
        "retrieveable": kind.queryable,
        "searchable": records,
        "triggerable": records or kind.kind == "event",
        "undeletable": records,
        "updateable": records,
        "urls": _urls(asked, kind),
    }


def _master_record_type(asked: Asked, kind: ObjectType) -> dict[str, Any]:
    return {
        "active": True,
        "available": True,
        "defaultRecordTypeMapping": True,
        "developerName": "Master",
        "master": True,
        "name": "Master",
        "recordTypeId": _MASTER_RECORD_TYPE,
        "urls": {"layout": _url(asked, kind, f"describe/layouts/{_MASTER_RECORD_TYPE}")},
    }


def _child(relation: ChildRelationship) -> dict[str, Any]:
    return {
        "cascadeDelete": relation.field.cascade,
        "childSObject": relation.child.name,
        "deprecatedAndHidden": False,
        "field": relation.field.name,
        "junctionIdListNames": [],
        "junctionReferenceTo": [],
        "relationshipName": relation.name,
        "restrictedDelete": False,
    }


def _choices(field: Field) -> list[dict[str, Any]]:
    return [
        {
            "active": True,
            "defaultValue": value == field.default,
            "label": value,
            "validFor": None,
            "value": value,
        }
        for value in field.picklist
    ]


def _field(field: Field) -> dict[str, Any]:
    textual = field.type in TEXT_TYPES
    reference = field.type in {"id", "reference"}
    return {
        "aggregatable": field.type != "boolean" and field.filterable,
        "aiPredictionField": False,
        "autoNumber": field.auto_number is not None,
        "byteLength": field.length * (1 if reference else 3),
        "calculated": False,
        "calculatedFormula": None,
        "cascadeDelete": field.cascade,
        "caseSensitive": False,
        "compoundFieldName": None,
        "controllerName": None,
        "createable": field.creatable,  # codespell:ignore
        "custom": field.custom,
        "defaultValue": field.default if field.type == "boolean" else None,
        "defaultValueFormula": None,
        "defaultedOnCreate": field.default is not None or not (field.nillable or field.required),
        "dependentPicklist": False,
        "deprecatedAndHidden": False,
        "digits": field.precision if field.type == "int" else 0,
        "displayLocationInDecimal": False,
        "encrypted": False,
        "externalId": field.external_id,
        "extraTypeInfo": "plaintextarea" if field.type == "textarea" else None,
        "filterable": field.filterable,
        "filteredLookupInfo": None,
        "formulaTreatNullNumberAsZero": False,
        "groupable": field.groupable,
        "highScaleNumber": False,
        "htmlFormatted": False,
        "idLookup": field.id_lookup,
        "inlineHelpText": None,
        "label": field.label,
        "length": field.length,
        "mask": None,
        "maskType": None,
        "name": field.name,
        "nameField": field.name_field,
        "namePointing": field.polymorphic,
        "nillable": field.nillable,
        "permissionable": field.nillable and field.creatable,
        "picklistValues": _choices(field),
        "polymorphicForeignKey": field.polymorphic,
        "precision": field.precision if field.type in NUMBER_TYPES - {"int"} else 0,
        "queryByDistance": False,
        "referenceTargetField": None,
        "referenceTo": list(field.reference_to),
        "relationshipName": field.relationship,
        "relationshipOrder": None,
        "restrictedDelete": False,
        "restrictedPicklist": field.restricted,
        "scale": field.scale,
        "searchPrefilterable": field.type == "reference",
        "soapType": _SOAP.get(field.type, "xsd:string"),
        "sortable": field.filterable and (textual or field.type != "textarea"),
        "type": field.type,
        "unique": field.unique,
        "updateable": field.updateable,
        "writeRequiresMasterRead": False,
    }
