"""Types on the wire that several resources share."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Generic, TypeVar
from urllib.parse import urlsplit

from fastapi import Path, Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer

from keyturn_core.salesforce.ids import InvalidId, read_org_id
from keyturn_service.domain.app import origin_of
from keyturn_service.domain.connection import ConnectedUser
from keyturn_service.web.problems import InvalidRequest, members, problem_of_code

LONGEST_PAGE: Final = 200
_PRINTABLE: Final = r"^[^\x00-\x1f\x7f]+$"
_ID_LENGTH: Final = 80
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
    try:
        return read_org_id(text)
    except InvalidId:
        raise ValueError("not an org id: 15 or 18 characters that start with 00D") from None


def _web_url(text: str) -> str:
    if origin_of(text) is None or urlsplit(text).scheme not in {"https", "http"}:
        raise ValueError("not an http(s) URL")
    return text


Time = Annotated[datetime, PlainSerializer(_in_utc, return_type=str)]
Text = Annotated[str, Field(min_length=1, max_length=200, pattern=_PRINTABLE)]
Url = Annotated[str, Field(min_length=1, max_length=2048, pattern=_PRINTABLE)]
WebUrl = Annotated[Url, AfterValidator(_web_url)]
OrgIdIn = Annotated[
    str, Field(min_length=15, max_length=18, pattern="^00D"), AfterValidator(_wide_org_id)
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
            raise InvalidRequest("query.cursor", "not one of ours, or its item is gone")
        start = ids.index(cursor) + 1
    end = start + limit
    return Page(data=list(items[start:end]), next_cursor=ids[end - 1] if end < len(ids) else None)
