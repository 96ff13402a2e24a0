"""`Flow`: an autolaunched flow that the product runs by the REST API.

Spec: Metadata API Developer Guide, "Flow".
"""

from __future__ import annotations

from keyturn_builder.metadata.component import API_VERSION, Component
from keyturn_builder.metadata.xml import document

TYPE = "Flow"
_SUBJECT = "Renewal at risk"
_TASK = "Create_Task"


def renewal_flow() -> Component:
    """Return the flow `Renewal_Alert`: input `accountId`, and a Task on that account."""
    text = document(
        TYPE,
        {
            "apiVersion": API_VERSION,
            "description": "Makes a task on an account whose renewal is at risk.",
            "environments": "Default",
            "interviewLabel": "Renewal Alert {!$Flow.CurrentDateTime}",
            "label": "Renewal Alert",
            "processType": "AutoLaunchedFlow",
            "recordCreates": {
                "inputAssignments": [
                    {"field": "Subject", "value": {"stringValue": _SUBJECT}},
                    {"field": "WhatId", "value": {"elementReference": "accountId"}},
                ],
                "label": "Create Task",
                "locationX": 176,
                "locationY": 158,
                "name": _TASK,
                "object": "Task",
                "storeOutputAutomatically": True,
            },
            "start": {
                "connector": {"targetReference": _TASK},
                "locationX": 50,
                "locationY": 0,
            },
            "status": "Active",
            "variables": {
                "dataType": "String",
                "isCollection": False,
                "isInput": True,
                "isOutput": False,
                "name": "accountId",
            },
        },
    )
    return Component.of(TYPE, "Renewal_Alert", text)
