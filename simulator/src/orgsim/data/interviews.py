"""Runs the autolaunched flows that packages brought: look-ups and new records, in order.

Spec: Salesforce Help, "Flow Builder": Get Records, Create Records; Actions Developer Guide, "Flow
Actions".
"""

from collections.abc import Mapping
from typing import Any

from orgsim.data import saving
from orgsim.data.fields import Scalar
from orgsim.data.packaged import FlowType, Step, Value
from orgsim.data.refusals import SaveRefused, refused
from orgsim.data.rows import Row
from orgsim.data.store import OrgData

_MOST_STEPS = 100


def interview(data: OrgData, flow: FlowType, given: Mapping[str, Any], *, by: str) -> None:
    """Run a flow once.

    Raises:
        SaveRefused: an input is unknown, or a step could not be done.
    """
    for unknown in set(given) - set(flow.inputs):
        raise refused("INVALID_API_INPUT", f"Invalid input parameter: {unknown}")
    found: dict[str, Any] = {name: given.get(name) for name in flow.inputs}
    at = flow.start
    for _ in range(_MOST_STEPS):
        step = None if at is None else flow.steps.get(at)
        if step is None:
            return
        found[step.name] = _carry_out(data, step, found, by=by)
        at = step.then
    raise _fault("too many elements")


def _carry_out(data: OrgData, step: Step, found: Mapping[str, Any], *, by: str) -> Row | str | None:
    kind = data.schema.find(step.object)
    if kind is None:
        raise _fault(f"{step.name}: {step.kind} is not supported")
    values = {name: _read(data, value, found) for name, value in step.values.items()}
    if step.kind == "recordCreates":
        try:
            return saving.create_record(data, kind, values, by=by)
        except SaveRefused as error:
            raise _fault(error.errors[0].message) from error
    for name, value in values.items():
        field = kind.field(name)
        rows = [] if field is None else data.live_with(kind, field, value)
        rest = [row for row in rows if all(row.get(key) == want for key, want in values.items())]
        return rest[0] if rest else None
    return None


def _read(data: OrgData, value: Value, found: Mapping[str, Any]) -> Scalar:
    """Return a value: as it stands, of an input, of the clock, or of a record that was found."""
    if value.reference is None:
        return value.text
    name, _, field = value.reference.partition(".")
    if value.reference == "$Flow.CurrentDate":
        return data.now().date().isoformat()
    held = found.get(name)
    if field and isinstance(held, Mapping):
        held = held.get(field)
    return held if isinstance(held, str | int | float | bool) else None


def _fault(reason: str) -> SaveRefused:
    return refused("FLOW_EXCEPTION", f"An unhandled fault has occurred in this flow: {reason}")
