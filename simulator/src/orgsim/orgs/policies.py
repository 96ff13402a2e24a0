"""The subscriber admin's half: policies of an installed app, and the world's open questions."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

PermittedUsers = Literal["all", "pre_authorized"]
RefreshPolicy = Literal["infinite", "zero", "specific_inactivity", "specific_lifetime"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """How one org holds one app.

    A packaged app that is new in an org lives under a fixed lifetime of 365 days; sessions end
    after two hours without use.

    Spec: Salesforce Help, "Manage OAuth Access Policies for a Connected App"; Salesforce Help,
    "Session Security Settings".
    """

    org_id: str
    consumer_key: str
    installed: bool = True
    blocked: bool = False
    permitted_users: PermittedUsers = "all"
    pre_authorized: frozenset[str] = frozenset()  # user ids
    through: frozenset[str] = frozenset()  # `PermissionSet:<name>`, `Profile:<name>`
    let_through: frozenset[str] = frozenset()  # ids of the users whom these let in
    refresh_policy: RefreshPolicy = "specific_lifetime"
    refresh_days: int = 365
    session_minutes: int = 120
    scopes: frozenset[str] | None = None  # of the package version; None: the app's own

    def admits(self, user_id: str) -> bool:
        """Tell whether an admin lets this user use the app."""
        chosen = self.pre_authorized | self.let_through
        return self.permitted_users == "all" or user_id in chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """To whom one org's permission set is assigned; its name is in small letters."""

    org_id: str
    permission_set: str
    users: frozenset[str]

    @property
    def key(self) -> str:
        """What tells it from all others."""
        return f"{self.org_id}:{self.permission_set}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Switches:
    """Where Salesforce's documents are silent or contradict each other, the tester decides.

    Each default is the reading with most evidence; `DIVERGENCES.md` has the reasons.
    """

    authorize_error_status: Literal[200, 400] = 400
    access_denied_delivery: Literal["redirect", "error_page"] = "redirect"
    denial_code: Literal["access_denied", "access-denied"] = "access_denied"
    pkce_mismatch_error: Literal["invalid_grant", "invalid_request"] = "invalid_grant"
    wrong_verifier_burns_code: bool = True
    short_verifiers_refused: bool = True
    code_reuse_revokes: bool = False
    reuse_cascades: bool = False
    parallel_refresh_kills: bool = False
    rotation_grace_seconds: int = 0
    refresh_milliseconds: int = 40
    refresh_counts_as_login: bool = True
    logins_per_hour: int = 3600
    approvals_per_user_and_app: int = 5
    inactive_user_code: Literal["invalid_grant", "inactive_user"] = "invalid_grant"
    inactive_org_code: Literal["invalid_grant", "inactive_org"] = "invalid_grant"
    blocked_code: Literal["app_blocked", "invalid_grant"] = "app_blocked"
    expired_by_policy_text: Literal["token validity expired", "expired access/refresh token"] = (
        "token validity expired"
    )
    introspection_extends_session: bool = False
    revoke_error_format: Literal["json", "form"] = "json"
    instance_url_trailing_slash: bool = False
    instance_url_mixed_case: bool = False
    identity_host: Literal["login", "my_domain"] = "login"
    jwt_bearer_honours_approval: bool = True
    assertion_lifetime: Literal["lenient", "strict"] = "lenient"
    expired_assertion_text: Literal["invalid assertion", "expired authorization code"] = (
        "invalid assertion"
    )
    wrong_audience_text: Literal["audience is invalid", "Audience validation failed"] = (
        "audience is invalid"
    )
    my_domain_is_audience: bool = False
    assertion_without_package: Literal["not_approved", "unknown_client"] = "not_approved"
    jti_is_remembered: bool = False
    certificate_end_is_checked: bool = False
    global_settings_need_oauth_settings: bool = True
    status_checks_until_done: int = 1
    promotion_needs_coverage: bool = True
    coverage_percent: int = 100


def switches_from(pairs: Iterable[tuple[str, str]], base: Switches) -> Switches:
    """Read `name=value` pairs into switches.

    Raises:
        ValueError: no such switch, or not one of its values.
    """
    fields: dict[str, Any] = asdict(base)
    for name, value in pairs:
        if name not in fields:
            raise ValueError(f"there is no switch {name}")
        fields[name] = value
    try:
        return TypeAdapter(Switches).validate_python(fields)
    except ValidationError as error:
        wrong = error.errors()[0]
        raise ValueError(f"the switch {wrong['loc'][0]}: {wrong['msg']}") from error
