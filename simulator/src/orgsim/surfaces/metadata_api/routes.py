"""HTTP of the Metadata API: one SOAP endpoint, and the REST resource for deployments.

Spec: Metadata API Developer Guide, "Deploying and Retrieving Metadata with the Zip File" and
"Deploy Metadata with REST".
"""

from typing import Any

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from orgsim.json_text import compact_json
from orgsim.surfaces.api_sign_in import session_of
from orgsim.surfaces.call import Call, call_of
from orgsim.surfaces.metadata_api import errors
from orgsim.surfaces.metadata_api.deploying import Options, deploy
from orgsim.surfaces.metadata_api.operations import (
    OPERATIONS,
    Caller,
    deployment_status,
    find_deployment,
)
from orgsim.surfaces.metadata_api.soap import Fault, answer, read_call
from orgsim.surfaces.rest_api.errors import RestRefused, not_found
from orgsim.surfaces.rest_api.exchange import Answer
from orgsim.surfaces.rest_api.json_bodies import read_json

_XML = "text/xml;charset=UTF-8"
_JSON = "application/json;charset=UTF-8"
_DEPLOYS = "/services/data/v{version}/metadata/deployRequest"
_FAILED = 500


async def soap(request: Request) -> Response:
    """Answer a SOAP call: deploy, retrieve and their status, list, describe, read.

    What stands behind the version is the org's id, or what clients write there: it is not looked
    at (simple-salesforce calls `…/deployRequest/<id>`, and real orgs answer it).
    """
    call = call_of(request)
    try:
        asked, session_id = read_call(await request.body())
        caller = _signed_in(call, session_id)
        operation = OPERATIONS.get(asked.name)
        if operation is None:
            raise Fault(*errors.OPERATION)  # noqa: TRY301 - one place turns it into an answer
        body = answer(asked.name, operation(caller, asked))
    except Fault as fault:
        call.note(error=fault.code)
        return Response(fault.text(), status_code=_FAILED, headers={"Content-Type": _XML})
    return Response(body, headers={"Content-Type": _XML})


def _signed_in(call: Call, session_id: str | None) -> Caller:
    """Return who calls; access tokens in JWT format are no sessions for SOAP (reported).

    Raises:
        Fault: no session that serves here, or one of somebody who may not change metadata.
    """
    world, org = call.world, call.org
    session = world.sessions.find(session_id or "", now=world.clock.now())
    if session is None or org is None or session.org_id != org.org_id or session.fixed_end:
        raise Fault(*errors.SESSION)
    user = org.user(session.user_id)
    if user is None or not user.active or not session.scopes & {"api", "full"}:
        raise Fault(*errors.SESSION)
    if user.role != "admin":
        raise Fault(*errors.NO_ACCESS)
    call.entry.org_id = org.org_id
    call.entry.token_ref = world.hashes.reference(session_id or "")
    world.sessions.extend(session, now=world.clock.now())
    return Caller(world=world, org=org, user=user)


async def _rest_caller(request: Request) -> Caller:
    session, call = await session_of(request), call_of(request)
    org = call.org
    user = None if org is None else org.user(session.user_id)
    if org is None or user is None:
        raise not_found()
    if user.role != "admin":
        raise RestRefused("INSUFFICIENT_ACCESS_OR_READONLY", errors.NO_ACCESS[1])
    return Caller(world=call.world, org=org, user=user)


def _written(reply: Answer) -> Response:
    return Response(
        compact_json(reply.body), status_code=reply.status, headers={"Content-Type": _JSON}
    )


async def deploy_by_rest(request: Request) -> Response:
    """Begin a deployment that came as a multipart form."""
    try:
        caller = await _rest_caller(request)
        data, options = await _parts(request)
        made = deploy(caller.world, caller.org, caller.user, data, options)
    except RestRefused as refused:
        return _written(refused.answer())
    body = {
        "id": made.job_id,
        "deployOptions": {
            "checkOnly": options.check_only,
            "ignoreWarnings": options.ignore_warnings,
            "rollbackOnError": options.rollback_on_error,
            "singlePackage": options.single_package,
        },
        "deployResult": {"id": made.job_id, "done": False, "status": "Pending", "success": False},
    }
    return _written(Answer(status=201, body=body))


async def _parts(request: Request) -> tuple[bytes, Options]:
    """Return zip and options; the parts come in any order.

    Raises:
        RestRefused: one of them is missing.
    """
    try:
        async with request.form(max_part_size=50_000_000) as form:
            parts = {name.lower(): await _bytes(part) for name, part in form.multi_items()}
    except HTTPException as error:
        raise RestRefused("INVALID_MULTIPART_REQUEST", "The multipart form is not valid") from error
    data, about = parts.get("file"), parts.get("entity_content") or parts.get("json")
    if data is None or about is None:
        raise RestRefused("INVALID_MULTIPART_REQUEST", "Multipart message must include two parts")
    asked = read_json(about)
    given: dict[str, Any] = asked.get("deployOptions", {}) if isinstance(asked, dict) else {}
    return data, Options(
        check_only=given.get("checkOnly") is True,
        ignore_warnings=given.get("ignoreWarnings") is True,
        rollback_on_error=given.get("rollbackOnError") is not False,
        single_package=given.get("singlePackage") is not False,
    )


async def _bytes(part: UploadFile | str) -> bytes:
    return part.encode() if isinstance(part, str) else await part.read()


async def deployment(request: Request) -> Response:
    """Tell how far a deployment is, or take the wish to cancel it."""
    try:
        caller = await _rest_caller(request)
        found = find_deployment(caller, request.path_params["job_id"])
        if found is None:
            raise not_found()
    except RestRefused as refused:
        return _written(refused.answer())
    details = request.query_params.get("includeDetails", "").lower() == "true"
    body = {
        "id": found.job_id,
        "url": f"{request.url.path}",
        "deployResult": deployment_status(caller, found, details=details, by_rest=True),
    }
    return _written(Answer(status=202 if request.method == "PATCH" else 200, body=body))


def metadata_routes() -> list[BaseRoute]:
    """Routes of the Metadata API."""
    return [
        Route("/services/Soap/m/{version}", soap, methods=["POST"]),
        Route("/services/Soap/m/{version}/{behind:path}", soap, methods=["POST"]),
        Route(_DEPLOYS, deploy_by_rest, methods=["POST"]),
        Route(_DEPLOYS + "/{job_id}", deployment, methods=["GET", "PATCH"]),
    ]
