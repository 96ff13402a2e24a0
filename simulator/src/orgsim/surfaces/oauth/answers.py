"""How OAuth answers look on the wire.

Spec: Salesforce Help, "OAuth 2.0 Refresh Token Flow" (`format` wins over `Accept`); Salesforce
Help, "OAuth 2.0 Error Codes and Flow Errors" (`Cache-Control: no-store`). That there is a
`Sfdc-Request-Id` is reported.
"""

from collections.abc import Mapping
from urllib.parse import urlencode
from xml.sax.saxutils import escape

from starlette.requests import Request
from starlette.responses import Response

from orgsim.json_text import compact_json
from orgsim.surfaces.call import call_of
from orgsim.surfaces.oauth.errors import OAuthError

_HEADERS = {"Cache-Control": "no-store", "Pragma": "no-cache"}


def _format(request: Request, form: Mapping[str, str]) -> str:
    asked = form.get("format")
    if asked in ("json", "xml", "urlencoded"):
        return asked
    accept = request.headers.get("accept", "")
    if "json" in accept or "*/*" in accept:
        return "json"
    if "xml" in accept and "html" not in accept:
        return "xml"
    if "application/x-www-form-urlencoded" in accept:
        return "urlencoded"
    return "json"


def oauth_answer(
    request: Request, form: Mapping[str, str], fields: Mapping[str, object], *, status: int = 200
) -> Response:
    """Write fields as JSON, XML or a form, as the client asked."""
    match _format(request, form):
        case "xml":
            inner = "".join(f"<{name}>{escape(str(v))}</{name}>" for name, v in fields.items())
            body = f'<?xml version="1.0" encoding="UTF-8"?><OAuth>{inner}</OAuth>'.encode()
            kind = "application/xml;charset=UTF-8"
        case "urlencoded":
            body = urlencode({name: str(value) for name, value in fields.items()}).encode()
            kind = "application/x-www-form-urlencoded;charset=UTF-8"
        case _:
            body = compact_json(fields)
            kind = "application/json;charset=UTF-8"
    headers = {
        **_HEADERS,
        "Content-Type": kind,
        "Sfdc-Request-Id": call_of(request).world.mint.request_id(),
    }
    return Response(body, status_code=status, headers=headers)


def oauth_refusal(request: Request, form: Mapping[str, str], reason: OAuthError) -> Response:
    """Write an error of the token endpoint and note it."""
    call_of(request).note(error=reason.error, detail=reason.description)
    return oauth_answer(request, form, reason.fields, status=reason.status)


def plain_refusal(request: Request, reason: OAuthError) -> Response:
    """Write an error that is shown before the client is trusted: form text without a type.

    Browsers take it for a download called "authorize" (reported).
    """
    call = call_of(request)
    call.note(error=reason.error, detail=reason.description)
    body = urlencode(reason.fields)
    return Response(body.encode(), status_code=call.world.switches.authorize_error_status)
