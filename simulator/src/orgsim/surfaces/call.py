"""One HTTP request on its way through the simulator: where it came in, and what is noted of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.types import Scope

from orgsim.journal import Entry
from orgsim.orgs.org import Org
from orgsim.sites import Face
from orgsim.world import World

_KEY = "orgsim.call"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An answer that a fault demands, in the words of whatever surface is asked.

    `delivery` is how the authorization endpoint tells it, None for the usual way.
    """

    error: str
    description: str | None
    delivery: str | None = None


@dataclass(slots=True, kw_only=True)
class Call:
    """A request with its world, site, face and journal entry.

    `body` is there where the gate had to read it. `finally_` runs when the answer has left, or
    cannot leave any more.
    """

    world: World
    site: str
    face: Face
    entry: Entry
    client: str
    body: bytes | None = None
    refusal: Refusal | None = None
    finally_: list[Callable[[], None]] = field(default_factory=list)

    @property
    def org(self) -> Org | None:
        """The org whose My Domain was called; None at a login host."""
        return self.world.org_at(self.site)

    @property
    def origin(self) -> str:
        """The origin that was called."""
        return self.face.origin(self.site)

    def note(self, *, error: str, detail: str | None = None) -> None:
        """Write an error into the journal; `detail` comes from a fixed table, never a caller."""
        self.entry.error, self.entry.detail = error, detail


def attach(scope: Scope, call: Call) -> None:
    """Hang a call on its ASGI scope."""
    scope[_KEY] = call


def call_of(request: Request) -> Call:
    """Return the call that a request belongs to."""
    call = request.scope[_KEY]
    if not isinstance(call, Call):
        raise TypeError("the request did not come through the gate")
    return call


def read_pairs(text: str) -> dict[str, str]:
    """Read a query or form; of a parameter that comes twice the first one counts."""
    pairs: dict[str, str] = {}
    for name, value in parse_qsl(text, keep_blank_values=True, max_num_fields=200):
        pairs.setdefault(name, value)
    return pairs


async def read_form(request: Request) -> dict[str, str]:
    """Read a URL-encoded body, however it was sent; anything else reads as an empty form."""
    body = await request.body()
    try:
        return read_pairs(body.decode("utf-8"))
    except ValueError:
        return {}
