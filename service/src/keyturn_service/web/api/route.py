"""What every route of the REST API does: know the caller, bound the body, write once."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import Depends, Security
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope

from keyturn_service.domain.api_key import ApiKey, Right
from keyturn_service.web.faces import Faces
from keyturn_service.web.idempotency import Idempotency
from keyturn_service.web.problems import WebRefusal
from keyturn_service.web.security import Door
from keyturn_service.web.wiring import Wiring

LONGEST_BODY: Final = 256 * 1024  # bytes; an app with all its URLs needs a few thousand
_READS: Final = frozenset({"GET", "HEAD"})
_scheme = HTTPBearer(auto_error=False, scheme_name="api_key", description="An API key, `kt_…`.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What routes share; it hangs at the application's state."""

    wiring: Wiring
    door: Door
    faces: Faces
    idempotency: Idempotency


def parts_of(request: Request) -> Parts:
    """Return what the application was made of."""
    parts: Parts = request.app.state.parts
    return parts


def wiring_of(request: Request) -> Wiring:
    """Return the use cases."""
    return parts_of(request).wiring


def origin_of_call(request: Request) -> str:
    """Return the face that the call came by."""
    return parts_of(request).faces.of(request.scope)


@dataclass(frozen=True, slots=True)
class May:
    """A dependency: the API key of the request, which has a right."""

    right: Right

    async def __call__(
        self, request: Request, _: Annotated[object, Security(_scheme)] = None
    ) -> ApiKey:
        """Return the API key; it is looked up once a request."""
        return await caller_of(request, self.right)


async def caller_of(request: Request, right: Right) -> ApiKey:
    """Return the API key of the request, which has a right."""
    found: ApiKey | None = getattr(request.state, "caller", None)
    if found is None:
        found = await parts_of(request).door.api_key(request.scope, right)
        request.state.caller = found
    return found


Wired = Annotated[Wiring, Depends(wiring_of)]
Face = Annotated[str, Depends(origin_of_call)]
Admin = Annotated[ApiKey, Depends(May(Right.ADMIN))]
Reader = Annotated[ApiKey, Depends(May(Right.CONNECTIONS_READ))]
Writer = Annotated[ApiKey, Depends(May(Right.CONNECTIONS_WRITE))]
Proxier = Annotated[ApiKey, Depends(May(Right.PROXY))]


class ApiRoute(APIRoute):
    """A route whose caller is known before its body is read, and whose writes are done once."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the framework's handler with our own steps around it."""
        handle = super().get_route_handler()
        needed = self._right()

        async def known(request: Request) -> Response:
            caller = await caller_of(request, needed)
            if request.method in _READS:
                return await handle(request)
            bounded = Request(request.scope, bounded_receive(request.scope, request.receive))
            body = await bounded.body()
            return await parts_of(request).idempotency.once(
                bounded, caller, body=body, answer=lambda: handle(bounded)
            )

        return known

    def _right(self) -> Right:
        """Return the right that the type of `caller` names."""
        for dependency in self.dependant.dependencies:  # codespell:ignore dependant
            if isinstance(dependency.call, May):
                return dependency.call.right
        raise TypeError(f"{self.path} names no right")


def has_body(scope: Scope) -> bool:
    """Tell whether a request says that it has a body.

    Spec: RFC 9112 section 6.3: without either header its body is empty.
    """
    for name, value in scope["headers"]:
        if name == b"transfer-encoding" or (name == b"content-length" and value != b"0"):
            return True
    return False


def bounded_receive(scope: Scope, receive: Receive, *, longest: int = LONGEST_BODY) -> Receive:
    """Return `receive`, refusing a body once it is longer than `longest` bytes."""
    received = 0

    async def bounded() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > longest:
            raise WebRefusal("payload_too_large")
        return message

    declared = dict(scope["headers"]).get(b"content-length", b"0")
    if declared.isdigit() and int(declared) > longest:
        raise WebRefusal("payload_too_large")
    return bounded
