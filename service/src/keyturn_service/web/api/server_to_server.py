"""Connections server to server: made without a person, and proved to work."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Final

from fastapi import APIRouter, Response
from pydantic import Field

from keyturn_core.salesforce.hosts import Environment
from keyturn_core.salesforce.ids import OrgId
from keyturn_service.domain.ids import AppId, ConnectionId, CustomerId
from keyturn_service.use_cases.verify_connection import Step, Verification
from keyturn_service.web.api.connections import ConnectionOut, written
from keyturn_service.web.api.route import ApiRoute, Face, Wired, Writer
from keyturn_service.web.api.wire import IdIn, In, OrgIdIn, Out, Text, problem_out

router: Final = APIRouter(route_class=ApiRoute, tags=["connections"])


class ConnectionIn(In):
    """A new connection by JWT Bearer: which org, and as which of its users.

    `my_domain` is the org's own host; without it `environment` says which login host is asked.
    `org_id`, where given, is the org that it has to be.
    """

    customer_id: Text
    username: Annotated[Text, Field(examples=["integration@globex.example"])]
    app_id: Text | None = None
    environment: Environment | None = None
    my_domain: Annotated[str, Field(min_length=1, max_length=2048)] | None = None
    org_id: OrgIdIn | None = None


class StepState(StrEnum):
    """How a step stands."""

    DONE = "done"
    FAILED = "failed"
    NOT_REACHED = "not_reached"


class StepOut(Out):
    """One thing that has to hold; `problem` says what is missing, whose it is, and where."""

    step: Step
    state: StepState
    problem: dict[str, Any] | None


class VerificationOut(Out):
    """Whether a connection works, step by step.

    `install_url` is where an admin installs the package, as far as the app says. `way_out` says of
    a connection with a refresh token whether an assertion would stand in for it; null where the
    app has no signing key. `warnings` are problems of later.
    """

    works: bool
    connection: ConnectionOut
    steps: list[StepOut]
    problem: dict[str, Any] | None
    install_url: str | None
    way_out: bool | None
    warnings: list[dict[str, Any]]


@router.post(
    "/v1/connections",
    status_code=201,
    responses={200: {"description": "The customer had it before.", "model": ConnectionOut}},
)
async def connect_by_assertion(
    asked: ConnectionIn, caller: Writer, wired: Wired, face: Face, response: Response
) -> ConnectionOut:
    """Connect an org server to server: as its integration user, whom an admin has let in."""
    connection, new = await wired.connect_by_assertion(
        caller.workspace_id,
        caller.id,
        customer_id=CustomerId(asked.customer_id),
        username=asked.username,
        app_id=None if asked.app_id is None else AppId(asked.app_id),
        environment=asked.environment,
        my_domain=asked.my_domain,
        org_id=None if asked.org_id is None else OrgId(asked.org_id),
        origin=face,
    )
    if not new:
        response.status_code = 200
    return await written(connection, wired, face=face)


@router.post("/v1/connections/{connection_id}/verify")
async def verify_connection(
    connection_id: IdIn, caller: Writer, wired: Wired, face: Face
) -> VerificationOut:
    """Prove that the connection works, or say which step is missing, whose it is and where."""
    found = await wired.verify_connection(
        caller.workspace_id, ConnectionId(connection_id), caller.id
    )
    connection = found.connection
    app = await wired.apps.get(connection.workspace_id, connection.app_id)
    install_urls = {} if app is None else app.install_urls
    return VerificationOut(
        works=found.missing is None,
        connection=await written(connection, wired, face=face),
        steps=_steps(found, face=face),
        problem=problem_out(found.problem, face=face),
        install_url=install_urls.get(connection.environment),
        way_out=found.way_out,
        warnings=[said for code in found.warnings if (said := problem_out(code, face=face))],
    )


def _steps(found: Verification, *, face: str) -> list[StepOut]:
    steps: list[StepOut] = []
    state = StepState.DONE
    for step in found.steps:
        failed = step is found.missing
        state = StepState.FAILED if failed else state
        problem = problem_out(found.problem, face=face) if failed else None
        steps.append(StepOut(step=step, state=state, problem=problem))
        state = StepState.NOT_REACHED if failed else state
    return steps
