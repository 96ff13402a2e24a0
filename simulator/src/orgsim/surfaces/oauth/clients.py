"""Who asks at the token endpoint: client authentication.

Spec: RFC 6749 section 2.3.1; Salesforce Help, "OAuth 2.0 Web Server Flow for Web App Integration".
"""

import base64
import binascii
from collections.abc import Mapping
from urllib.parse import unquote_plus

from orgsim.orgs.apps import App
from orgsim.surfaces.oauth import errors
from orgsim.surfaces.oauth.errors import Refused
from orgsim.world import World


def _basic(header: str | None) -> tuple[str | None, str | None]:
    if header is None or not header.lower().startswith("basic"):
        return None, None
    try:
        text = base64.b64decode(header[5:].strip(), validate=True).decode("utf-8")
    except (binascii.Error, ValueError) as error:
        raise Refused(errors.BAD_BASIC) from error
    name, colon, secret = text.partition(":")
    if not colon:
        raise Refused(errors.BAD_BASIC)
    return unquote_plus(name), unquote_plus(secret)


def authenticate_client(
    world: World, form: Mapping[str, str], *, authorization: str | None, for_refresh: bool = False
) -> App:
    """Return the app that asks, once its secret is checked.

    Credentials in the body win over Basic; a secret that was not needed is checked all the same;
    an empty one counts as none.
    """
    basic_name, basic_secret = (None, None)
    if not form.get("client_id") or not form.get("client_secret"):
        basic_name, basic_secret = _basic(authorization)
    if form.get("client_assertion_type"):
        raise Refused(errors.BAD_ASSERTION_TYPE)  # apps authenticate by secret here
    app = world.client(form.get("client_id") or basic_name or "")
    if app is None:
        raise Refused(errors.UNKNOWN_CLIENT)
    secret = form.get("client_secret") or basic_secret
    required = app.secret_required_for_refresh if for_refresh else app.secret_required
    if not secret:
        if required:
            raise Refused(errors.BAD_SECRET)
        return app
    if not app.secret_is(secret):
        raise Refused(errors.BAD_SECRET)
    return app
