"""`domain.errors`: refusals are codes of the catalogue."""

from __future__ import annotations

from keyturn_core.salesforce.refusals import CATALOGUE
from keyturn_service.domain.errors import (
    ConnectionCannotServe,
    Forbidden,
    NotFound,
    ServiceError,
    Unauthorized,
)


def test_a_refusal_says_its_code() -> None:
    """And, where it is known, the closer reason and when to ask again."""
    plain = ServiceError("org_unavailable")
    close = ConnectionCannotServe("org_unavailable", reason="ip_restricted", retry_after=10)

    assert (plain.code, plain.reason, plain.retry_after) == ("org_unavailable", None, None)
    assert str(plain) == "org_unavailable"
    assert (close.code, close.reason, close.retry_after) == ("org_unavailable", "ip_restricted", 10)
    assert str(close) == "org_unavailable: ip_restricted"


def test_the_catalogue_tells_of_the_closer_reason() -> None:
    """Of the code where there is none; of nothing that it does not list."""
    assert ServiceError("connection_revoked").refusal == CATALOGUE["connection_revoked"]
    close = ServiceError("reauthorization_required", reason="grant_revoked")
    assert close.refusal == CATALOGUE["grant_revoked"]
    assert ServiceError("no_such_code").refusal is None


def test_each_refusal_of_its_own_kind_has_its_code() -> None:
    """And names what is missing."""
    found, forbidden = NotFound("connection"), Forbidden("tokens:read")

    assert (found.code, found.what) == ("not_found", "connection")
    assert (forbidden.code, forbidden.right) == ("forbidden", "tokens:read")
    assert Unauthorized().code == "unauthorized"
