"""Who may log in where, and where a page may lead."""

import hmac
from urllib.parse import urlsplit

from orgsim.orgs.org import Org, User
from orgsim.world import World

SCOPE_SENTENCES = {
    "api": "Manage user data via APIs",
    "refresh_token": "Perform requests at any time",
    "id": "Access the identity URL service",
    "openid": "Access unique user identifiers",
    "profile": "Access basic profile information",
    "email": "Access the email address",
    "web": "Manage user data via Web browsers",
    "full": "Full access",
    "chatter_api": "Access Connect REST API resources",
    "visualforce": "Access Visualforce applications",
}
"""How the consent page words each scope.

Spec: Salesforce Help, "OAuth Tokens and Scopes".
"""


def person_of(world: World, site: str, username: str, password: str) -> tuple[Org, User] | None:
    """Find who logs in at a site with this password.

    A user of a sandbox is unknown at the production login host, and the other way round; a My
    Domain knows its own users only. Frozen users are not told why.

    Spec: Salesforce Help, "My Domain Login URL".
    """
    wanted = username.strip().lower()
    for org, user in world.people_at(site):
        if user.username.lower() == wanted:
            right = hmac.compare_digest(user.password.encode(), password.encode())
            return (org, user) if right else None
    return None


def safe_start(text: str | None) -> str:
    """Return the path a login leads to; anything but a path of this site becomes the home page."""
    if not text or not text.startswith("/") or text.startswith("//") or "\\" in text:
        return "/home"
    parts = urlsplit(text)
    return "/home" if parts.scheme or parts.netloc else text


def source_of(start: str) -> str | None:
    """Return the pending request that a start path names."""
    query = urlsplit(start).query
    found = [pair[7:] for pair in query.split("&") if pair.startswith("source=")]
    return found[0] if found else None
