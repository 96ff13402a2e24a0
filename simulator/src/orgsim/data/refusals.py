"""Why a record was not saved, in the words that Salesforce prints.

Spec: SOAP API Developer Guide, "Error: StatusCode"; messages as real orgs were seen to print them.
"""

from dataclasses import dataclass

from orgsim.data.fields import Field
from orgsim.data.schema import ObjectType

HALTED = (
    "Record rolled back because not all records were valid and the request was using AllOrNone "
    "header"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveError:
    """One reason; `member` is the part of the JSON that could not be read, if that is why."""

    code: str
    message: str
    fields: tuple[str, ...] = ()
    member: str | None = None


class SaveRefused(Exception):
    """A record is not saved."""

    def __init__(self, *errors: SaveError) -> None:
        super().__init__(errors[0].code)
        self.errors = errors


def refused(code: str, message: str, *fields: str) -> SaveRefused:
    """Make a refusal with one reason."""
    return SaveRefused(SaveError(code=code, message=message, fields=fields))


def no_such_column(kind: ObjectType, name: str) -> SaveRefused:
    """Say that an object has no such field."""
    return refused("INVALID_FIELD", f"No such column '{name}' on sobject of type {kind.name}")


def not_in_body(name: str) -> SaveRefused:
    """Say that the field is named by the URL already."""
    return refused(
        "INVALID_FIELD", f"The {name} field should not be specified in the sobject data."
    )


def not_writable(names: list[str]) -> SaveRefused:
    """Say that fields are Salesforce's to fill."""
    return refused(
        "INVALID_FIELD_FOR_INSERT_UPDATE",
        f"Unable to create/update fields: {', '.join(names)}. Please check the security settings "
        "of this field and verify that it is read/write for your profile or permission set.",
        *names,
    )


def unreadable(field: Field, token: str, value: str) -> SaveRefused:
    """Say that a JSON value is not of the field's type."""
    message = (
        f"Cannot deserialize instance of {field.type} from {token} value {value} or request may be "
        "missing a required field"
    )
    error = SaveError(code="JSON_PARSER_ERROR", message=message, member=field.name)
    return SaveRefused(error)


def missing(names: list[str]) -> SaveRefused:
    """Say that required fields have no value."""
    return refused(
        "REQUIRED_FIELD_MISSING", f"Required fields are missing: [{', '.join(names)}]", *names
    )


def too_long(field: Field, value: str) -> SaveRefused:
    """Say that a text does not fit."""
    return refused(
        "STRING_TOO_LONG",
        f"{field.label}: data value too large: {value} (max length={field.length})",
        field.name,
    )


def out_of_range(field: Field, value: float) -> SaveRefused:
    """Say that a number has too many places."""
    return refused(
        "NUMBER_OUTSIDE_VALID_RANGE",
        f"{field.label}: value outside of valid range on numeric field: {value}",
        field.name,
    )


def wrong_id(field: Field, value: str) -> SaveRefused:
    """Say that an ID names another kind of record, or none."""
    return refused(
        "MALFORMED_ID", f"{field.label}: id value of incorrect type: {value}", field.name
    )


def unknown_reference() -> SaveRefused:
    """Say that there is no record of that ID."""
    return refused("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")


def deleted() -> SaveRefused:
    """Say that the record was there once."""
    return refused("ENTITY_IS_DELETED", "entity is deleted")


def read_only_object() -> SaveRefused:
    """Say that this user may not change such records."""
    return refused("INSUFFICIENT_ACCESS_OR_READONLY", "insufficient access rights on object id")


def bad_choice(field: Field, value: str) -> SaveRefused:
    """Say that a restricted picklist has no such value."""
    return refused(
        "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
        f"{field.label}: bad value for restricted picklist field: {value}",
        field.name,
    )


def bad_email(field: Field, value: str) -> SaveRefused:
    """Say that an e-mail address is none."""
    return refused(
        "INVALID_EMAIL_ADDRESS", f"{field.label}: invalid email address: {value}", field.name
    )


def duplicate(field: Field, other_id: str) -> SaveRefused:
    """Say that another record has the value of a unique field."""
    return refused(
        "DUPLICATE_VALUE",
        f"duplicate value found: {field.name} duplicates value on record with id: {other_id}",
    )
