"""One call of the REST API and its answer, free of the web framework.

Calls inside a composite request are such calls too.
"""

import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, unquote_plus

from orgsim.data import OrgData
from orgsim.soql.answers import Queried
from orgsim.surfaces.rest_api.cursors import Cursors
from orgsim.surfaces.session import ApiSession

ROOT = "/services/data"
_PATH = re.compile(
    r"/services/data/v(?P<version>[0-9]{1,3})\.0(?P<rest>/.*)?", re.ASCII | re.DOTALL
)
_VALUE_AT = 3  # where `sobjects/X/Field/value` has the value


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What goes back; `body` is JSON, or nothing where `status` says so."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        """Whether the call did not do what it was to do."""
        return self.status >= 400  # noqa: PLR2004 - RFC 9110 section 15.5


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A call. `path` are the decoded segments behind the version, `body` the bytes as read."""

    method: str
    version: int
    path: tuple[str, ...]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    data: OrgData
    session: ApiSession
    cursors: Cursors
    setup_of: Callable[[str], AbstractContextManager[Queried] | None]
    """Opens the rows of what is no record but part of Setup, by the object's name."""
    again: Callable[["Asked"], Answer]
    """Answers another call, for those that carry calls inside."""
    all_or_none: bool = False
    """Whether the composite request around this call demands that all of it goes well."""

    @property
    def base(self) -> str:
        """The start of every URL of this version."""
        return f"{ROOT}/v{self.version}.0"

    @property
    def user_id(self) -> str:
        """Who calls."""
        return self.session.user_id

    def flag(self, name: str) -> bool:
        """Read a parameter that is `true` or not."""
        return self.query.get(name, "").lower() == "true"


def read_path(encoded: str) -> tuple[int, tuple[str, ...]] | None:
    """Return version and decoded segments of a path as it was sent; None where it has no version.

    It is cut before it is decoded, so that an external ID may hold a slash; in that ID a plus sign
    stands for a space, as some clients write it.
    """
    found = _PATH.fullmatch(encoded)
    if found is None:
        return None
    segments = [part for part in (found["rest"] or "").split("/") if part]
    valued = len(segments) > _VALUE_AT and segments[0] == "sobjects"
    return int(found["version"]), tuple(
        unquote_plus(part) if valued and at == _VALUE_AT else unquote(part)
        for at, part in enumerate(segments)
    )
