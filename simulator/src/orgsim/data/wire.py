"""How a stored value looks in JSON."""

from datetime import UTC, datetime

from orgsim.data.fields import NUMBER_TYPES, Field, FieldType, Scalar


def stored_moment(moment: datetime) -> str:
    """Write a moment as it is stored; text order is time order."""
    whole = moment.astimezone(UTC).replace(microsecond=0, tzinfo=None)
    return whole.isoformat() + ".000Z"


def typed_on_wire(field_type: FieldType, value: Scalar) -> Scalar:
    """Turn a stored value of a type into its JSON form.

    Spec: REST API Developer Guide, "Valid Date and DateTime Formats".
    """
    if value is None:
        return None
    if field_type == "boolean":
        return bool(value)
    if field_type == "datetime":
        return str(value).replace("Z", "+0000")
    if field_type in NUMBER_TYPES and isinstance(value, int | float):
        return int(value) if field_type == "int" else float(value)
    return value


def on_wire(field: Field, value: Scalar) -> Scalar:
    """Turn a field's stored value into its JSON form."""
    return typed_on_wire(field.type, value)
