"""Which objects an org has.

Names of objects and fields are compared without case, as Salesforce does.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from orgsim.data.fields import Field

Kind = Literal["records", "setup", "event", "union"]


@dataclass(frozen=True, kw_only=True)
class ObjectType:
    """One kind of record.

    `records` are kept by people, `setup` is read only, an `event` is published and never queried,
    a `union` is what a lookup to several kinds of object shows (`Who`, `What`).
    """

    name: str
    label: str
    plural: str
    prefix: str
    fields: tuple[Field, ...]
    kind: Kind = "records"

    @property
    def custom(self) -> bool:
        """Whether the object is not Salesforce's own."""
        return self.name.endswith(("__c", "__e"))

    @property
    def writable(self) -> bool:
        """Whether people create, change and delete its records."""
        return self.kind == "records"

    @property
    def queryable(self) -> bool:
        """Whether a query may start from it."""
        return self.kind in {"records", "setup"}

    @cached_property
    def _by_name(self) -> dict[str, Field]:
        return {field.name.lower(): field for field in self.fields}

    @cached_property
    def _by_relationship(self) -> dict[str, Field]:
        return {field.relationship.lower(): field for field in self.fields if field.relationship}

    def field(self, name: str) -> Field | None:
        """Find a field by name."""
        return self._by_name.get(name.lower())

    def parent(self, relationship: str) -> Field | None:
        """Find the lookup behind a relationship's name, such as `Account` for `AccountId`."""
        return self._by_relationship.get(relationship.lower())

    @cached_property
    def name_field(self) -> Field | None:
        """The field that stands for the record where people read it."""
        return next((field for field in self.fields if field.name_field), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildRelationship:
    """A lookup seen from the object it points to."""

    name: str | None
    child: ObjectType
    field: Field


class Schema:
    """All objects of an org at one time."""

    def __init__(self, objects: tuple[ObjectType, ...]) -> None:
        self._objects = {known.name.lower(): known for known in objects}

    def __iter__(self) -> Iterator[ObjectType]:
        """Give every object, sorted by name."""
        return iter(sorted(self._objects.values(), key=lambda known: known.name.lower()))

    def find(self, name: str) -> ObjectType | None:
        """Find an object by name."""
        return self._objects.get(name.lower())

    def __getitem__(self, name: str) -> ObjectType:
        """Return an object that is known to be there."""
        return self._objects[name.lower()]

    def by_prefix(self, record_id: str) -> ObjectType | None:
        """Find the object whose key prefix an ID starts with."""
        return next((known for known in self if known.prefix == record_id[:3]), None)

    def children(self, parent: ObjectType) -> tuple[ChildRelationship, ...]:
        """Give the lookups that point to an object."""
        return tuple(
            ChildRelationship(name=field.child_name, child=child, field=field)
            for child in self
            if child.kind != "union"
            for field in child.fields
            if parent.name in field.reference_to
        )

    def child(self, parent: ObjectType, name: str) -> ChildRelationship | None:
        """Find a child relationship by its name, such as `Contacts` of Account."""
        wanted = name.lower()
        return next(
            (
                known
                for known in self.children(parent)
                if known.name is not None and known.name.lower() == wanted
            ),
            None,
        )
