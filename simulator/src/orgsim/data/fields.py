"""Fields of objects: their types, limits and references."""

from dataclasses import dataclass
from typing import Literal

FieldType = Literal[
    "id",
    "string",
    "textarea",
    "email",
    "phone",
    "url",
    "picklist",
    "boolean",
    "int",
    "double",
    "currency",
    "percent",
    "date",
    "datetime",
    "reference",
]
Scalar = str | int | float | bool | None

TEXT_TYPES = frozenset({"string", "textarea", "email", "phone", "url", "picklist"})
NUMBER_TYPES = frozenset({"int", "double", "currency", "percent"})
_LONG_TEXT = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of an object.

    `required` is what a create must bring; `default` is what it gets otherwise. `child_name` is
    the name of the relationship seen from the parent.
    """

    name: str
    label: str
    type: FieldType
    length: int = 0
    precision: int = 0
    scale: int = 0
    required: bool = False
    nillable: bool = True
    creatable: bool = True
    updateable: bool = True
    unique: bool = False
    external_id: bool = False
    id_lookup: bool = False
    name_field: bool = False
    picklist: tuple[str, ...] = ()
    restricted: bool = False
    reference_to: tuple[str, ...] = ()
    relationship: str | None = None
    child_name: str | None = None
    cascade: bool = False
    default: Scalar = None
    auto_number: str | None = None  # how the next name is written, such as `U-{0:06}`

    @property
    def polymorphic(self) -> bool:
        """Whether the lookup shows what several kinds of object have in common, as `Name`.

        Spec: SOQL and SOSL Reference, "Understanding Relationship Fields and Polymorphic Fields".
        """
        return self.relationship in {"Who", "What"}

    @property
    def custom(self) -> bool:
        """Whether the field is not Salesforce's own."""
        return self.name.endswith("__c")

    @property
    def filterable(self) -> bool:
        """Whether WHERE, ORDER BY and GROUP BY may name it: not so for long text.

        Spec: SOQL and SOSL Reference, "Considerations When Using GROUP BY" and "WHERE".
        """
        return not (self.type == "textarea" and self.length > _LONG_TEXT)

    @property
    def groupable(self) -> bool:
        """Whether GROUP BY may name it: numbers with fractions and date/times may not be."""
        return self.filterable and self.type not in {"double", "currency", "percent", "datetime"}


def text(name: str, label: str, length: int) -> Field:
    """Make a text field that may be empty."""
    return Field(name=name, label=label, type="string", length=length)


def long_text(name: str, label: str, length: int = 32_000) -> Field:
    """Make a text area."""
    return Field(name=name, label=label, type="textarea", length=length)


def choice(
    name: str,
    label: str,
    values: tuple[str, ...],
    *,
    required: bool = False,
    restricted: bool = False,
    default: str | None = None,
) -> Field:
    """Make a picklist."""
    return Field(
        name=name,
        label=label,
        type="picklist",
        length=255,
        picklist=values,
        required=required,
        nillable=not required and default is None,
        restricted=restricted,
        default=default,
    )


def lookup(
    name: str,
    label: str,
    to: tuple[str, ...],
    *,
    relationship: str,
    child_name: str | None = None,
    cascade: bool = False,
) -> Field:
    """Make a reference that may be empty."""
    return Field(
        name=name,
        label=label,
        type="reference",
        length=18,
        reference_to=to,
        relationship=relationship,
        child_name=child_name,
        cascade=cascade,
    )


def read_only(field_type: FieldType, name: str, label: str, *, nillable: bool = True) -> Field:
    """Make a field that Salesforce fills."""
    return Field(
        name=name,
        label=label,
        type=field_type,
        length=18 if field_type == "reference" else 0,
        nillable=nillable,
        creatable=False,
        updateable=False,
    )
