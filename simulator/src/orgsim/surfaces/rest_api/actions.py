"""Invocable actions: the autolaunched flows of packages, where they are installed.

Spec: Actions Developer Guide, "Flow Actions"; REST API Developer Guide, "Custom Invocable Actions".
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from orgsim.data import saving
from orgsim.data.ids import read_id
from orgsim.data.interviews import interview
from orgsim.data.package_objects import flow_name
from orgsim.data.packaged import FlowType
from orgsim.data.refusals import SaveRefused, refused
from orgsim.surfaces.rest_api.errors import not_found, save_errors, unreadable_json
from orgsim.surfaces.rest_api.exchange import Answer, Asked
from orgsim.surfaces.rest_api.json_bodies import read_object

_INPUT = "accountId"
_LABEL = "Renewal Alert"
_ABOUT = "Tells the owner of an account that its contract ends soon."
_DUE = timedelta(days=7)
_VERSION = 1


def kinds(asked: Asked) -> Answer:
    """List where standard and custom actions are."""
    return Answer(
        body={
            "custom": f"{asked.base}/actions/custom",
            "standard": f"{asked.base}/actions/standard",
        }
    )


def standard(asked: Asked) -> Answer:
    """List the standard actions, of which these orgs have none."""
    del asked
    return Answer(body={"actions": []})


def custom(asked: Asked) -> Answer:
    """List the kinds of custom actions."""
    return Answer(body={"flow": f"{asked.base}/actions/custom/flow"})


def _known(asked: Asked) -> dict[str, FlowType | None]:
    """Return the flows by name; None stands for the one that the world had from the start."""
    namespace = asked.data.org.namespace
    seeded = {} if namespace is None else {flow_name(namespace): None}
    return seeded | {flow.name: flow for flow in asked.data.flows}


def flows(asked: Asked) -> Answer:
    """List the flows."""
    url = f"{asked.base}/actions/custom/flow"
    actions = [
        {
            "label": _LABEL if flow is None else flow.label,
            "name": name,
            "type": "FLOW",
            "url": f"{url}/{name}",
        }
        for name, flow in _known(asked).items()
    ]
    return Answer(body={"actions": actions})


def _flow(asked: Asked) -> tuple[str, FlowType | None]:
    """Return the flow's name as it is written, and the flow.

    Raises:
        RestRefused: there is none of that name.
    """
    wanted = asked.path[3].lower()
    for name, flow in _known(asked).items():
        if name.lower() == wanted:
            return name, flow
    raise not_found()


def _parameter(name: str) -> dict[str, Any]:
    return {
        "byteLength": 0,
        "description": None,
        "label": name,
        "maxOccurs": 1,
        "name": name,
        "picklistValues": None,
        "required": name == _INPUT,
        "sobjectType": None,
        "type": "STRING",
    }


def describe(asked: Asked) -> Answer:
    """Describe a flow: what goes in and comes out."""
    name, flow = _flow(asked)
    status = {
        "description": None,
        "label": "Interview Status",
        "maxOccurs": 1,
        "name": "Flow__InterviewStatus",
        "picklistValues": ["Created", "Started", "Finished", "Error", "Waiting"],
        "sobjectType": None,
        "type": "PICKLIST",
    }
    return Answer(
        body={
            "category": None,
            "description": _ABOUT if flow is None else flow.description,
            "genericTypes": [],
            "inputs": [_parameter(known) for known in ((_INPUT,) if flow is None else flow.inputs)],
            "label": _LABEL if flow is None else flow.label,
            "name": name,
            "outputs": [status],
            "standard": False,
            "targetEntityName": None,
            "type": "FLOW",
        }
    )


def run(asked: Asked) -> Answer:
    """Run a flow once for each set of inputs."""
    name, flow = _flow(asked)
    inputs = read_object(asked).get("inputs")
    if not isinstance(inputs, list) or not all(isinstance(one, dict) for one in inputs):
        raise unreadable_json("The inputs property must be a list of objects at [line:1, column:1]")
    results = [_interview(asked, name, flow, one) for one in inputs]
    well = all(result["isSuccess"] for result in results)
    return Answer(status=200 if well else 400, body=results)


def _interview(
    asked: Asked, name: str, flow: FlowType | None, given: Mapping[str, Any]
) -> dict[str, Any]:
    errors, outputs = None, None
    try:
        with asked.data.undone_on_error():
            if flow is None:
                _renewal_alert(asked, given)
            else:
                interview(asked.data, flow, given, by=asked.user_id)
        outputs = {"Flow__InterviewStatus": "Finished"}
    except SaveRefused as error:
        errors = save_errors(error, b"")
    return {
        "actionName": name,
        "errors": errors,
        "invocationId": None,
        "isSuccess": errors is None,
        "outcome": None,
        "outputValues": outputs,
        "sortOrder": -1,
        "version": _VERSION,
    }


def _renewal_alert(asked: Asked, given: Mapping[str, Any]) -> None:
    """Give the owner of the account a task.

    Raises:
        SaveRefused: no account was named, or there is none of that ID.
    """
    for unknown in set(given) - {_INPUT}:
        raise refused("INVALID_API_INPUT", f"Invalid input parameter: {unknown}")
    value = given.get(_INPUT)
    if not isinstance(value, str) or not value:
        raise refused("INVALID_API_INPUT", f"Missing required input parameter: {_INPUT}")
    data, account_id = asked.data, read_id(value)
    account = None if account_id is None else data.read(data.schema["Account"], account_id)
    if account is None or account.get("IsDeleted"):
        raise refused(
            "FLOW_EXCEPTION", "An unhandled fault has occurred in this flow: no such account"
        )
    task = {
        "Subject": f"Renewal alert: {account['Name']}"[:255],
        "WhatId": account["Id"],
        "OwnerId": account["OwnerId"],
        "Priority": "High",
        "ActivityDate": (data.now() + _DUE).date().isoformat(),
    }
    saving.create_record(data, data.schema["Task"], task, by=asked.user_id)
