"""Types on the wire that several resources share."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Generic, TypeVar

from fastapi import Path, Query
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
)

from keyturn_core.salesforce.ids import InvalidId, read_org_id
from keyturn_service.domain.connection import ConnectedUser
from keyturn_service.web.problems import WebRefusal, members, problem_of_code

LONGEST_PAGE: Final = 200
_PRINTABLE: Final = r"^[^\x00-\x1f\x7f]+$"
_ID_LENGTH: Final = 80
_PORT: Final = "([0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
_HOST: Final = "[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?"
_ORIGIN: Final = f"https?://{_HOST}(:{_PORT})?"
_SAFE_ORIGIN: Final = f"(https://{_HOST}|http://(localhost|127[.]0[.]0[.]1))(:{_PORT})?"
_BEHIND: Final = r"[/?][!\"$-\[\]-~]*"  # visible, but neither `#` nor a backslash
_RFC_3339: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)
_T = TypeVar("_T")


class In(BaseModel):
    """What is sent to us: an unknown member is a mistake, and is said to be one."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Out(BaseModel):
    """What we answer."""

    model_config = ConfigDict(frozen=True)


def _in_utc(value: datetime) -> str:
    """Write a time as RFC 3339 in UTC."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _wide_org_id(text: str) -> str:
    """Return 18 characters. A wrong checksum stays as it is: such an org is not found."""
    try:
        return read_org_id(text)
    except InvalidId:
        return text


def _as_rfc_3339(value: object) -> object:
    """Let a time pass that names its zone, and no number: whose seconds would it count?"""
    if not isinstance(value, str) or not _RFC_3339.fullmatch(value):
        raise ValueError("not a time such as 2026-11-24T12:00:00Z")
    return value


def _to_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("out of the calendar") from None


Time = Annotated[datetime, PlainSerializer(_in_utc, return_type=str)]
Text = Annotated[str, Field(min_length=1, max_length=200, pattern=_PRINTABLE)]
Url = Annotated[str, Field(min_length=1, max_length=2048, pattern=_PRINTABLE)]
WebUrl = Annotated[str, Field(max_length=2048, pattern=f"^{_ORIGIN}({_BEHIND})?$")]
PageUrl = Annotated[str, Field(max_length=2048, pattern=f"^{_SAFE_ORIGIN}({_BEHIND})?$")]
WebOrigin = Annotated[str, Field(max_length=300, pattern=f"^{_ORIGIN}$")]
TimeIn = Annotated[AwareDatetime, BeforeValidator(_as_rfc_3339), AfterValidator(_to_utc)]
OrgIdIn = Annotated[
    str,
    Field(pattern="^00D[0-9A-Za-z]{12}([A-Z0-5]{3})?$", examples=["00D5g000004bLxZEAU"]),
    AfterValidator(_wide_org_id),
]
IdIn = Annotated[str, Path(min_length=1, max_length=_ID_LENGTH, pattern="^[A-Za-z0-9_]+$")]
Limit = Annotated[int, Query(ge=1, le=LONGEST_PAGE, description="How many items at most.")]
Cursor = Annotated[
    str | None,
    Query(max_length=500, pattern=_PRINTABLE, description="`next_cursor` of the page before."),
]


class Page(Out, Generic[_T]):
    """Some items of a list; `next_cursor` is null where no more come."""

    data: list[_T]
    next_cursor: str | None = None


class UserOut(Out):
    """The Salesforce user who let the vendor in."""

    id: str
    username: str
    email: str | None


class OrgOut(Out):
    """A Salesforce org; its name is null where the user may not see it."""

    id: str
    name: str | None


def user_out(user: ConnectedUser) -> UserOut:
    """Write a user."""
    return UserOut(id=user.id, username=user.username, email=user.email)


def problem_out(code: str | None, *, face: str) -> dict[str, Any] | None:
    """Write what is wrong with a thing, where something is."""
    if code is None:
        return None
    said = members(problem_of_code(code), face=face)
    del said["status"]  # nothing is being answered with it
    return {**said, "code": code}


def cut(items: Sequence[_T], ids: Sequence[str], *, limit: int, cursor: str | None) -> Page[_T]:
    """Return the page of a short list that starts behind the id `cursor`."""
    start = 0
    if cursor is not None:
        if cursor not in ids:
            raise WebRefusal("cursor_unknown")
        start = ids.index(cursor) + 1
    end = start + limit
    return Page(data=list(items[start:end]), next_cursor=ids[end - 1] if end < len(ids) else None)
