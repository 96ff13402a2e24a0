"""Which objects and fields the package brings itself, and what the product does with them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from keyturn_builder.app_config import Access, ObjectTable
from keyturn_builder.errors import BuilderError
from keyturn_builder.metadata.xml import NotMetadata, read_document

_OBJECT: Final = re.compile(r"(?:^|/)objects/(\w+)/(\w+)\.object-meta\.xml$")
_FIELD: Final = re.compile(r"(?:^|/)objects/(\w+)/fields/(\w+)\.field-meta\.xml$")
_FLOW: Final = re.compile(r"(?:^|/)flows/(\w+)\.flow-meta\.xml$")
_OWN: Final = re.compile(r"[A-Za-z0-9]+(?:_[A-Za-z0-9]+)*__(?:c|e)")
_AUTOLAUNCHED: Final = "AutoLaunchedFlow"
_EVERYTHING: Final = (Access.READ, Access.CREATE, Access.EDIT)


@dataclass(slots=True, kw_only=True)
class Contents:
    """What a package directory holds, as far as permissions go."""

    objects: dict[str, set[str]] = field(default_factory=dict)
    """Custom objects and events with their fields."""
    fields: dict[str, set[str]] = field(default_factory=dict)
    """Fields added to objects that are not the package's."""
    required: set[str] = field(default_factory=set)
    flows: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Permissions that the package carries, and those that the admin deploys."""

    packaged: Mapping[str, ObjectTable]
    beside: Mapping[str, ObjectTable]


def contents_of(texts: Mapping[str, str]) -> Contents:
    """Return what the files of a package directory bring."""
    found = Contents()
    for name, text in sorted(texts.items()):
        if match := _OBJECT.search(name):
            if _OWN.fullmatch(match[1]) and not _said(text, "customSettingsType"):
                found.objects.setdefault(match[1], set())
        elif (match := _FLOW.search(name)) and _said(text, "processType") == _AUTOLAUNCHED:
            found.flows.add(match[1])
    for name, text in sorted(texts.items()):
        if match := _FIELD.search(name):
            owner = found.objects if match[1] in found.objects else found.fields
            owner.setdefault(match[1], set()).add(match[2])
            if _said(text, "required") == "true" or _said(text, "type") == "MasterDetail":
                found.required.add(f"{match[1]}.{match[2]}")
    return found


def split(needs: Mapping[str, ObjectTable], found: Contents, *, written: set[str]) -> Split:
    """Tell the package's own from the rest.

    The package's own objects are read unless the config says more; `written` are those that the
    product writes by design.

    Raises:
        BuilderError: the config names an object or field that would be the package's and is not.
    """
    packaged, beside = {}, {}
    for name, fields in found.objects.items():
        default = list(_EVERYTHING) if name in written else [Access.READ]
        table = needs.get(name, ObjectTable(access=default, fields=sorted(fields)))
        packaged[name] = table
    for name, table in needs.items():
        if name in packaged:
            _are_there(name, table, found.objects[name])
            continue
        if _OWN.fullmatch(name):
            raise BuilderError("object_unknown", f"objects.{name}")
        own = found.fields.get(name, set()) & set(table.fields)
        _are_there(name, table, own)
        if own:
            packaged[name] = table.model_copy(update={"fields": sorted(own)})
        beside[name] = table.model_copy(update={"fields": sorted(set(table.fields) - own)})
    return Split(packaged=packaged, beside=beside)


def _are_there(name: str, table: ObjectTable, own: set[str]) -> None:
    for one in table.fields:
        if _OWN.fullmatch(one) and one not in own:
            raise BuilderError("object_unknown", f"objects.{name}: field {one}")


def _said(text: str, name: str) -> str | None:
    try:
        return read_document(text).said(name)
    except NotMetadata:
        return None  # the linter says so, with its line
