"""Which calls may be proxied: a path that could hand out a session, or run any code, may not."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any, Final
from urllib.parse import quote, unquote, unquote_to_bytes

from keyturn_service.domain.errors import ServiceError

_VISIBLE: Final = re.compile(r"[\x21\x22\x24-\x7e]*")  # no `#`: what follows would not go out
_BROKEN_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_TRICK: Final = re.compile(r"[\\;\x00-\x1f\x7f]|//|/\.{1,2}(/|$)")
_BY_EXTERNAL_ID: Final = re.compile(
    r"(/services/data/[^/\\;%]+/sobjects/[^/\\;%]+/[^/\\;%]+)/([^/\\]+)/?"
)
_KEY_TRICK: Final = re.compile(r"[\x00-\x1f\x7f]|(^|[/\\;])\.{1,2}([/\\;]|$)")
_REFERENCE: Final = re.compile(r"@\{[^{}/?#]*\}")
_ALL_VISIBLE: Final = "".join(map(chr, range(0x21, 0x7F)))
_SALESFORCE_ID: Final = re.compile(r"[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?")
_DEEPEST: Final = 4  # times that a path is decoded before it counts as a trick by itself
_ANONYMOUS_APEX: Final = "executeanonymous"
_NESTING: Final = {"composite", "batch", "graph"}
_LISTS_OF_SUBREQUESTS: Final = {"compositerequest", "batchrequests"}
_RESOURCE: Final = 3  # place of the resource in services/data/<version>/<resource>


def check_target(target: str, *, unsafe: bool) -> None:
    """See that a call may go to `target`, a path with its query as they would go out.

    Allowed are the data APIs, Apex REST, Bulk 1.0, the user's own description and identity;
    all else of an org's host (login, front door, single access, SOAP) is not. `unsafe` lets
    anonymous Apex through.

    Raises:
        ServiceError: `proxy_path_refused`.
    """
    path, _, query = target.partition("?")
    segments = read_path(path)
    if not _VISIBLE.fullmatch(query) or not _allowed(segments, query):
        raise _refused()
    if not unsafe and _runs_code(segments):
        raise _refused()


def runs_code(target: str) -> bool:
    """Tell whether a call runs anonymous Apex, by whatever method.

    The path was checked before.
    """
    return _runs_code(read_path(target.partition("?")[0]))


def read_path(path: str) -> Sequence[str]:
    """Return the decoded segments of a path, without the empty one at its end.

    A path that two readers could understand differently is refused before anything compares
    it: doubled or encoded slashes, dot segments, backslashes, path parameters, control
    characters, escapes that hide others, bytes that are no UTF-8, a fragment. The value of an
    external id may have slashes and the like in it: behind `sobjects/<object>/<field>/` every
    reader is at records of that object.

    Raises:
        ServiceError: `proxy_path_refused`.
    """
    if not _VISIBLE.fullmatch(path) or not path.startswith("/") or _BROKEN_ESCAPE.search(path):
        raise _refused()
    if keyed := _BY_EXTERNAL_ID.fullmatch(path):
        way, value = keyed.groups()
        return [*_read(way, trick=_TRICK).split("/")[1:], _read(value, trick=_KEY_TRICK)]
    decoded = _read(path, trick=_TRICK)
    if decoded.count("/") != path.count("/"):
        raise _refused()
    return decoded.removesuffix("/").split("/")[1:]


def _read(text: str, *, trick: re.Pattern[str]) -> str:
    """Decode until nothing is left to decode; no layer may hold a trick."""
    for _ in range(_DEEPEST):
        if trick.search(text):
            raise _refused()
        further = _decoded(text)
        if further == text:
            return text
        text = further
    raise _refused()


def holds_subrequests(target: str) -> bool:
    """Tell whether the call's body names other paths that Salesforce will call in turn.

    The path was checked before.
    """
    segments = [segment.casefold() for segment in read_path(target.partition("?")[0])]
    if segments[:2] != ["services", "data"]:
        return False
    rest = segments[_RESOURCE:]
    if rest[:1] == ["tooling"]:
        rest = rest[1:]
    return bool(rest) and rest[0].startswith("composite") and set(rest[1:]) <= _NESTING


def check_subrequests(body: bytes, *, unsafe: bool) -> None:
    """See that each path a composite body names may be called.

    Raises:
        ServiceError: `proxy_path_refused`; also where the body cannot be understood.
    """
    try:
        read = json.loads(body, object_pairs_hook=_Members)
    except (ValueError, RecursionError) as error:
        raise _refused() from error
    for url in _urls(read):
        _check_subrequest(url, unsafe=unsafe)


class _Members(list[tuple[str, Any]]):
    """The members of a JSON object, doubled ones too."""


def _urls(read: object) -> Iterator[object]:
    """Find the URL of every subrequest, however deep.

    Of doubled members all count: who reads the first and who the last cannot be known.
    """
    if isinstance(read, _Members):
        for name, value in read:
            if name.casefold() in _LISTS_OF_SUBREQUESTS and isinstance(value, list):
                yield from _members(value, "url")
            yield from _urls(value)
    elif isinstance(read, list):
        for item in read:
            yield from _urls(item)


def _members(items: list[Any], wanted: str) -> Iterator[object]:
    for item in items:
        if isinstance(item, _Members):
            yield from (value for name, value in item if name.casefold() == wanted)


def _check_subrequest(url: object, *, unsafe: bool) -> None:
    """Check one URL of a composite body; that of a batch leaves `/services/data/` out.

    A reference to an earlier answer (`@{…}`) may stand for a record, not for a resource.
    """
    if not isinstance(url, str):
        raise _refused()
    path, _, _ = url.partition("?")
    whole = path if path.startswith("/") else f"/services/data/{path}"
    plain = _REFERENCE.sub("0", whole)
    segments = read_path(quote(plain, safe=_ALL_VISIBLE))
    if segments[:2] != ["services", "data"] or (not unsafe and _runs_code(segments)):
        raise _refused()
    resource = segments[_RESOURCE : _RESOURCE + 1]
    literal = not _REFERENCE.search("/".join(whole.split("/")[: _RESOURCE + 2]))
    if not unsafe and plain != whole and (not literal or resource == ["tooling"]):
        raise _refused()


def _allowed(segments: Sequence[str], query: str) -> bool:
    match list(segments):
        case ["services", "data" | "apexrest" | "async", *_]:
            return True
        case ["services", "oauth2", "userinfo"]:
            return True
        case ["id", org, user]:
            ids = _SALESFORCE_ID.fullmatch(org) and _SALESFORCE_ID.fullmatch(user)
            return ids is not None and "token" not in unquote(query).casefold()
        case _:
            return False


def _runs_code(segments: Sequence[str]) -> bool:
    """Tell whether a path of the data API leads to anonymous Apex, however it is spelled."""
    folded = (unicodedata.normalize("NFKC", segment).casefold() for segment in segments[2:])
    return segments[1:2] == ["data"] and any(_ANONYMOUS_APEX in segment for segment in folded)


def _decoded(text: str) -> str:
    """Decode percent escapes once."""
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError as error:
        raise _refused() from error


def _refused() -> ServiceError:
    return ServiceError("proxy_path_refused")
