"""The catalogue's entries about assertions: where no person logs in, an admin lets the app in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from keyturn_core.errors import Remedy, Who
from keyturn_core.salesforce.refusal import Refusal, RefusalClass

_POLICIES: Final = "Setup > External Client App Manager > (the app) > Policies"
_DEV_HUB: Final = "the app's settings in the vendor's Dev Hub org"
_WAY_OUT: Final = {
    RefusalClass.ADMIN: (Who.ADMIN, Remedy.ASK_ADMIN),
    RefusalClass.OUR_FAULT: (Who.VENDOR, Remedy.RECONFIGURE),
    RefusalClass.DEAD_GRANT: (Who.USER, Remedy.REAUTHORIZE),
}


def assertion_entries() -> Iterable[Refusal]:
    """Return what can stand against an assertion, and what is to be known of its certificate."""
    yield _entry(
        RefusalClass.ADMIN,
        "user_not_preauthorized",
        "The org lets no assertion in for this user",
        "One of these is missing in the org: the package, users pre-authorized by its policy, a "
        "permission set of the app that the user has, or the user name itself; or the change is "
        "minutes old.",
        where=f"the package's install link; {_POLICIES} > OAuth Policies > Permitted Users: Admin "
        "approved users are pre-authorized; then Policies > App Policies > Select Permission "
        "Sets; then Setup > Users > (the user) > Permission Set Assignments",
    )
    yield _entry(
        RefusalClass.OUR_FAULT,
        "certificate_refused",
        "Salesforce does not know the certificate",
        "The assertion was signed with a key whose certificate is not the app's, or was put there "
        "less than 15 minutes ago.",
        where="GET /v1/apps/{id}/signing-keys gives the certificate; it belongs into "
        f"{_DEV_HUB} > Use digital signatures",
    )
    yield _entry(
        RefusalClass.OUR_FAULT,
        "refresh_scope_missing",
        "The app lacks the scope refresh_token",
        "Salesforce takes assertions only for apps with the scope refresh_token, although none is "
        "ever issued for one.",
        where=f"{_DEV_HUB} > OAuth Scopes; then a new package version, and the org upgraded to it",
    )
    yield _entry(
        RefusalClass.OUR_FAULT,
        "signing_key_missing",
        "The app has no signing key",
        "Logging in without a person takes an assertion, and no active key is there to sign it.",
        where="POST /v1/apps/{id}/signing-keys, and the certificate into "
        f"{_DEV_HUB} > Use digital signatures",
    )
    yield _entry(
        RefusalClass.OUR_FAULT,
        "certificate_expiring",
        "The app's certificate ends soon",
        "In less than 30 days the certificate ends that verifies the app's assertions.",
        where="POST /v1/apps/{id}/signing-keys makes the next one; see the page on signing keys",
    )
    yield _entry(
        RefusalClass.OUR_FAULT,
        "certificate_expired",
        "The app's certificate has ended",
        "The certificate that verifies the app's assertions is past its end.",
        where="POST /v1/apps/{id}/signing-keys makes the next one; see the page on signing keys",
    )
    yield _entry(
        RefusalClass.DEAD_GRANT,
        "refresh_token_lost",
        "The connection serves without its refresh token",
        "The answer to a refresh was lost, and the new refresh token with it. Assertions stand in "
        "for it, as long as Salesforce lets the user in by them.",
        where="the vendor's product: connect Salesforce again, at leisure",
    )


def _entry(kind: RefusalClass, code: str, title: str, cause: str, *, where: str) -> Refusal:
    who, remedy = _WAY_OUT[kind]
    return Refusal(
        code=code,
        refusal_class=kind,
        title=title,
        cause=cause,
        who=who,
        remedy=remedy,
        where=where,
        retry=False,
        retry_after_seconds=None,
    )
