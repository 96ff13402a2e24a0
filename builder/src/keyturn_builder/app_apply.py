"""Plans and applies the app in the Dev Hub org, and hands its credentials to the service."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import httpx2

from keyturn_builder.app_config import AppConfig, Flow
from keyturn_builder.app_plan import (
    AppFiles,
    Difference,
    desired,
    differences,
    members,
    read_app,
)
from keyturn_builder.bond import Bond, checked_bond
from keyturn_builder.credentials import read_credentials
from keyturn_builder.dev_hub import DevHub
from keyturn_builder.errors import BuilderError
from keyturn_builder.org_metadata import deploy, retrieve
from keyturn_builder.service_app import ServiceApp

_SECURITY: Final = "ExtlClntAppOauthSecuritySettings"
_CERTIFICATE: Final = "certificate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What would change. `certificate` is what the app is to have, None where it has none."""

    now: AppFiles
    certificate: str | None
    drift: tuple[Difference, ...]

    @property
    def creates(self) -> bool:
        """Whether the org has no such app yet."""
        return not self.now.exists


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What was done. `left` is what Salesforce did not take."""

    created: bool
    changed: tuple[Difference, ...]
    left: tuple[Difference, ...]
    bond: Bond
    credentials_stored: bool
    warnings: tuple[str, ...] = field(default=())


def plan_app(hub: DevHub, config: AppConfig, service: ServiceApp | None, *, make_key: bool) -> Plan:
    """Compare the org with the config.

    The certificate is the service's; `make_key` lets it make a key pair where it has none.
    """
    with hub.steps.step("read the app in the Dev Hub org"):
        now = read_app(config, retrieve(hub, members(config)))
    certificate = None
    if Flow.JWT in config.app.flows:
        with hub.steps.step("ask the service for the certificate"):
            certificate = _certificate(now, service, make_key=make_key)
    wanted = desired(config, now, certificate=certificate)
    return Plan(now=now, certificate=certificate, drift=tuple(differences(now, wanted)))


def _certificate(now: AppFiles, service: ServiceApp | None, *, make_key: bool) -> str | None:
    """Return the certificate that the app is to have; a deploy without one would clear it."""
    there = now.said("ExtlClntAppGlobalOauthSettings", _CERTIFICATE)
    kept = service.certificate(make=make_key) if service is not None else None
    return kept or there


def apply_app(
    hub: DevHub,
    config: AppConfig,
    service: ServiceApp,
    *,
    renew_credentials: bool = False,
    transport: httpx2.BaseTransport | None = None,
) -> Applied:
    """Make the app in the Dev Hub org what the config says; a second run changes nothing.

    Raises:
        BuilderError: Salesforce or the service refuses; what was deployed stays deployed, and
            the next run goes on from there.
    """
    plan = plan_app(hub, config, service, make_key=True)
    if Flow.JWT in config.app.flows and plan.certificate is None:
        raise BuilderError("certificate_missing")
    if plan.drift:
        _deploy(hub, config, plan)
    with hub.steps.step("read back what Salesforce made of it"):
        after = read_app(config, retrieve(hub, members(config)))
    wanted = desired(config, after, certificate=plan.certificate)
    bond = bond_of(after, config, hub)
    stored = False
    if plan.creates or renew_credentials or not service.app.has_consumer_credentials:
        with hub.steps.step("hand consumer key and secret to the service's vault"):
            pair = read_credentials(hub, config.app.name, bond.consumer_id, transport=transport)
            service.put_credentials(pair)
        stored = True
    return Applied(
        created=plan.creates,
        changed=plan.drift,
        left=tuple(differences(after, wanted)),
        bond=bond,
        credentials_stored=stored,
    )


def _deploy(hub: DevHub, config: AppConfig, plan: Plan) -> None:
    """Deploy the three that belong together; the allow-list follows, once they are saved."""
    wanted = desired(config, plan.now, certificate=plan.certificate)
    changed = {found.component for found in plan.drift}
    together = [one for one in wanted if one.type != _SECURITY]
    if changed - {_SECURITY}:
        with hub.steps.step("deploy header, OAuth settings and global settings"):
            deploy(hub, together)
    if _SECURITY in changed:
        with hub.steps.step("deploy the allow-list for refresh tokens"):
            deploy(hub, [one for one in wanted if one.type == _SECURITY])


def bond_of(now: AppFiles, config: AppConfig, hub: DevHub) -> Bond:
    """Return the references of the app as the org has it.

    Raises:
        BuilderError: it is not there, not packaged, or another org's.
    """
    return checked_bond(
        config.app,
        scoped=now.said("ExternalClientApplication", "orgScopedExternalApp"),
        link=now.said("ExtlClntAppOauthSettings", "oauthLink"),
        state=now.said("ExternalClientApplication", "distributionState"),
        org_id=hub.org_id,
    )
