"""Custom objects, platform events and flows, from their metadata into an org's data.

Spec: Metadata API Developer Guide, "CustomObject", "CustomField", "Flow"; Platform Events Developer
Guide, "Platform Event Fields".
"""

import re
from collections.abc import Iterator

from orgsim.data.fields import Field, FieldType
from orgsim.data.packaged import FlowType, Step, Value
from orgsim.data.schema import ObjectType
from orgsim.data.standard_objects import AUDIT_FIELDS, IS_DELETED, OWNER, id_field
from orgsim.metadata.xml_text import Node

_TYPES: dict[str, FieldType] = {
    "Checkbox": "boolean",
    "Currency": "currency",
    "Date": "date",
    "DateTime": "datetime",
    "Email": "email",
    "Html": "textarea",
    "LongTextArea": "textarea",
    "Lookup": "reference",
    "MasterDetail": "reference",
    "Number": "double",
    "Percent": "percent",
    "Phone": "phone",
    "Picklist": "picklist",
    "Text": "string",
    "TextArea": "textarea",
    "Url": "url",
}
_LENGTHS = {"email": 80, "phone": 40, "url": 255, "textarea": 255, "picklist": 255, "reference": 18}
_DIGITS = re.compile(r"\{(0+)\}")
_CUSTOM = re.compile(r"__[a-z]+$")


def namespaced(name: str, namespace: str | None) -> str:
    """Return a custom name as it is in an org that installed it; standard names stay."""
    if namespace is None or not _CUSTOM.search(name) or name.count("__") > 1:
        return name
    return f"{namespace}__{name}"


def object_of(node: Node, name: str, *, namespace: str | None, prefix: str) -> ObjectType:
    """Make an object, or a platform event, of its file."""
    event = name.endswith("__e")
    own = tuple(fields_of(node, namespace=namespace, event=event))
    label = node.value("label") or name
    return ObjectType(
        name=namespaced(name, namespace),
        label=label,
        plural=node.value("pluralLabel") or label,
        prefix=prefix,
        kind="event" if event else "records",
        fields=(*(_event_fields() if event else _record_fields(node)), *own),
    )


def _event_fields() -> tuple[Field, ...]:
    def told(name: str, label: str, length: int) -> Field:
        return Field(
            name=name,
            label=label,
            type="string",
            length=length,
            creatable=False,
            updateable=False,
        )

    return (
        told("ReplayId", "Replay ID", 1000),
        told("EventUuid", "Event UUID", 36),
        *AUDIT_FIELDS[:2],
    )


def _record_fields(node: Node) -> tuple[Field, ...]:
    name = node.find("nameField") or Node("nameField")
    counted = name.value("type") == "AutoNumber"
    shown = name.value("displayFormat") or "{0}"
    pattern = _DIGITS.sub(lambda found: f"{{0:0{len(found[1])}}}", shown)
    return (
        id_field("Record ID"),
        OWNER,
        IS_DELETED,
        Field(
            name="Name",
            label=name.value("label") or "Name",
            type="string",
            length=80,
            nillable=False,
            required=not counted,
            creatable=not counted,
            updateable=not counted,
            name_field=True,
            auto_number=pattern if counted else None,
        ),
        *AUDIT_FIELDS,
    )


def fields_of(node: Node, *, namespace: str | None, event: bool = False) -> Iterator[Field]:
    """Give the custom fields of an object's file; kinds that need a formula are left out."""
    for part in node.all("fields"):
        kind = _TYPES.get(part.value("type"))
        name = part.value("fullName")
        if kind is None or not name.endswith("__c") or part.find("formula") is not None:
            continue
        yield _field(part, name, kind, namespace=namespace, event=event)


def _field(part: Node, name: str, kind: FieldType, *, namespace: str | None, event: bool) -> Field:
    full = namespaced(name, namespace)
    target = namespaced(part.value("referenceTo"), namespace)
    child = part.value("relationshipName")
    required = part.flag("required") or part.value("type") == "MasterDetail"
    external = part.flag("externalId")
    default = part.value("defaultValue")
    return Field(
        name=full,
        label=part.value("label") or name,
        type=kind,
        length=int(part.value("length") or _LENGTHS.get(kind, 0)),
        precision=int(part.value("precision") or 0),
        scale=int(part.value("scale") or 0),
        required=required,
        nillable=not required and kind != "boolean",
        updateable=not event,
        unique=part.flag("unique"),
        external_id=external,
        id_lookup=external,
        picklist=tuple(
            value.value("fullName") for value in part.walk() if value.name in ("value", "values")
        ),
        reference_to=(target,) if kind == "reference" and target else (),
        relationship=full.removesuffix("__c") + "__r" if kind == "reference" else None,
        child_name=_child_name(child, namespace) if child else None,
        cascade=part.value("type") == "MasterDetail",
        default=default == "true" if kind == "boolean" else None,
    )


def _child_name(name: str, namespace: str | None) -> str:
    return f"{name}__r" if namespace is None else f"{namespace}__{name}__r"


def flow_of(node: Node, name: str, *, namespace: str | None) -> FlowType | None:
    """Make an autolaunched flow of its file; None where it is none, or not active."""
    if node.value("processType") != "AutoLaunchedFlow" or node.value("status") != "Active":
        return None
    steps = {step.name: step for step in _steps(node, namespace)}
    start = node.find("start") or Node("start")
    return FlowType(
        name=name if namespace is None else f"{namespace}__{name}",
        label=node.value("label") or name,
        description=node.value("description") or None,
        inputs=tuple(
            variable.value("name") for variable in node.all("variables") if variable.flag("isInput")
        ),
        start=_target(start) or node.value("startElementReference") or None,
        steps=steps,
    )


def _target(node: Node) -> str | None:
    connector = node.find("connector")
    return None if connector is None else connector.value("targetReference") or None


def _steps(node: Node, namespace: str | None) -> Iterator[Step]:
    for kind, part, field in (
        ("recordLookups", "filters", "field"),
        ("recordCreates", "inputAssignments", "field"),
    ):
        for step in node.all(kind):
            yield Step(
                name=step.value("name"),
                kind=kind,
                object=namespaced(step.value("object"), namespace),
                values={
                    namespaced(given.value(field), namespace): _value(given)
                    for given in step.all(part)
                },
                then=_target(step),
            )
    for kind in ("assignments", "decisions", "loops", "recordUpdates", "recordDeletes"):
        for step in node.all(kind):
            yield Step(name=step.value("name"), kind=kind, object="", values={}, then=_target(step))


def _value(given: Node) -> Value:
    inner = given.find("value") or Node("value")
    reference = inner.value("elementReference")
    if reference:
        return Value(reference=reference)
    return Value(text=next((child.text for child in inner.children), None))
