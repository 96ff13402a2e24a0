"""Refusals that only the web knows, beside those of the core's catalogue.

Status 422 says that a request is out of shape by the OpenAPI document; where it is in shape and
something else stands against it, the status is another.

An entry is written to the person who has to act, like the catalogue's. `all_entries` is what
the pages under `/docs/errors` list.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

from keyturn_core.errors import Remedy, Who
from keyturn_core.salesforce.refusals import CATALOGUE


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One code, as problems and pages tell it. `status` is that of an answer of the REST API."""

    code: str
    title: str
    cause: str
    who: Who
    remedy: Remedy
    where: str
    status: int
    retry_after: int | None = None


SALESFORCE_SAID: Final = "Salesforce said:"
NEVER_CAME_BACK: Final = (
    "The browser went to Salesforce and did not come back. Where Salesforce showed an error page,"
    " its reason stands in that page's address only, as error and error_description: send it to"
    " the vendor. Often the app is not installed in the org, or the user may not use it."
)
# Codes of the catalogue that answer with another status than 409.
_STATUS: Final[Mapping[str, HTTPStatus]] = {
    "org_unavailable": HTTPStatus.SERVICE_UNAVAILABLE,
    "sealed": HTTPStatus.SERVICE_UNAVAILABLE,
    "audit_unavailable": HTTPStatus.SERVICE_UNAVAILABLE,
    "salesforce_unavailable": HTTPStatus.SERVICE_UNAVAILABLE,
    "unexpected_answer": HTTPStatus.BAD_GATEWAY,
}


def _own() -> Iterable[Entry]:
    yield from _of_callers()
    yield from _of_requests()
    yield from _of_proxying()
    yield from _of_ourselves()


def _of_callers() -> Iterable[Entry]:
    yield _vendor(
        "unauthorized",
        HTTPStatus.UNAUTHORIZED,
        "No valid API key",
        "The request carries no API key, or one that was deleted, has expired or never was.",
        where="header Authorization: Bearer kt_…; POST /v1/api-keys makes a key",
    )
    yield _vendor(
        "forbidden",
        HTTPStatus.FORBIDDEN,
        "The API key lacks a right",
        "The API key is valid but was made without the right that this call needs.",
        where="POST /v1/api-keys with the right: rights of a key do not change",
    )
    yield Entry(
        code="too_many_failures",
        title="Too many requests with wrong keys",
        cause="Many requests with keys that open nothing came from this address.",
        who=Who.VENDOR,
        remedy=Remedy.RETRY,
        where="the program that calls with a wrong key",
        status=HTTPStatus.TOO_MANY_REQUESTS,
        retry_after=10,
    )


def _of_requests() -> Iterable[Entry]:
    yield _vendor(
        "not_found",
        HTTPStatus.NOT_FOUND,
        "There is no such thing",
        "Nothing stands under this address in the workspace of the API key.",
        where="the id in the address; GET /openapi.json lists all addresses",
    )
    yield _vendor(
        "invalid_request",
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "The request is not understood",
        "A member, parameter or header is missing, unknown or out of shape.",
        where="`errors` of this problem; GET /openapi.json",
    )
    yield _vendor(
        "method_not_allowed",
        HTTPStatus.METHOD_NOT_ALLOWED,
        "This address does not take that method",
        "The address exists, for other methods.",
        where="header Allow of this answer",
    )
    yield _vendor(
        "payload_too_large",
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "The request is too long",
        "The body is longer than any request to this address has to be.",
        where="the body of the request",
    )
    yield _vendor(
        "misdirected_request",
        HTTPStatus.MISDIRECTED_REQUEST,
        "The service is not known by this host",
        "The Host header names none of the addresses that this service goes by.",
        where="the URL that is called; the operator's KEYTURN_PUBLIC_URLS",
    )
    yield _vendor(
        "cursor_unknown",
        HTTPStatus.CONFLICT,
        "The cursor leads nowhere",
        "The cursor is none of this list's, or what it pointed at is gone.",
        where="parameter cursor: begin the list again without it",
    )
    yield _vendor(
        "app_required",
        HTTPStatus.CONFLICT,
        "The workspace has several apps",
        "Which of the apps the customer connects with has to be said.",
        where="member app_id; GET /v1/apps",
    )
    yield _vendor(
        "idempotency_key_reused",
        HTTPStatus.CONFLICT,
        "The idempotency key belongs to another request",
        "This key came within the last 24 hours with another method, address or body.",
        where="header Idempotency-Key: a fresh one for each thing that is to be done",
    )
    yield Entry(
        code="idempotency_key_in_use",
        title="The first request with this key is at work",
        cause="A request with the same idempotency key has not been answered yet. One that was cut"
        " off is held for two minutes.",
        who=Who.VENDOR,
        remedy=Remedy.RETRY,
        where="nowhere: ask again with the same key",
        status=HTTPStatus.CONFLICT,
        retry_after=2,
    )
    yield _vendor(
        "signing_key_forgotten",
        HTTPStatus.CONFLICT,
        "The signing key cannot sign any more",
        "It was retired more than a week ago, or by hand, and its private half was forgotten.",
        where="POST /v1/apps/{id}/signing-keys makes another",
    )
    yield Entry(
        code="refresh_under_way",
        title="A refresh is under way",
        cause="The connection is being refreshed right now; it is not ended in the middle of it.",
        who=Who.SALESFORCE,
        remedy=Remedy.RETRY,
        where="nowhere: it passes",
        status=HTTPStatus.CONFLICT,
        retry_after=5,
    )


