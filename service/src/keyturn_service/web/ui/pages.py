"""Render pages, and say with each what a browser may do with it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from importlib.resources import files
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from keyturn_service.domain.app import origin_of

_PRIVATE: Final = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_PERMISSIONS: Final = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"
_STYLE: Final = files("keyturn_service.web.ui").joinpath("static/keyturn.css").read_bytes()
_STYLE_TAG: Final = hashlib.sha256(_STYLE).hexdigest()[:16]
STYLE_PATH: Final = "/ui/keyturn.css"


class Pages:
    """The templates, filled."""

    def __init__(self) -> None:
        self._templates = Environment(
            loader=PackageLoader("keyturn_service.web.ui"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals["style_url"] = f"{STYLE_PATH}?v={_STYLE_TAG}"

    def render(
        self,
        template: str,
        *,
        status: int = 200,
        form_targets: Iterable[str] = (),
        **values: object,
    ) -> HTMLResponse:
        """Return a page; its forms may lead to this origin and to `form_targets`."""
        html = self._templates.get_template(template).render(values)
        headers = _PRIVATE | {
            "Content-Security-Policy": _policy(form_targets),
            "Permissions-Policy": _PERMISSIONS,
            "Cross-Origin-Resource-Policy": "same-origin",
            "X-Frame-Options": "DENY",
        }
        return HTMLResponse(html, status_code=status, headers=headers)


def send_to(url: str) -> RedirectResponse:
    """Send the browser on, by GET, and tell the next page nothing of this one."""
    return RedirectResponse(url, status_code=303, headers=_PRIVATE)


async def style(request: Request) -> Response:
    """Answer the style sheet; its URL changes with its content."""
    headers = {
        "Cache-Control": "public, max-age=31536000, immutable",
        "X-Content-Type-Options": "nosniff",
        "ETag": f'"{_STYLE_TAG}"',
    }
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(_STYLE, media_type="text/css", headers=headers)


def salesforce_and(face: str, return_url: str) -> tuple[str, ...]:
    """Return where pressing Connect may lead: to Salesforce, and from there back.

    Browsers hold every redirect that follows a form against its policy, and a My Domain is
    known only when it was typed. Plain http is for faces that are plain themselves, which only
    a development world has.
    """
    back = origin_of(return_url)
    return tuple(
        source
        for source in ("https:", "http:" if face.startswith("http://") else None, back)
        if source is not None
    )


def _policy(form_targets: Iterable[str]) -> str:
    targets = " ".join(["'self'", *form_targets])
    return (
        f"default-src 'none'; style-src 'self'; form-action {targets}; base-uri 'none'; "
        "frame-ancestors 'none'"
    )
