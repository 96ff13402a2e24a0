"""The door of every API of an org: from an access token to an `ApiSession`."""

from starlette.requests import Request

from orgsim.json_text import compact_json
from orgsim.surfaces.call import call_of
from orgsim.surfaces.identity.routes import bearer_of
from orgsim.surfaces.session import ApiSession, NotSignedIn

_EXPIRED = ("INVALID_SESSION_ID", "Session expired or invalid")
_NOT_FOR_REST = ("INVALID_SESSION_ID", "This session is not valid for use with the REST API")
_BAD_HEADER = ("INVALID_AUTH_HEADER", "INVALID_HEADER_TYPE")


def _refused(code: str, message: str) -> NotSignedIn:
    return NotSignedIn(
        status=401,
        body=compact_json([{"message": message, "errorCode": code}]),
        content_type="application/json;charset=UTF-8",
    )


async def session_of(request: Request) -> ApiSession:
    """Return who calls this org's API, and extend the session by the call.

    Raises:
        NotSignedIn: no token, a dead one, one of another org, or one without the scope `api`.

    Spec: REST API Developer Guide, "Status Codes and Error Responses"; Salesforce Help, "Session
    Security Settings" (the session ends after a time without use).
    """
    call = call_of(request)
    world, org = call.world, call.org
    header = request.headers.get("authorization")
    token = bearer_of(header)
    if header and token is None:
        raise _refused(*_BAD_HEADER)
    session = world.sessions.find(token or "", now=world.clock.now())
    if session is None or org is None or session.org_id != org.org_id or org.state == "locked":
        raise _refused(*_EXPIRED)
    user = org.user(session.user_id)
    if user is None or not user.active:
        raise _refused(*_EXPIRED)
    if not session.scopes & {"api", "full"}:
        raise _refused(*_NOT_FOR_REST)
    world.sessions.extend(session, now=world.clock.now())
    return ApiSession(
        org_id=org.org_id,
        user_id=user.user_id,
        username=user.username,
        scopes=session.scopes,
        origin=call.origin,
        instance_url=call.origin,
    )
