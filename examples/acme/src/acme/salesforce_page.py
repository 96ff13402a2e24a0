"""The page that shows what is in the customer's org, and its three buttons."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from acme.salesforce import (
    Contact,
    NothingThere,
    Opportunity,
    contacts,
    log_activity,
    opportunities,
    push_usage,
    raise_alert,
)
from acme.sessions import Notice
from acme.settings import connection_of, is_usable
from acme.web import UserVisit, notice_of, posted, signed_in
from keyturn import AsyncConnectionHandle, KeyturnError

HERE: Final = "/salesforce"
_BAD_GATEWAY: Final = 502
_NOT_CONNECTED: Final = Notice(
    text="Salesforce is not connected. Connect it in the settings.", code="not_connected"
)
_Work = Callable[[UserVisit, FormData, AsyncConnectionHandle], Awaitable[Notice]]


@signed_in
async def show_salesforce(visit: UserVisit) -> Response:
    """Show people and deals."""
    try:
        org = await _org(visit)
        if org is None:
            return _page(visit, notice=_NOT_CONNECTED)
        people, deals = await asyncio.gather(contacts(org), opportunities(org))
    except KeyturnError as error:
        return _page(visit, status=_BAD_GATEWAY, notice=notice_of(error))
    return _page(visit, shown=(people, deals))


def _button(work: _Work) -> Callable[[Request], Awaitable[Response]]:
    """Make a page of a button: it works in the org, and the page tells how that went."""

    @posted
    async def press(visit: UserVisit, form: FormData) -> Response:
        try:
            org = await _org(visit)
            notice = _NOT_CONNECTED if org is None else await work(visit, form, org)
        except KeyturnError as error:
            notice = notice_of(error)
        except NothingThere as nothing:
            notice = Notice(text=f"There is no {nothing} that fits.", code="nothing_there")
        return visit.go(HERE, notice=notice)

    return press


@_button
async def press_push_usage(visit: UserVisit, form: FormData, org: AsyncConnectionHandle) -> Notice:
    """Push today's usage of each account."""
    del form
    results = await push_usage(org, visit.acme.clock.now().date())
    if results.failed:
        error = next(iter(results.failed[0].errors), None)
        said = "" if error is None else f" {error.code}: {error.message}"
        return Notice(
            text=f"Salesforce refused {len(results.failed)} of {len(results)} records.{said}",
            code="records_refused",
        )
    return Notice(text=f"Usage of {len(results)} accounts is in Salesforce.")


@_button
async def press_log_activity(
    visit: UserVisit, form: FormData, org: AsyncConnectionHandle
) -> Notice:
    """Log an activity of a contact, the first one where none is named."""
    named = str(form.get("contact_id", "")) or None
    name = await log_activity(org, visit.acme.clock.now().date(), named)
    return Notice(text=f"The activity of {name} is logged.")


@_button
async def press_raise_alert(visit: UserVisit, form: FormData, org: AsyncConnectionHandle) -> Notice:
    """Raise a renewal alert."""
    del visit, form
    return Notice(text=f"The renewal alert for {await raise_alert(org)} is raised.")


async def _org(visit: UserVisit) -> AsyncConnectionHandle | None:
    connection = await connection_of(visit)
    if connection is None or not is_usable(connection):
        return None
    return visit.face.keyturn.connection(connection.id)


def _page(
    visit: UserVisit,
    *,
    shown: tuple[list[Contact], list[Opportunity]] | None = None,
    status: int = 200,
    notice: Notice | None = None,
) -> Response:
    people, deals = shown or ([], [])
    return visit.page(
        "salesforce.html",
        status=status,
        notice=notice,
        shown=shown is not None,
        contacts=people,
        opportunities=deals,
    )
