"""The browser's cookie, and the form token that is bound to it."""

from __future__ import annotations

import base64
import hmac
import re
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from keyturn_service.ports import KeyedHash, Randomness

_SECRET_BYTES: Final = 32
_LIFE_SECONDS: Final = 3600  # a link's 30 minutes, a login's 15 and a confirmation's 10
_LINK: Final = re.compile(r"[A-Za-z0-9_-]{20,200}", re.ASCII)
_SHAPE: Final = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


def cookie_name(face: str) -> str:
    """Return the cookie's name on a face: over https one that no other host can set."""
    return "__Host-keyturn_browser" if _is_secure(face) else "keyturn_browser"


def browser_of(request: Request, face: str) -> str | None:
    """Return the secret that the browser's cookie holds; None where it is out of shape."""
    value = request.cookies.get(cookie_name(face), "")
    return value if _SHAPE.fullmatch(value) else None


def new_browser(randomness: Randomness) -> str:
    """Return a secret for a browser that has none yet."""
    return _text(randomness.token_bytes(_SECRET_BYTES))


def keep_browser(response: Response, face: str, browser: str) -> None:
    """Give the browser its secret.

    `Lax`, so that the browser shows it again when Salesforce sends it back.
    """
    response.set_cookie(
        cookie_name(face),
        browser,
        max_age=_LIFE_SECONDS,
        path="/",
        secure=_is_secure(face),
        httponly=True,
        samesite="lax",
    )


def link_of(request: Request, face: str) -> str | None:
    """Return the link of the connect page with an install step that this browser saw last."""
    value = request.cookies.get(_link_cookie(face), "")
    return value if _LINK.fullmatch(value) else None


def keep_link(response: Response, face: str, link: str) -> None:
    """Let the browser find its connect page again after it has installed the package."""
    response.set_cookie(
        _link_cookie(face),
        link,
        max_age=_LIFE_SECONDS,
        path="/",
        secure=_is_secure(face),
        httponly=True,
        samesite="lax",
    )


def _link_cookie(face: str) -> str:
    return "__Host-keyturn_link" if _is_secure(face) else "keyturn_link"


def form_token(hashes: KeyedHash, *, browser: str, link: str) -> str:
    """Return what a form carries to show that this browser was given it for this link."""
    return _text(hashes("form_token", f"{browser}:{link}"))


def is_form_token(hashes: KeyedHash, shown: str, *, browser: str, link: str) -> bool:
    """Tell whether the form was given to this browser for this link."""
    expected = form_token(hashes, browser=browser, link=link)
    return hmac.compare_digest(expected.encode(), shown.encode("utf-8", "surrogatepass"))


def came_from_here(request: Request, face: str) -> bool:
    """Tell whether a form was sent by a page of this origin, as far as the browser says.

    Pages without referrer send `Origin: null` even to themselves, so that this alone proves
    nothing: the form token does.
    """
    site = request.headers.get("sec-fetch-site", "same-origin")
    origin = request.headers.get("origin", "null")
    return site in {"same-origin", "none"} and origin in {"null", face}


def _is_secure(face: str) -> bool:
    return face.startswith("https://")


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
