"""Render pages, and say with each what a browser may do with it."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from keyturn_service.domain.app import origin_of

_PRIVATE: Final = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_PERMISSIONS: Final = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"
_STATIC: Final = files("keyturn_service.web.ui").joinpath("static")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """A file that pages load; its URL changes with its content."""

    path: str
    media_type: str
    content: bytes
    tag: str

    @property
    def url(self) -> str:
        """Where pages load it from."""
        return f"{self.path}?v={self.tag}"


def _asset(name: str, media_type: str) -> Asset:
    content = _STATIC.joinpath(name).read_bytes()
    tag = hashlib.sha256(content).hexdigest()[:16]
    return Asset(path=f"/ui/{name}", media_type=media_type, content=content, tag=tag)


STYLE: Final = _asset("keyturn.css", "text/css")
SCRIPT: Final = _asset("connect.js", "text/javascript")


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
        self._templates.globals["style_url"] = STYLE.url
        self._templates.globals["script_url"] = SCRIPT.url

    def render(
        self,
        template: str,
        *,
        status: int = 200,
        form_targets: Iterable[str] = (),
        scripted: bool = False,
        **values: object,
    ) -> HTMLResponse:
        """Return a page; its forms may lead to this origin and to `form_targets`.

        A `scripted` one may run the script of our own, and that may ask this origin.
        """
        html = self._templates.get_template(template).render(values)
        headers = _PRIVATE | {
            "Content-Security-Policy": _policy(form_targets, scripted=scripted),
            "Permissions-Policy": _PERMISSIONS,
            "Cross-Origin-Resource-Policy": "same-origin",
            "X-Frame-Options": "DENY",
        }
        return HTMLResponse(html, status_code=status, headers=headers)


def send_to(url: str) -> RedirectResponse:
    """Send the browser on, by GET, and tell the next page nothing of this one."""
    return RedirectResponse(url, status_code=303, headers=_PRIVATE)


def answer_of(asset: Asset) -> Callable[[Request], Awaitable[Response]]:
    """Return what answers a request for a file that pages load."""
    headers = {
        "Cache-Control": "public, max-age=31536000, immutable",
        "X-Content-Type-Options": "nosniff",
        "ETag": f'"{asset.tag}"',
    }

    async def answer(request: Request) -> Response:
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        return Response(asset.content, media_type=asset.media_type, headers=headers)

    return answer


def told_to_script(**members: str) -> Response:
    """Return what the script of a page is told; nobody keeps it."""
    headers = {**_PRIVATE, "Cross-Origin-Resource-Policy": "same-origin"}
    return JSONResponse(members, headers=headers)


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


def _policy(form_targets: Iterable[str], *, scripted: bool) -> str:
    targets = " ".join(["'self'", *form_targets])
    script = "script-src 'self'; connect-src 'self'; " if scripted else ""
    return (
        f"default-src 'none'; style-src 'self'; {script}form-action {targets}; base-uri 'none'; "
        "frame-ancestors 'none'"
    )
