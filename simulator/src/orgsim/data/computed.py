"""Fields that Salesforce fills from others when a record is saved.

Spec: Salesforce Object Reference, the pages of Contact, Opportunity and Task.
"""

from collections.abc import Callable

from orgsim.data.fields import Scalar
from orgsim.data.rows import Row
from orgsim.data.standard_objects import STAGES

Find = Callable[[str], Row | None]
"""Finds a record by its ID, of whatever kind."""


def _contact(row: Row, given: frozenset[str], find: Find) -> Row:
    del given, find
    parts = (row.get("FirstName"), row.get("LastName"))
    return {"Name": " ".join(str(part) for part in parts if part)}


def _opportunity(row: Row, given: frozenset[str], find: Find) -> Row:
    del find
    probability, category, closed, won = STAGES.get(
        str(row.get("StageName")), (0, "Pipeline", False, False)
    )
    computed: Row = {"IsClosed": closed, "IsWon": won, "ForecastCategory": category}
    if "StageName" in given and "Probability" not in given:
        computed["Probability"] = probability
    return computed


def _task(row: Row, given: frozenset[str], find: Find) -> Row:
    closed = row.get("Status") == "Completed"
    computed: Row = {"IsClosed": closed, "IsHighPriority": row.get("Priority") == "High"}
    if "Status" in given:
        computed["CompletedDateTime"] = row.get("LastModifiedDate") if closed else None
    computed["AccountId"] = _account_of(row.get("WhatId"), find) or _account_of(
        row.get("WhoId"), find
    )
    return computed


def _account_of(record_id: Scalar, find: Find) -> Scalar:
    """Return the account that a task belongs to through what it is about."""
    if not isinstance(record_id, str):
        return None
    if record_id.startswith("001"):
        return record_id
    found = find(record_id) or {}
    account = next(
        (name for name in found if name == "AccountId" or name.endswith("__Account__c")), ""
    )
    return found.get(account)


_RULES = {"Contact": _contact, "Opportunity": _opportunity, "Task": _task}


def computed_fields(kind: str, row: Row, *, given: frozenset[str], find: Find) -> Row:
    """Return the fields that follow from a record as it is about to be saved.

    `given` are the names of the fields that this save brings.
    """
    rule = _RULES.get(kind)
    return {} if rule is None else rule(row, given, find)
