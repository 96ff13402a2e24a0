"""How Salesforce's authorization server decides. Pure: values in, a value or `Refused` out.

Sources are named at each rule by the title of Salesforce's page; "reported" marks what was only
seen on real orgs.
"""

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from orgsim.orgs.apps import App, read_scopes
from orgsim.orgs.codes import LIFETIME, Code
from orgsim.orgs.grants import Grant
from orgsim.orgs.org import Org, User
from orgsim.orgs.policies import Installation, Switches
from orgsim.surfaces.oauth import errors
from orgsim.surfaces.oauth.errors import OAuthError, Refused

_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}=?")
_SHORTEST_VERIFIER = 43
_KNOWN_RESPONSE_TYPES = frozenset({"code", "token", "token id_token", "hybrid_token"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """An authorization request that passed all checks before login."""

    app: App
    redirect_uri: str
    response_type: str
    code_challenge: str | None


def check_client(app: App | None, redirect_uri: str | None) -> tuple[App, str]:
    """Check what must hold before anything may be sent to the redirect URI.

    Spec: Salesforce Help, "OAuth 2.0 Web Server Flow for Web App Integration": the redirect URI
    must match one of the callback URLs.
    """
    if app is None:
        raise Refused(errors.UNKNOWN_CLIENT)
    if not redirect_uri:
        raise Refused(errors.REDIRECT_MISSING)
    if redirect_uri.startswith("urn:ietf:wg:oauth:2.0:oob"):
        raise Refused(errors.OUT_OF_BAND)
    if not app.accepts_callback(redirect_uri):
        raise Refused(errors.REDIRECT_MISMATCH)
    return app, redirect_uri


def check_response_type(response_type: str | None) -> str:
    """Check the response type; the implicit flows are not enabled on any app here.

    Spec: Salesforce Help, "OAuth 2.0 Error Codes and Flow Errors".
    """
    if response_type == "code":
        return response_type
    if response_type in _KNOWN_RESPONSE_TYPES:
        raise Refused(OAuthError("oauth_flow_disabled", "the flow is not enabled on this app"))
    raise Refused(errors.RESPONSE_TYPE)


def check_challenge(app: App, challenge: str | None, method: str | None) -> str | None:
    """Check the code challenge; without a method it is S256.

    Spec: Salesforce Help, "Proof Key for Code Exchange (PKCE) Extension"; RFC 7636 section 4.3;
    a missing challenge is refused before any login page (reported).
    """
    if not challenge:
        if app.pkce_required:
            raise Refused(errors.CHALLENGE_MISSING)
        return None
    if method not in (None, "", "S256"):
        raise Refused(errors.CHALLENGE_METHOD)
    if _CHALLENGE.fullmatch(challenge) is None:
        raise Refused(errors.CHALLENGE_INVALID)
    return challenge.rstrip("=")


def grantable_scopes(app: App, asked: str | None) -> frozenset[str]:
    """Return the scopes of a request: all of the app's where none are named.

    Spec: Salesforce Help, "OAuth Tokens and Scopes".
    """
    if asked is None or not asked.strip():
        return app.scopes
    wanted = read_scopes(asked)
    if not wanted <= app.scopes and "full" not in app.scopes:
        raise Refused(errors.SCOPE)
    return wanted


def check_app_in_org(app: App, org: Org, policy: Installation) -> None:
    """Check that the org has the app and lets it in.

    Spec: Salesforce Help, "Distribute External Client Apps"; the words are reported.
    """
    if app.distribution == "local" and app.home_org != org.org_id:
        raise Refused(errors.CROSS_ORG)
    if not policy.installed:
        raise Refused(errors.APP_NOT_INSTALLED)
    if policy.blocked:
        raise Refused(errors.APP_BLOCKED)


def check_installed_scopes(asked: frozenset[str], policy: Installation) -> None:
    """Check that the installed version of the package has the scopes.

    Spec: Second-Generation Managed Packaging Developer Guide, "External Client App OAuth
    Settings": scopes travel in the package.
    """
    if policy.scopes is not None and not asked <= policy.scopes and "full" not in policy.scopes:
        raise Refused(errors.SCOPE)


def check_user_at_authorize(org: Org, user: User, policy: Installation) -> None:
    """Check that the person may use the app.

    Spec: Salesforce Help, "Manage OAuth Access Policies for a Connected App".
    """
    if org.state == "locked":
        raise Refused(errors.ORG_INACTIVE)
    if not user.active:
        raise Refused(errors.USER_INACTIVE)
    if not policy.admits(user.user_id):
        raise Refused(errors.APP_ACCESS_DENIED)


def check_user_at_token(org: Org, user: User, policy: Installation, *, switches: Switches) -> None:
    """Check the same things again when a token is asked for.

    Spec: Salesforce Help, "OAuth 2.0 Error Codes and Flow Errors"; the pairing of codes and
    texts is a switch.
    """
    if org.state == "locked":
        raise Refused(OAuthError(switches.inactive_org_code, "inactive organization"))
    if not user.active:
        raise Refused(OAuthError(switches.inactive_user_code, "inactive user"))
    if policy.blocked:
        raise Refused(OAuthError(switches.blocked_code, errors.APP_BLOCKED.description))
    if not policy.installed:
        raise Refused(errors.TOKEN_EXPIRED)
    if not policy.admits(user.user_id):
        raise Refused(errors.APP_ACCESS)


def check_code(code: Code | None, *, app: App, now: datetime) -> Code:
    """Check that a code is fresh, unused and this client's.

    Spec: Salesforce Help, "OAuth 2.0 Web Server Flow for Web App Integration": a code expires
    after 15 minutes.
    """
    if (
        code is None
        or code.used
        or code.consumer_key != app.consumer_key
        or now >= code.issued_at + LIFETIME
    ):
        raise Refused(errors.CODE_EXPIRED)
    return code


def check_verifier(challenge: str | None, verifier: str | None, *, switches: Switches) -> None:
    """Check the code verifier wherever a challenge was sent, required or not.

    Longer verifiers than RFC 7636 allows are accepted, as Salesforce's own library sends them.

    Spec: RFC 7636 section 4.6; Salesforce Help, "Proof Key for Code Exchange (PKCE) Extension".
    """
    if challenge is None:
        return
    if not verifier:
        raise Refused(OAuthError("invalid_grant", errors.VERIFIER_WRONG))
    digest = hashlib.sha256(verifier.encode()).digest()
    expected = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    too_short = switches.short_verifiers_refused and len(verifier) < _SHORTEST_VERIFIER
    if too_short or not hmac.compare_digest(expected, challenge):
        raise Refused(OAuthError(switches.pkce_mismatch_error, errors.VERIFIER_WRONG))


def check_refresh_lifetime(
    grant: Grant, *, app: App, policy: Installation, switches: Switches, now: datetime
) -> None:
    """Check that neither the idle nor the fixed life of a refresh token is over.

    Spec: Salesforce Help, "Manage OAuth Access Policies for a Connected App"; Salesforce Help,
    "Limit Idle Refresh Tokens" (30 days, the developer's switch).
    """
    limits = []
    if policy.refresh_policy == "specific_lifetime":
        limits.append(grant.created_at + timedelta(days=policy.refresh_days))
    if policy.refresh_policy == "specific_inactivity":
        limits.append(grant.last_used_at + timedelta(days=policy.refresh_days))
    if policy.refresh_policy == "zero":
        limits.append(grant.created_at)
    if app.idle_ttl_days is not None:
        limits.append(grant.last_used_at + timedelta(days=app.idle_ttl_days))
    if any(now >= limit for limit in limits):
        raise Refused(OAuthError("invalid_grant", switches.expired_by_policy_text))


def surplus_approvals(grants: list[Grant], *, most: int) -> list[Grant]:
    """Return the oldest approvals that a new one pushes out.

    Spec: Salesforce Help, "Manage OAuth-Enabled Connected Apps Access": five unique approvals
    for each app and user.
    """
    counted = [grant for grant in grants if grant.refresh_hash is not None]
    return counted[: max(0, len(counted) + 1 - most)]


def signature(*, consumer_secret: str, identity_url: str, issued_at: str) -> str:
    """Sign the identity URL and time of issue.

    Spec: Salesforce Help, "OAuth 2.0 Web Server Flow": Base64(HMAC-SHA256(secret, id+issued_at)).
    """
    mac = hmac.digest(consumer_secret.encode(), f"{identity_url}{issued_at}".encode(), "sha256")
    return base64.b64encode(mac).decode()
