"""Assertions of the JWT bearer flow: read, verified, judged. Pure but for its errors.

Spec: RFC 7523 section 3; Salesforce Help, "OAuth 2.0 JWT Bearer Flow for Server-to-Server
Integration". Where real orgs are laxer than that page (`exp` in milliseconds or as text, far in
the future), so is this, unless switched.
"""

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from orgsim.orgs.apps import App
from orgsim.orgs.grants import Grant
from orgsim.orgs.policies import Installation, Switches
from orgsim.surfaces.oauth import errors
from orgsim.surfaces.oauth.errors import OAuthError, Refused

_PARTS = 3
_LONGEST_LIFE = timedelta(minutes=3)
_MILLISECONDS_FROM = 10_000_000_000  # as seconds, the year 2286


@dataclass(frozen=True, slots=True, kw_only=True)
class Assertion:
    """An assertion as it was read; nothing of it is proven yet."""

    issuer: str
    subject: str
    audience: str
    expires: float
    jti: str | None
    header: dict[str, Any]
    signed: bytes
    signature: bytes


def _decoded(part: str) -> bytes:
    return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)


def read_assertion(text: str) -> Assertion:
    """Read an assertion; `prn` wins over `sub`, as it always did."""
    parts = text.split(".")
    try:
        if len(parts) != _PARTS:
            raise Refused(errors.BAD_ASSERTION)
        header, claims = (json.loads(_decoded(part)) for part in parts[:2])
        return Assertion(
            issuer=str(claims["iss"]),
            subject=str(claims.get("prn") or claims["sub"]),
            audience=str(claims["aud"]),
            expires=float(claims["exp"]),
            jti=None if claims.get("jti") is None else str(claims["jti"]),
            header=dict(header),
            signed=f"{parts[0]}.{parts[1]}".encode(),
            signature=_decoded(parts[2]),
        )
    except (binascii.Error, ValueError, TypeError, KeyError, AttributeError) as error:
        raise Refused(errors.BAD_ASSERTION) from error


def check_signature(assertion: Assertion, app: App, *, switches: Switches, now: datetime) -> None:
    """Check that the app's certificate verifies the assertion; whether it has ended is a switch."""
    if assertion.header.get("alg") != "RS256":
        raise Refused(errors.BAD_ASSERTION)
    if app.certificate_pem is None:
        raise Refused(errors.BAD_SECRET)
    certificate = x509.load_pem_x509_certificate(app.certificate_pem.encode())
    if switches.certificate_end_is_checked and certificate.not_valid_after_utc <= now:
        raise Refused(errors.BAD_SECRET)
    key = certificate.public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        raise Refused(errors.BAD_SECRET)
    try:
        key.verify(assertion.signature, assertion.signed, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature as error:
        raise Refused(errors.BAD_SECRET) from error


def check_times(assertion: Assertion, *, switches: Switches, now: datetime) -> None:
    """Check that the assertion is not over; how far ahead it may end is a switch."""
    expires = assertion.expires
    if expires >= _MILLISECONDS_FROM and switches.assertion_lifetime == "lenient":
        expires /= 1000
    left = expires - now.timestamp()
    too_long = switches.assertion_lifetime == "strict" and left > _LONGEST_LIFE.total_seconds()
    if not left > 0 or too_long:  # NaN is no time either
        raise Refused(OAuthError("invalid_grant", switches.expired_assertion_text))


def check_audience(assertion: Assertion, *, accepted: frozenset[str], switches: Switches) -> None:
    """Check that the assertion is meant for this authorization server."""
    if assertion.audience.rstrip("/") not in accepted:
        raise Refused(OAuthError("invalid_grant", switches.wrong_audience_text))


def check_jti(assertion: Assertion, seen: set[tuple[str, str]], *, switches: Switches) -> None:
    """Take an assertion again inside its life, as RFC 7523 leaves open; to remember is a switch."""
    if assertion.jti is None or not switches.jti_is_remembered:
        return
    if (assertion.issuer, assertion.jti) in seen:
        raise Refused(errors.BAD_JTI)
    seen.add((assertion.issuer, assertion.jti))


def scopes_for_assertion(
    app: App, policy: Installation, user_id: str, approvals: list[Grant], *, switches: Switches
) -> frozenset[str]:
    """Return what an assertion is worth: by an admin's leave, or by an earlier approval."""
    if "refresh_token" not in app.scopes:
        raise Refused(errors.REFRESH_SCOPE_NEEDED)
    if policy.permitted_users == "pre_authorized":
        if not policy.admits(user_id):
            raise Refused(errors.APP_ACCESS)
        return app.scopes if policy.scopes is None else app.scopes & policy.scopes
    lasting = [grant for grant in approvals if grant.refresh_hash is not None]
    if not lasting or not switches.jwt_bearer_honours_approval:
        raise Refused(errors.NOT_APPROVED)
    return lasting[-1].scopes
