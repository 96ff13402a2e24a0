"""Answers as text, and as fewer bytes."""

import gzip
from typing import Any

from orgsim.json_text import compact_json

_WORTH_IT = 1_024  # bytes from which an answer is compressed


def pretty_json(value: Any, indent: str = "") -> str:
    """Write JSON as orgs do under `X-PrettyPrint: 1`: ` : ` in objects, lists in one line."""
    inner = indent + "  "
    match value:
        case dict() if value:
            members = (
                f"{inner}{_scalar(name)} : {pretty_json(one, inner)}" for name, one in value.items()
            )
            return "{\n" + ",\n".join(members) + f"\n{indent}}}"
        case list() if value:
            return "[ " + ", ".join(pretty_json(one, indent) for one in value) + " ]"
        case dict():
            return "{ }"
        case list():
            return "[ ]"
        case _:
            return _scalar(value)


def _scalar(value: Any) -> str:
    return compact_json(value).decode()


def compressed(body: bytes, *, accepted: str) -> bytes | None:
    """Return a body under gzip, None where the client did not ask for it or it is too short."""
    names = {part.split(";")[0].strip().lower() for part in accepted.split(",")}
    if len(body) < _WORTH_IT or "gzip" not in names or "gzip;q=0" in accepted.replace(" ", ""):
        return None
    return gzip.compress(body, compresslevel=1, mtime=0)
