"""What may be asked of the control port.

Types are strict and unknown names refused: a misspelt option would otherwise be a test that
tests nothing.
"""

from dataclasses import fields
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, create_model

from orgsim.clock import parse_duration
from orgsim.control.durations import Duration, SignedDuration
from orgsim.control.problems import Conflict
from orgsim.faults import Match, Options
from orgsim.orgs.org import OrgState
from orgsim.orgs.policies import PermittedUsers, RefreshPolicy, Switches
from orgsim.surfaces.oauth.documented import find_documented

_LARGEST_SEED = 2**53


def _whole(value: object) -> object:
    """Let 7.0 be 7: to JSON they are one number."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


_WHOLE = BeforeValidator(_whole)
_TEXT = Annotated[str, Field(max_length=500)]
_SCOPE = Annotated[str, Field(pattern=r"^[a-z_]{1,60}$")]
_URL = Annotated[str, Field(pattern=r"^[a-z][a-z0-9+.-]{1,30}:[!-Z^-~]{1,1900}$")]
_OCTET = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_ADDRESS = Annotated[str, Field(pattern=rf"^{_OCTET}(\.{_OCTET}){{3}}(/(3[0-2]|[12]?[0-9]))?$")]
_DAYS = Annotated[int, Field(ge=1, le=36_500), _WHOLE]


class Asked(BaseModel):
    """A body or query of the control port."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class Advance(Asked):
    """Move the clock forwards by that much."""

    advance: Duration


class Reset(Asked):
    """Make a fresh world; without a seed, from the same one."""

    seed: Annotated[int, Field(ge=0, le=_LARGEST_SEED), _WHOLE] | None = None
    hostile: bool = False


class JournalQuery(BaseModel):
    """Which entries; all that is given must hold. `path` may be a glob."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str | None = None
    method: str | None = None
    org_id: str | None = None
    grant_type: str | None = None
    since: Annotated[int, Field(ge=0), _WHOLE] = 0
    limit: Annotated[int, Field(ge=1), _WHOLE] | None = None


class ClockQuery(BaseModel):
    """Who asks; a program may have been given a clock that is off."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    program: Annotated[str, Field(max_length=100)] | None = None


class MatchAsked(Asked):
    """Which requests a fault meets; what is left out matches all. `path` is a glob."""

    path: _TEXT | None = None
    org_id: _TEXT | None = None
    grant_type: _TEXT | None = None

    def value(self) -> Match:
        """Return it as the fault book takes it."""
        return Match(path=self.path, org_id=self.org_id, grant_type=self.grant_type)


class NoOptions(Asked):
    """This fault has nothing to choose."""

    def value(self) -> Options:
        """Return it as the fault book takes it."""
        return Options()


class TruncatedOptions(Asked):
    """How much of the body is sent."""

    bytes: Annotated[int, Field(ge=0, le=10_000_000), _WHOLE] = 20

    def value(self) -> Options:
        """Return it as the fault book takes it."""
        return Options(bytes=self.bytes)


class SlowOptions(Asked):
    """How long the answer waits, on the machine's clock."""

    delay: Duration = "PT1S"

    def value(self) -> Options:
        """Return it as the fault book takes it."""
        return Options(delay=parse_duration(self.delay))


class StatusOptions(Asked):
    """Which status, and what kind of body under it."""

    status: Annotated[int, Field(ge=200, le=599), _WHOLE] = 500
    body: Literal["json", "html"] = "json"

    def value(self) -> Options:
        """Return it as the fault book takes it."""
        return Options(status=self.status, body=self.body)


class SkewOptions(Asked):
    """Whose clock is off and by how much; without `program`, that of each program."""

    program: Annotated[str, Field(max_length=100)] | None = None
    by: SignedDuration

    def value(self) -> Options:
        """Return it as the fault book takes it."""
        return Options(program=self.program, by=parse_duration(self.by))


class ErrorOptions(Asked):
    """Which documented error: `GET /faults` lists them. Without `delivery` its usual way."""

    error: _TEXT
    description: _TEXT | None = None
    delivery: Literal["body", "error_page", "redirect", "json"] | None = None

    def value(self) -> Options:
        """Return it as the fault book takes it, the delivery filled in.

        Raises:
            Conflict: no source says that Salesforce sends it so.
        """
        known = find_documented(self.error, self.description, self.delivery)
        if known is None:
            raise Conflict("Salesforce documents no such error; GET /faults lists those it does")
        return Options(
            error=known.error,
            description=known.description,
            delivery=self.delivery or known.deliveries[0],
        )


