"""What installed packages bring into an org's data: objects, fields of other objects, flows."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from orgsim.data.fields import Field
from orgsim.data.schema import ObjectType


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """What a flow writes or compares: a text as it stands, or what a name refers to."""

    text: str | None = None
    reference: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One element of a flow: find a record, or make one.

    `values` are conditions of a look-up, or fields of the new record.
    """

    name: str
    kind: str
    object: str
    values: Mapping[str, Value]
    then: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowType:
    """An autolaunched flow."""

    name: str
    label: str
    description: str | None
    inputs: tuple[str, ...]
    start: str | None
    steps: Mapping[str, Step]


@dataclass(frozen=True, slots=True, kw_only=True)
class Packaged:
    """All that installed packages brought."""

    objects: tuple[ObjectType, ...] = ()
    fields: Mapping[str, tuple[Field, ...]] = field(default_factory=dict)
    flows: tuple[FlowType, ...] = ()


NOTHING = Packaged()