def _of_proxying() -> Iterable[Entry]:
    yield _vendor(
        "proxy_path_refused",
        HTTPStatus.FORBIDDEN,
        "This call is not proxied",
        "The call could hand out a session, run any code, or leads nowhere in the data APIs.",
        where="the path after /salesforce, the operation of a SOAP call; the right proxy:unsafe"
        " lets anonymous Apex through, by REST",
    )
    yield Entry(
        code="org_answer_lost",
        title="Salesforce did not answer a call that may have changed something",
        cause="The call left and no answer came back, so it may or may not be done. It is not"
        " repeated by itself.",
        who=Who.VENDOR,
        remedy=Remedy.RETRY,
        where="the records it was to change: look there before it is made again; calls that"
        " upsert by an external id can be repeated",
        status=HTTPStatus.BAD_GATEWAY,
    )


def _of_ourselves() -> Iterable[Entry]:
    yield Entry(
        code="store_unavailable",
        title="The database does not answer, or the disk of the spool is full",
        cause="What was asked may or may not be done. A confirmation that is asked for again with"
        " its Idempotency-Key is done once; what makes something may have made one already, which"
        " its list shows.",
        who=Who.OPERATOR,
        remedy=Remedy.RETRY,
        where="the database of this service, and KEYTURN_SPOOL_DIR (log: `intent_not_spooled`)",
        status=HTTPStatus.SERVICE_UNAVAILABLE,
        retry_after=5,
    )
    yield Entry(
        code="key_source_unavailable",
        title="The key source does not answer",
        cause="What this replica opened a short while ago goes on serving; this was not among it."
        " No refresh token is presented until the key source answers, so nothing is lost.",
        who=Who.OPERATOR,
        remedy=Remedy.RETRY,
        where="log event key_source_away names the key and what went wrong: look at the key"
        " management service, and at the way to it",
        status=HTTPStatus.SERVICE_UNAVAILABLE,
        retry_after=5,
    )
    yield Entry(
        code="key_source_refused",
        title="The key source refuses this service",
        cause="A right or a credential of this service is missing there, or the key is disabled."
        " No refresh token is presented until that is mended, so nothing is lost.",
        who=Who.OPERATOR,
        remedy=Remedy.RECONFIGURE,
        where="log event key_source_refused names the key and what it said; the rights that are"
        " needed are in the documentation, Keep the root key in a KMS",
        status=HTTPStatus.SERVICE_UNAVAILABLE,
        retry_after=60,
    )
    yield Entry(
        code="seal_refused",
        title="A sealed value was refused",
        cause="What rests in the database was not sealed for this place, was changed since, or its"
        " key is not in the key source. Nothing of it left.",
        who=Who.OPERATOR,
        remedy=Remedy.REPORT,
        where="audit event vault.seal_refused names table, row and column: find out who wrote"
        " there, bring back key file or row, or have the customer connect again",
        status=HTTPStatus.SERVICE_UNAVAILABLE,
    )
    yield Entry(
        code="internal_error",
        title="Something went wrong here",
        cause="The service met an error of its own. It was noted, without any value.",
        who=Who.OPERATOR,
        remedy=Remedy.REPORT,
        where="the log of this service, event request_failed",
        status=HTTPStatus.INTERNAL_SERVER_ERROR,
    )


def _vendor(code: str, status: HTTPStatus, title: str, cause: str, *, where: str) -> Entry:
    """Return what the vendor's own program has to mend."""
    return Entry(
        code=code,
        title=title,
        cause=cause,
        who=Who.VENDOR,
        remedy=Remedy.RECONFIGURE,
        where=where,
        status=status,
    )


def _of_the_catalogue() -> Iterable[Entry]:
    for refusal in CATALOGUE.values():
        yield Entry(
            code=refusal.code,
            title=refusal.title,
            cause=refusal.cause,
            who=refusal.who,
            remedy=refusal.remedy,
            where=refusal.where,
            status=_STATUS.get(refusal.code, HTTPStatus.CONFLICT),
            retry_after=refusal.retry_after_seconds if refusal.retry else None,
        )


ENTRIES: Final[Mapping[str, Entry]] = MappingProxyType(
    {entry.code: entry for entry in (*_of_the_catalogue(), *_own())}
)
"""Every code that a problem can have."""