class _FaultAsked(Asked):
    match: MatchAsked = MatchAsked()
    times: Annotated[int, Field(ge=0, le=1_000_000), _WHOLE] = 1
    """How many requests it meets; 0 lasts until deleted."""


class PlainFault(_FaultAsked):
    """A fault that has no options."""

    name: Literal[
        "lost_answer",
        "connection_reset",
        "already_processing",
        "login_rate_exceeded",
        "ip_restricted",
        "maintenance_page",
    ]
    options: NoOptions = NoOptions()


class TruncatedFault(_FaultAsked):
    """A part of the answer, then the end of the connection."""

    name: Literal["truncated_answer"]
    options: TruncatedOptions = TruncatedOptions()


class SlowFault(_FaultAsked):
    """A late answer."""

    name: Literal["slow"]
    options: SlowOptions = SlowOptions()


class LagFault(_FaultAsked):
    """Something that is known later, by the world's clock, until deleted."""

    name: Literal["subscriber_lag", "propagation_delay"]
    options: SlowOptions = SlowOptions()


class StatusFault(_FaultAsked):
    """A bare status."""

    name: Literal["status"]
    options: StatusOptions = StatusOptions()


class ErrorFault(_FaultAsked):
    """A documented error of the OAuth endpoints."""

    name: Literal["oauth_error"]
    options: ErrorOptions


class SkewFault(_FaultAsked):
    """A program's clock that is off, until deleted."""

    name: Literal["clock_skew"]
    options: SkewOptions


FaultAsked = Annotated[
    PlainFault | TruncatedFault | SlowFault | StatusFault | ErrorFault | SkewFault | LagFault,
    Field(discriminator="name"),
]


class AppAsked(Asked):
    """A new app of the org that is named, usable in that org alone; without one, of the hub."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z](_?[A-Za-z0-9]){0,79}$")]
    org_id: _TEXT | None = None
    callback_urls: list[_URL] = []
    scopes: list[_SCOPE] = ["api", "refresh_token", "web"]
    certificate_pem: Annotated[str, Field(max_length=4096)] | None = None
    pre_authorized: list[_TEXT] | None = None
    """Who may use it without consent, as an admin says; left out, everybody after consent."""


class NamespaceAsked(Asked):
    """A namespace to be linked in the Dev Hub's registry."""

    namespace: Annotated[str, Field(pattern=r"^[A-Za-z](_?[A-Za-z0-9]){0,14}$")]


class AppChange(Asked):
    """The developer's settings of an app; what is left out stays as it is."""

    callback_urls: list[_URL] | None = None
    scopes: list[_SCOPE] | None = None
    secret_required: bool | None = None
    secret_required_for_refresh: bool | None = None
    pkce_required: bool | None = None
    rotation: bool | None = None
    idle_ttl_days: Annotated[int, Field(ge=0, le=36_500), _WHOLE] | None = None
    """0 switches the idle limit off."""
    refresh_ip_allowlist: list[_ADDRESS] | None = None
    access_token_format: Literal["opaque", "jwt"] | None = None
    introspects_all_tokens: bool | None = None
    certificate_pem: Annotated[str, Field(max_length=4096)] | None = None
    """The X.509 certificate for assertions, 4 KB at most; an empty text takes it away."""


class OrgChange(Asked):
    """An org's state."""

    state: OrgState


class GrantsAsked(Asked):
    """So many grants that a user has given an app, with all its scopes."""

    app: _TEXT
    """Consumer key or name."""
    user_id: _TEXT
    count: Annotated[int, Field(ge=1, le=1_000), _WHOLE] = 1
    age: Duration = "PT0S"
    """How long ago they were given; they have been in use until now."""


class UserChange(Asked):
    """Whether a person may log in."""

    active: bool


class InstallationChange(Asked):
    """The admin's policies for an app; what is left out stays as it is."""

    installed: bool | None = None
    blocked: bool | None = None
    permitted_users: PermittedUsers | None = None
    pre_authorized: list[_TEXT] | None = None
    refresh_policy: RefreshPolicy | None = None
    refresh_days: _DAYS | None = None
    session_minutes: Annotated[int, Field(ge=1, le=1440), _WHOLE] | None = None


def _switch(kind: Any) -> Any:
    """Return a switch's type as a member of a change; figures are no smaller than nothing."""
    bounded = Annotated[int, Field(ge=0, le=1_000_000), _WHOLE] if kind is int else kind
    return (bounded | None, None)


SwitchesChange: Any = create_model(
    "SwitchesChange",
    __base__=Asked,
    __doc__="Open questions, as the tester decides them; what is left out stays as it is.",
    **{switch.name: _switch(switch.type) for switch in fields(Switches)},
)
