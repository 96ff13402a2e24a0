"""Records, events and flows of an org: what takes more than a path to ask for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from itertools import islice
from typing import Any, Final
from urllib.parse import quote

import msgspec

from keyturn import calls
from keyturn.errors import SalesforceErrorItem
from keyturn.models import FlowResult, PublishedEvent, SaveResult, SaveResults
from keyturn.names import is_bare, names_of, qualified, qualified_flow, qualified_record
from keyturn.proxied import SalesforceAnswer, salesforce_call, salesforce_error
from keyturn.wire import Answer, Call, Conversation, Page, ask, decoded, given, unexpected

BATCH: Final = 200  # records in one call, by Salesforce's REST API Developer Guide

Record = Mapping[str, Any]
Progress = Callable[[int], None]
"""Called after each batch with the number of records that were answered so far."""


class _Queried(msgspec.Struct):
    records: list[dict[str, Any]]
    done: bool = True
    nextRecordsUrl: str | None = None  # noqa: N815 - Salesforce's name


class _Saved(msgspec.Struct, rename={"code": "statusCode"}):
    code: str
    message: str = ""
    fields: list[str] = []


class _Result(msgspec.Struct):
    success: bool
    id: str | None = None
    created: bool | None = None
    errors: list[_Saved] = []


class _FlowRun(msgspec.Struct, rename={"success": "isSuccess", "outputs": "outputValues"}):
    success: bool
    outputs: dict[str, Any] | None = None


class Namespaces:
    """The namespace of each connection's app: the one that was given, or asked for once.

    A namespace never changes at Salesforce, so what is known stays known.
    """

    def __init__(self, given: str | None = None) -> None:
        self._given = given
        self._known: dict[str, str | None] = {}

    def of(self, connection_id: str) -> Conversation[str | None]:
        """Return the namespace of a connection's app; none is None, or empty where given so."""
        if self._given is not None:
            return self._given
        if connection_id not in self._known:
            connection = yield from ask(calls.get_connection(connection_id))
            app = yield from ask(calls.get_app(connection.app_id))
            self._known[connection_id] = app.namespace
        return self._known[connection_id]


