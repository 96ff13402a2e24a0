"""The catalogue of refusals: one entry a stable code.

An entry is written to the person who has to act: what happened, why we think so, who can mend
it, the exact place, and whether to try again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from keyturn_core.errors import Remedy, Who
from keyturn_core.salesforce.assertion_catalogue import assertion_entries
from keyturn_core.salesforce.refusal import Refusal as Refusal
from keyturn_core.salesforce.refusal import RefusalClass as RefusalClass

_POLICIES: Final = "Setup > External Client App Manager > (the app) > Policies"
_USAGE: Final = "Setup > Connected Apps OAuth Usage"
_DEV_HUB: Final = "the app's settings in the vendor's Dev Hub org"


def _dead(code: str, title: str, cause: str, *, who: Who, where: str) -> Refusal:
    return Refusal(
        code=code,
        refusal_class=RefusalClass.DEAD_GRANT,
        title=title,
        cause=cause,
        who=who,
        remedy=Remedy.REAUTHORIZE,
        where=where,
        retry=False,
        retry_after_seconds=None,
    )


def _admin(code: str, title: str, cause: str, *, where: str) -> Refusal:
    return Refusal(
        code=code,
        refusal_class=RefusalClass.ADMIN,
        title=title,
        cause=cause,
        who=Who.ADMIN,
        remedy=Remedy.ASK_ADMIN,
        where=where,
        retry=False,
        retry_after_seconds=None,
    )


def _ours(code: str, title: str, cause: str, *, where: str) -> Refusal:
    return Refusal(
        code=code,
        refusal_class=RefusalClass.OUR_FAULT,
        title=title,
        cause=cause,
        who=Who.VENDOR,
        remedy=Remedy.RECONFIGURE,
        where=where,
        retry=False,
        retry_after_seconds=None,
    )


def _connect(
    code: str, title: str, cause: str, *, who: Who, where: str, remedy: Remedy = Remedy.RETRY
) -> Refusal:
    return Refusal(
        code=code,
        refusal_class=RefusalClass.CONNECT,
        title=title,
        cause=cause,
        who=who,
        remedy=remedy,
        where=where,
        retry=remedy is Remedy.RETRY,
        retry_after_seconds=None,
    )


def _serving(
    code: str,
    title: str,
    cause: str,
    *,
    who: Who,
    remedy: Remedy,
    where: str,
    retry_after: int | None = None,
) -> Refusal:
    return Refusal(
        code=code,
        refusal_class=RefusalClass.SERVING,
        title=title,
        cause=cause,
        who=who,
        remedy=remedy,
        where=where,
        retry=retry_after is not None,
        retry_after_seconds=retry_after,
    )


def _entries() -> Iterable[Refusal]:
    yield from _dead_grants()
    yield from _for_admins()
    yield from _our_faults()
    yield from assertion_entries()
    yield from _passing()
    yield from _connecting()
    yield from _while_serving()


def _dead_grants() -> Iterable[Refusal]:
    again = "the vendor's product: connect Salesforce again"
    yield _dead(
        "grant_revoked",
        "Salesforce ended this connection",
        "The refresh token is not valid any more: it was revoked, pushed out by a sixth approval, "
        "used after a rotation, or the app or the user was taken away.",
        who=Who.USER,
        where=again,
    )
    yield _dead(
        "grant_expired",
        "The connection reached its end by policy",
        "The org's policy for this app lets refresh tokens live only so long.",
        who=Who.USER,
        where=f"{again}; to make it last longer: {_POLICIES} > Refresh Token Policy",
    )
    yield _dead(
        "user_inactive",
        "The Salesforce user is inactive",
        "The user who connected was deactivated or frozen.",
        who=Who.ADMIN,
        where="Setup > Users: activate the user, or connect again as another one",
    )
    yield _dead(
        "org_inactive",
        "The Salesforce org is inactive",
        "The org is locked, closed, suspended, or its trial ended.",
        who=Who.ADMIN,
        where="the customer's account with Salesforce",
    )
    yield _dead(
        "user_not_approved",
        "The user has not approved the app",
        "Salesforce knows no approval of this user for the app.",
        who=Who.USER,
        where=again,
    )


def _for_admins() -> Iterable[Refusal]:
    yield _admin(
        "app_not_installed",
        "The app is not installed in this org",
        "An app of a package works only where the package is installed, and this org has none.",
        where="the package's install link; afterwards connect again",
    )
    yield _admin(
        "app_blocked",
        "An admin blocked the app",
        "The app was blocked in this org; all its sessions have ended.",
        where=f"{_USAGE} > (the app) > Unblock",
    )
    yield _admin(
        "user_not_authorized",
        "This user may not use the app",
        "The app is open only to users whom an admin has pre-authorized, and this one is not.",
        where=f"{_POLICIES} > App Policies: add one of the user's permission sets; or give the "
        "user one that is there: Setup > Users > (the user) > Permission Set Assignments",
    )
    yield _admin(
        "ip_restricted",
        "Salesforce refused the address we call from",
        "A login range, the app's IP policy or its allow-list for refresh tokens excludes it.",
        where=f"Setup > Network Access, the profile's login ranges, or {_POLICIES} > IP Relaxation",
    )
    yield _admin(
        "login_hours",
        "Outside the login hours",
        "The user's profile allows logins only at certain hours.",
        where="Setup > Profiles > (the profile) > Login Hours",
    )
    yield _admin(
        "app_policy_missing",
        "The app has no policy in this org",
        "Salesforce found no policy of the app in the org; the installation may be incomplete.",
        where="the package's install link: install it again",
    )
    yield _admin(
        "session_level",
        "The session is not secure enough",
        "The app's policy asks for a high-assurance session, such as one with two factors.",
        where=f"{_POLICIES} > OAuth Policies > Session Security Level",
    )
    yield _admin(
        "approval_error",
        "Salesforce could not authorize and said no more",
        "Salesforce showed its catch-all error; the reason stands in its page's address only.",
        where="the address bar of Salesforce's error page: send it to the vendor",
    )
    yield _admin(
        "no_run_as_user",
        "The app has no user to run as",
        "The client credentials flow is on but names no user.",
        where=f"{_POLICIES} > OAuth Policies > Run As",
    )


def _our_faults() -> Iterable[Refusal]:
    yield _ours(
        "client_unknown",
        "Salesforce does not know the app",
        "The consumer key is unknown at this login host: wrong environment, not yet propagated "
        "(up to 30 minutes), or the package is not installed there.",
        where="PUT /v1/apps/{id}/consumer-credentials; environment of the connect page",
    )
    yield _ours(
        "client_refused",
        "Salesforce refused the app's credentials",
        "The consumer secret, or the certificate behind a signature, is not the app's.",
        where="PUT /v1/apps/{id}/consumer-credentials",
    )
    yield _ours(
        "redirect_uri_refused",
        "The callback URL is not registered",
        "The callback URL must equal one of the app's, byte for byte.",
        where=f"{_DEV_HUB} > Callback URL",
    )
    yield _ours(
        "scope_refused",
        "The app lacks a scope",
        "A scope was asked for that is not assigned to the app.",
        where=f"{_DEV_HUB} > OAuth Scopes; PATCH /v1/apps/{{id}}",
    )
    yield _ours(
        "flow_disabled",
        "The flow is off for this app",
        "The app's settings do not allow this grant type.",
        where=f"{_DEV_HUB} > Flow Enablement",
    )
    yield _ours(
        "app_is_local",
        "The app works only in its own org",
        "The app is not packaged, or the browser holds a session for another org.",
        where=f"{_DEV_HUB} > Distribution State; or a private browser window",
    )
    yield _ours(
        "audience_invalid",
        "The assertion names the wrong audience",
        "Production orgs want the production login host as audience, sandboxes the sandbox one.",
        where="the connection's environment",
    )
    yield _ours(
        "assertion_invalid",
        "Salesforce refused the assertion",
        "It is malformed, expired, unsigned, or names an unknown user.",
        where="the clock of this server; the app's certificate",
    )
    yield _ours(
        "domain_not_supported",
        "This login host does not serve the flow",
        "The flow is answered at an org's own My Domain only.",
        where="the connection's login host",
    )
    yield _ours(
        "code_challenge_missing",
        "No code challenge was sent",
        "The app requires PKCE.",
        where="this service: report it",
    )
    yield _ours(
        "code_verifier_invalid",
        "The code verifier does not fit",
        "The verifier sent is not the one that the authorization began with.",
        where="the vendor's product: connect again",
    )
    yield _ours(
        "request_malformed",
        "Salesforce could not read the request",
        "The request was out of shape for Salesforce.",
        where="this service: report it",
    )
    yield _ours(
        "authentication_failure",
        "Salesforce refused the login",
        "Salesforce says no more than that the login failed.",
        where="Setup > Login History of the user",
    )
    yield _ours(
        "dpop_refused",
        "Salesforce asks for proof of possession",
        "The app requires DPoP, which this service does not speak.",
        where=f"{_DEV_HUB} > DPoP",
    )
    yield _ours(
        "callback_not_registered",
        "The app has no callback URL at this address",
        "None of the app's callback URLs is on the address that the browser came by.",
        where="PATCH /v1/apps/{id} callback_urls",
    )
    yield _ours(
        "consumer_credentials_missing",
        "The app has no consumer credentials",
        "Consumer key and secret were not put into the vault yet.",
        where="PUT /v1/apps/{id}/consumer-credentials",
    )


def _passing() -> Iterable[Refusal]:
    yield Refusal(
        code="refresh_busy",
        refusal_class=RefusalClass.BUSY,
        title="Another refresh is under way",
        cause="Salesforce processes one refresh of a token at a time.",
        who=Who.SALESFORCE,
        remedy=Remedy.RETRY,
        where="nowhere: it passes",
        retry=True,
        retry_after_seconds=1,
    )
    yield Refusal(
        code="salesforce_unavailable",
        refusal_class=RefusalClass.TRANSIENT,
        title="Salesforce does not answer as it should",
        cause="Salesforce said that it could not process the request now, or did not answer.",
        who=Who.SALESFORCE,
        remedy=Remedy.RETRY,
        where="status.salesforce.com, by the org's instance",
        retry=True,
        retry_after_seconds=1,
    )
    yield Refusal(
        code="login_rate_exceeded",
        refusal_class=RefusalClass.RATE,
        title="Too many logins of this user",
        cause="Salesforce allows a user 3,600 logins an hour.",
        who=Who.VENDOR,
        remedy=Remedy.RETRY,
        where="Setup > Login History: what else logs in as this user",
        retry=True,
        retry_after_seconds=3600,
    )
    yield Refusal(
        code="unknown_refusal",
        refusal_class=RefusalClass.UNKNOWN,
        title="Salesforce refused for a reason we do not know",
        cause="The answer is none of those that Salesforce documents.",
        who=Who.OPERATOR,
        remedy=Remedy.REPORT,
        where="the audit trail of the connection",
        retry=False,
        retry_after_seconds=60,
    )


def _connecting() -> Iterable[Refusal]:
    again = "the vendor's product: connect Salesforce again"
    user, vendor = Who.USER, Who.VENDOR
    yield _connect(
        "session_expired",
        "This link has ended",
        "A link works once, for 30 minutes, and a login at Salesforce has to end within 15.",
        who=user,
        where=again,
    )
    yield _connect(
        "return_url_refused",
        "The return URL is not registered",
        "Browsers are sent back only to origins registered for the app.",
        who=vendor,
        where="PATCH /v1/apps/{id} return_origins",
        remedy=Remedy.RECONFIGURE,
    )
    yield _connect(
        "host_refused",
        "That is not a Salesforce address",
        "Logins go only to hosts that Salesforce owns, such as acme.my.salesforce.com.",
        who=user,
        where="Setup > My Domain shows the right address",
    )
    yield _connect(
        "state_mismatch",
        "This answer belongs to no login of this browser",
        "The login began in another browser, was forwarded, or is not one of ours.",
        who=user,
        where=again,
    )
    yield _connect(
        "code_replayed",
        "This answer was used already",
        "An authorization code works once, and within 15 minutes.",
        who=user,
        where=again,
    )
    yield _connect(
        "access_denied",
        "Access was denied",
        "The user pressed Deny at Salesforce.",
        who=user,
        where=again,
    )
    yield _connect(
        "login_required",
        "Salesforce wants a login first",
        "No session was open at Salesforce.",
        who=user,
        where=again,
    )
    yield _connect(
        "org_mismatch",
        "That is another Salesforce org",
        "A connection keeps its org for life, and a My Domain names one org.",
        who=user,
        where="log in to the org that is connected, or connect the other one as a new customer",
    )
    yield _connect(
        "user_mismatch",
        "That is another Salesforce user",
        "The connection is to be reauthorized by the user who made it.",
        who=user,
        where="log in as the user that the vendor's product shows",
    )
    yield _connect(
        "org_already_connected",
        "This org is connected already",
        "Another customer of the vendor has a connection to this org.",
        who=vendor,
        where="GET /v1/connections?org_id=…; PATCH /v1/apps/{id} allow_same_org",
        remedy=Remedy.RECONFIGURE,
    )
    yield _connect(
        "scopes_missing",
        "Not all of the access was granted",
        "The app needs more scopes than Salesforce granted, among them one to stay connected.",
        who=vendor,
        where=f"{_DEV_HUB} > OAuth Scopes",
        remedy=Remedy.RECONFIGURE,
    )
    yield _connect(
        "confirmation_invalid",
        "The confirmation does not fit",
        "The code is wrong, was used, or belongs to another session.",
        who=user,
        where=again,
    )
    yield _connect(
        "unexpected_answer",
        "Salesforce's answer is out of shape",
        "The answer lacks what Salesforce documents, or its signature does not fit.",
        who=Who.OPERATOR,
        where="the audit trail of the connect session",
        remedy=Remedy.REPORT,
    )


def _while_serving() -> Iterable[Refusal]:
    yield _serving(
        "reauthorization_required",
        "The customer has to connect again",
        "No token of this connection works any more.",
        who=Who.USER,
        remedy=Remedy.REAUTHORIZE,
        where="POST /v1/connect-sessions with connection_id",
    )
    yield _serving(
        "revoked_in_incident",
        "Access was ended because of an incident",
        "The vendor's operators ended all grants after an incident of their own. The connection is "
        "kept, and serves again once access is granted anew.",
        who=Who.USER,
        remedy=Remedy.REAUTHORIZE,
        where="the vendor's product: connect Salesforce again",
    )
    yield _serving(
        "connection_revoked",
        "This connection was ended",
        "It was disconnected, and its grant is revoked at Salesforce or about to be.",
        who=Who.USER,
        remedy=Remedy.REAUTHORIZE,
        where="POST /v1/connect-sessions",
    )
    yield _serving(
        "connection_pending",
        "This connection is not confirmed yet",
        "The vendor's backend has not confirmed it inside its own user's session.",
        who=Who.VENDOR,
        remedy=Remedy.RETRY,
        where="POST /v1/connect-sessions/{id}/confirm",
    )
    yield _serving(
        "connection_uncertain",
        "The outcome of a refresh is not known",
        "An answer of Salesforce was lost; presenting the token again could end the connection.",
        who=Who.OPERATOR,
        remedy=Remedy.RETRY,
        where="GET /v1/audit-events?connection_id=…; bring the replica with its spool back",
        retry_after=60,
    )
    yield _serving(
        "org_unavailable",
        "The org does not serve now",
        "No access token could be had from Salesforce; the grant is kept.",
        who=Who.SALESFORCE,
        remedy=Remedy.RETRY,
        where="the problem's reason, where it has one",
        retry_after=1,
    )
    yield _serving(
        "sealed",
        "This service is sealed",
        "An operator stopped all use of tokens.",
        who=Who.OPERATOR,
        remedy=Remedy.REPORT,
        where="keyturn incident unseal",
        retry_after=60,
    )
    yield _serving(
        "audit_unavailable",
        "The audit trail cannot be written",
        "No token is handed out that is not recorded first.",
        who=Who.OPERATOR,
        remedy=Remedy.RETRY,
        where="the database of this service",
        retry_after=5,
    )


CATALOGUE: Final[Mapping[str, Refusal]] = MappingProxyType(
    {refusal.code: refusal for refusal in _entries()}
)
