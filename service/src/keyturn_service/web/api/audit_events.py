"""Audit events: what was done, to which connection, by whom."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query

from keyturn_service.domain.audit import AuditRecord
from keyturn_service.domain.ids import ConnectionId
from keyturn_service.ports import CursorUnknown
from keyturn_service.web.api.route import ApiRoute, Reader, Wired
from keyturn_service.web.api.wire import Cursor, IdIn, Limit, Out, Page, Text, Time, TimeIn
from keyturn_service.web.problems import WebRefusal

router: Final = APIRouter(route_class=ApiRoute, tags=["audit"])


class AuditEventOut(Out):
    """One event. `hash` chains it to the `previous` one of the same `writer`, in hex."""

    id: str
    type: str
    at: Time
    actor: str
    connection_id: str | None
    detail: dict[str, str | int | bool | None]
    writer: str
    sequence: int
    previous: str
    hash: str


@router.get("/v1/audit-events")
async def list_audit_events(
    *,
    caller: Reader,
    wired: Wired,
    connection_id: Annotated[IdIn | None, Query()] = None,
    type: Annotated[Text | None, Query(examples=["token.presented"])] = None,
    since: Annotated[TimeIn | None, Query()] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[AuditEventOut]:
    """List audit events of the workspace in order of time."""
    try:
        page = await wired.audit_trail.list(
            caller.workspace_id,
            connection_id=None if connection_id is None else ConnectionId(connection_id),
            type=type,
            since=since,
            limit=limit,
            cursor=cursor,
        )
    except CursorUnknown:
        raise WebRefusal("cursor_unknown") from None
    return Page(data=[_out(record) for record in page.items], next_cursor=page.next_cursor)


def _out(record: AuditRecord) -> AuditEventOut:
    event = record.event
    return AuditEventOut(
        id=f"{record.writer}:{record.sequence}",
        type=event.type,
        at=event.at,
        actor=event.actor,
        connection_id=event.connection_id,
        detail=dict(event.detail),
        writer=record.writer,
        sequence=record.sequence,
        previous=record.previous.hex(),
        hash=record.hash.hex(),
    )