class Org:
    """What can be asked of one connection's org, as calls and conversations."""

    def __init__(self, connection_id: str, *, api_version: str, namespaces: Namespaces) -> None:
        self._id = connection_id
        self._root = f"/services/data/v{api_version}"
        self._namespaces = namespaces

    def query(self, soql: str, *, include_deleted: bool) -> Call[Page[dict[str, Any]]]:
        """Ask for the records of a SOQL query, a page at a time."""
        resource = "queryAll" if include_deleted else "query"
        call = salesforce_call(self._id, "GET", f"{self._root}/{resource}", params={"q": soql})
        return self._paged(call)

    def upsert(
        self,
        object_name: str,
        records: Iterable[Record],
        *,
        external_id: str,
        all_or_none: bool,
        progress: Progress | None,
    ) -> Conversation[SaveResults]:
        """Update the records that are there by their external id, and create the others."""
        results: list[SaveResult] = []
        for batch in _batches(records):
            names = (object_name, external_id, *(name for one in batch for name in names_of(one)))
            namespace = yield from self._namespace(needed=any(map(is_bare, names)))
            typed = qualified(object_name, namespace)
            target = f"composite/sobjects/{_segment(typed)}/"
            call = self._write(
                "PATCH",
                target + _segment(qualified(external_id, namespace)),
                {
                    "allOrNone": all_or_none,
                    "records": [_typed(typed, qualified_record(one, namespace)) for one in batch],
                },
                repeatable=True,  # the external id makes it so
            )
            answer = yield from ask(call)
            results += _saved(answer, len(batch))
            if progress is not None:
                progress(len(results))
        return SaveResults(results)

    def log_activity(
        self,
        *,
        subject: str,
        who_id: str | None,
        what_id: str | None,
        description: str | None,
        status: str,
        activity_date: date | None,
        fields: Record | None,
    ) -> Conversation[str]:
        """Create a Task; return its id."""
        further = dict(fields or {})
        namespace = yield from self._namespace(needed=any(map(is_bare, names_of(further))))
        task = given(
            Subject=subject,
            WhoId=who_id,
            WhatId=what_id,
            Description=description,
            Status=status,
            ActivityDate=activity_date,
        )
        task |= qualified_record(further, namespace)
        answer = yield from ask(self._write("POST", "sobjects/Task", task))
        made = _one_saved(answer)
        if made.id is None:
            raise unexpected(_plain(answer))
        return made.id

    def publish(self, event_name: str, fields: Record) -> Conversation[PublishedEvent]:
        """Publish a platform event."""
        names = (event_name, *names_of(fields))
        namespace = yield from self._namespace(needed=any(map(is_bare, names)))
        target = f"sobjects/{_segment(qualified(event_name, namespace))}"
        answer = yield from ask(self._write("POST", target, qualified_record(fields, namespace)))
        accepted = _one_saved(answer)
        queued = (item.message for item in accepted.errors if item.code == "OPERATION_ENQUEUED")
        return PublishedEvent(uuid=next(queued, None))

    def run_flow(self, flow_name: str, inputs: Record) -> Conversation[FlowResult]:
        """Run an autolaunched flow once and wait for its end."""
        namespace = yield from self._namespace(needed="__" not in flow_name)
        target = f"actions/custom/flow/{_segment(qualified_flow(flow_name, namespace))}"
        answer = yield from ask(self._write("POST", target, {"inputs": [dict(inputs)]}))
        ran = decoded(_plain(answer), list[_FlowRun])
        if len(ran) != 1:
            raise unexpected(_plain(answer))
        if not ran[0].success:
            raise salesforce_error(answer)
        return FlowResult(outputs=ran[0].outputs or {})

    def _namespace(self, *, needed: bool) -> Conversation[str | None]:
        if not needed:
            return None
        return (yield from self._namespaces.of(self._id))

    def _write(
        self, method: str, target: str, body: Record, *, repeatable: bool = False
    ) -> Call[SalesforceAnswer]:
        return salesforce_call(
            self._id, method, f"{self._root}/{target}", json=body, repeatable=repeatable
        )

    def _paged(self, call: Call[SalesforceAnswer]) -> Call[Page[dict[str, Any]]]:
        def read(answer: Answer) -> Page[dict[str, Any]]:
            found = decoded(_plain(call.read(answer)), _Queried)
            return Page(items=found.records, next=self._next(found))

        return Call(method="GET", target=call.target, read=read, repeatable=True, proxied=True)

    def _next(self, found: _Queried) -> Call[Page[dict[str, Any]]] | None:
        if found.done or found.nextRecordsUrl is None:
            return None
        return self._paged(salesforce_call(self._id, "GET", found.nextRecordsUrl))


def _batches(records: Iterable[Record]) -> Iterator[list[Record]]:
    rest = iter(records)
    while batch := list(islice(rest, BATCH)):
        yield batch


def _typed(object_name: str, record: Record) -> dict[str, Any]:
    return {**record, "attributes": {"type": object_name}}


def _saved(answer: SalesforceAnswer, count: int) -> list[SaveResult]:
    found = decoded(_plain(answer), list[_Result])
    if len(found) != count:
        raise unexpected(_plain(answer))
    return [_save_result(one) for one in found]


def _one_saved(answer: SalesforceAnswer) -> SaveResult:
    saved = _save_result(decoded(_plain(answer), _Result))
    if not saved.success:
        raise salesforce_error(answer)
    return saved


def _save_result(one: _Result) -> SaveResult:
    errors = tuple(
        SalesforceErrorItem(code=item.code, message=item.message, fields=tuple(item.fields))
        for item in one.errors
    )
    return SaveResult(id=one.id, success=one.success, created=one.created, errors=errors)


def _plain(answer: SalesforceAnswer) -> Answer:
    return Answer(status=answer.status, headers=answer.headers, body=answer.body)


def _segment(name: str) -> str:
    """Return a name as one segment of a path.

    Raises:
        ValueError: it is empty.
    """
    if not name:
        raise ValueError("a name is empty")
    return quote(name, safe="")
