"""Applying the app: what is deployed, read back, and handed to the service."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from keyturn import Keyturn, Retries
from keyturn_builder.app_apply import Applied, apply_app, plan_app
from keyturn_builder.app_config import AppConfig, Flow
from keyturn_builder.credentials import read_credentials
from keyturn_builder.errors import BuilderError
from keyturn_builder.service_app import find_app, register_app
from keyturn_builder.sf_cli import SfAnswer

CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIBdummy\n-----END CERTIFICATE-----\n"
GLOBAL = "extlClntAppGlobalOauthSets/Acme_Connect_glbloauth.ecaGlblOauth-meta.xml"
SECRET = "dummy-consumer-secret"


class World:
    """The service and the Dev Hub org's REST API, each behind a transport."""

    def __init__(self) -> None:
        self.app: dict[str, Any] | None = None
        self.keys: list[dict[str, Any]] = []
        self.credentials: list[dict[str, str]] = []
        self.changes: list[dict[str, Any]] = []
        self.org_answers = {
            "/tooling/query": (200, {"records": [{"Id": "0xI5g0000000001"}]}),
            "/apps/oauth/credentials/": (200, {"key": "3MVG9dummy", "secret": SECRET}),
        }
        self.asked: list[httpx2.Request] = []

    def service(self, request: httpx2.Request) -> httpx2.Response:
        """Answer as the service does."""
        body = json.loads(request.content) if request.content else {}
        answer = self._answers(request.method, request.url.path, body)
        return httpx2.Response(204) if answer is None else httpx2.Response(200, json=answer)

    def _answers(self, method: str, path: str, body: dict[str, Any]) -> Any:
        answer: Any = None
        match method, path:
            case "GET", "/v1/apps":
                answer = {"data": [self.app] if self.app else [], "next_cursor": None}
            case "GET", "/v1/apps/app_1":
                answer = self.app
            case "POST", "/v1/apps":
                answer = self.app = {"id": "app_1", **body}
            case "PATCH", "/v1/apps/app_1":
                self.changes.append(body)
                answer = {**(self.app or {}), **body}
            case "GET", "/v1/apps/app_1/signing-keys":
                answer = {"data": self.keys, "next_cursor": None}
            case "POST", "/v1/apps/app_1/signing-keys":
                key = {"id": "k", "app_id": "app_1", "state": "active"}
                answer = {**key, "certificate_pem": CERTIFICATE}
                self.keys.append(answer)
            case "PUT", "/v1/apps/app_1/consumer-credentials":
                self.credentials.append(body)
            case _:
                raise AssertionError(path)
        return answer

    def org(self, request: httpx2.Request) -> httpx2.Response:
        """Answer as the org's REST API does."""
        self.asked.append(request)
        for part, (status, body) in self.org_answers.items():
            if part in request.url.path:
                return httpx2.Response(status, json=body)
        raise AssertionError(str(request.url))


@pytest.fixture
def world() -> World:
    """A service that knows no app yet, and an org that gives out credentials."""
    return World()


@pytest.fixture
def apply(open_hub, world: World, config: AppConfig) -> Callable[..., Applied]:
    """Carry out one run."""

    def run(changed: AppConfig = config, **how: Any) -> Applied:
        transport = httpx2.MockTransport(world.service)
        with (
            Keyturn(
                "https://connect.acme.example",
                api_key="kt_test_dummy",
                transport=transport,
                retries=Retries(attempts=1),
            ) as keyturn,
            open_hub() as hub,
        ):
            service = find_app(keyturn, changed) or register_app(keyturn, changed)
            org = httpx2.MockTransport(world.org)
            return apply_app(hub, changed, service, transport=org, **how)

    return run


@pytest.fixture
def config(config: AppConfig) -> AppConfig:
    """A config that can register the app."""
    assert config.service is not None
    origins = {"return_origins": ["https://app.acme.example"]}
    return config.model_copy(update={"service": config.service.model_copy(update=origins)})


def test_a_new_app_is_made_and_its_credentials_go_to_the_vault(apply, sf, world: World) -> None:
    """Once, by REST, and nowhere else: not into arguments, not into what is returned."""
    done = apply()

    assert (done.created, done.left, done.credentials_stored) == (True, (), True)
    assert world.credentials == [{"consumer_key": "3MVG9dummy", "consumer_secret": SECRET}]
    assert str(world.asked[-1].url).endswith(
        "/apps/oauth/credentials/0xI5g0000000001/8885g00000AcmeY?part=keyandsecret"
    )
    assert SECRET not in repr((done, sf.calls))
    assert "MIIBdummy" in sf.texts[GLOBAL]
    assert done.bond.org_id == "00D5g00000AcmeX"


def test_header_and_settings_go_together_and_the_allow_list_after_them(apply, sf) -> None:
    """Global settings alone fail, and the allow-list fails before the first save."""
    apply()
    assert len(sf.named("project", "deploy", "start")) == 2


def test_a_second_run_changes_nothing(apply, sf, world: World) -> None:
    """Neither in the org nor at the service."""
    apply()
    assert world.app is not None
    world.app["has_consumer_credentials"] = True

    second = apply()

    assert (second.created, second.changed, second.credentials_stored) == (False, (), False)
    assert len(sf.named("project", "deploy", "start")) == 2
    assert len(world.credentials) == len(world.keys) == 1


def test_credentials_are_handed_again_when_asked(apply, world: World) -> None:
    """After a rotation, say."""
    apply()
    assert world.app is not None
    world.app["has_consumer_credentials"] = True
    assert apply(renew_credentials=True).credentials_stored
    assert len(world.credentials) == 2


def test_drift_is_shown_field_by_field_and_mended(apply, sf, world: World) -> None:
    """The link to the registration stays: without it the app would be cut loose from its key."""
    apply()
    assert world.app is not None
    world.app["has_consumer_credentials"] = True
    sf.texts[GLOBAL] = sf.texts[GLOBAL].replace(
        "<isDeviceFlowEnabled>false", "<isDeviceFlowEnabled>true"
    )

    done = apply()

    (change,) = done.changed
    assert str(change) == "ExtlClntAppGlobalOauthSettings isDeviceFlowEnabled: true -> false"
    assert done.left == ()
    assert "8885g00000AcmeY" in next(t for n, t in sf.texts.items() if "ecaOauth-" in n)


def test_what_salesforce_reverts_is_said(apply, sf) -> None:
    """A deploy can go well and still not be taken."""
    sf.reverts = {"<isEnforceRefreshTokenTTL>true": "<isEnforceRefreshTokenTTL>false"}
    (left,) = apply().left
    assert (left.element, left.now, left.wanted) == ("isEnforceRefreshTokenTTL", "false", "true")


def test_a_plan_changes_nothing(open_hub, sf, config: AppConfig) -> None:
    """And says what is new."""
    with open_hub() as hub:
        plan = plan_app(hub, config, None, make_key=False)
    assert plan.creates
    assert {one.element for one in plan.drift} >= {"label", "callbackUrl", "tokenIpRanges"}
    assert all(one.now is None for one in plan.drift)
    assert sf.named("project", "deploy", "start") == []


def test_a_certificate_that_is_there_is_kept_where_the_service_is_not_asked(
    apply, open_hub, config: AppConfig
) -> None:
    """A plan without the service does not threaten to clear it."""
    apply()
    with open_hub() as hub:
        assert plan_app(hub, config, None, make_key=False).drift == ()


def test_without_the_flow_jwt_there_is_no_certificate(apply, config: AppConfig, world, sf) -> None:
    """And no key pair."""
    app = config.app.model_copy(update={"flows": [Flow.CODE]})
    apply(config.model_copy(update={"app": app}))
    assert world.keys == []
    assert "<certificate>" not in sf.texts[GLOBAL]


def test_what_the_org_does_not_have_yet_is_no_failure(open_hub, sf, config: AppConfig) -> None:
    """`sf` ends with an error when it finds nothing of what was asked for."""
    missing = "Entity of type 'ExternalClientApplication' named 'Acme_Connect' cannot be found"
    files = [{"state": "Failed", "error": missing}]
    sf.refuses["project retrieve start"] = SfAnswer(status=1, result={"files": files})
    with open_hub() as hub:
        assert plan_app(hub, config, None, make_key=False).creates

    sf.refuses["project retrieve start"] = SfAnswer(status=1, message="INVALID_SESSION_ID")
    with open_hub() as hub, pytest.raises(BuilderError) as refusal:
        plan_app(hub, config, None, make_key=False)
    assert refusal.value.code == "dev_hub_session_ended"


def test_credentials_never_cross_a_network_in_the_clear(open_hub, config: AppConfig) -> None:
    """Plain http is for this machine alone."""
    with open_hub() as hub:
        plain = replace(hub, instance_url="http://hub.my.salesforce.com")
        with pytest.raises(BuilderError) as refusal:
            read_credentials(plain, config.app.name, "8885g00000AcmeY")
    assert refusal.value.code == "dev_hub_unreachable"


def test_an_org_that_does_not_answer_is_said_so(open_hub, config: AppConfig) -> None:
    """By the kind of the failure, not by its text."""

    def fails(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("secret detail", request=request)

    transport = httpx2.MockTransport(fails)
    with open_hub() as hub, pytest.raises(BuilderError) as refusal:
        read_credentials(hub, config.app.name, "8885g00000AcmeY", transport=transport)
    assert (refusal.value.code, refusal.value.detail) == ("dev_hub_unreachable", "ConnectError")


def test_the_service_is_brought_up_to_date(world: World, config: AppConfig) -> None:
    """What it has otherwise is named, and the order of scopes says nothing."""
    world.app = {
        "id": "app_1",
        "name": "Acme Connect",
        "namespace": "acme",
        "scopes": ["refresh_token", "api"],
        "callback_urls": ["https://old.example/oauth/callback"],
    }
    transport = httpx2.MockTransport(world.service)
    with Keyturn("https://c.example", api_key="kt_test_dummy", transport=transport) as keyturn:
        service = find_app(keyturn, config)
        assert service is not None
        assert service.drift(config) == {"callback_urls": config.app.callback_urls}
        start = {"start_url": "https://app.acme.example/salesforce"}
        assert config.service is not None
        beginning = config.model_copy(update={"service": config.service.model_copy(update=start)})
        assert service.drift(beginning).items() >= start.items()
        service.put_install_urls({"production": "https://login.salesforce.com/x"})
    assert world.changes == [
        {"package": {"install_urls": {"production": "https://login.salesforce.com/x"}}}
    ]


def test_an_app_that_the_config_names_by_id_is_that_one(world: World, config: AppConfig) -> None:
    """Whatever its name is at the service."""
    world.app = {"id": "app_1", "name": "Renamed"}
    assert config.service is not None
    named = config.service.model_copy(update={"app_id": "app_1"})
    transport = httpx2.MockTransport(world.service)
    with Keyturn("https://c.example", api_key="kt_test_dummy", transport=transport) as keyturn:
        found = find_app(keyturn, config.model_copy(update={"service": named}))
        assert find_app(keyturn, config) is None
    assert found is not None
    assert found.app.name == "Renamed"


def test_an_unknown_app_needs_return_origins(apply, config: AppConfig) -> None:
    """The service registers none without."""
    assert config.service is not None
    service = config.service.model_copy(update={"return_origins": []})
    with pytest.raises(BuilderError) as refusal:
        apply(config.model_copy(update={"service": service}))
    assert refusal.value.code == "return_origins_missing"


@pytest.mark.parametrize(
    ("part", "status", "body", "code"),
    [
        ("/tooling/query", 200, {"records": []}, "app_missing"),
        (
            "/apps/oauth/credentials/",
            403,
            [{"errorCode": "FUNCTIONALITY_NOT_ENABLED", "message": "is not currently enabled"}],
            "credentials_api_off",
        ),
        (
            "/apps/oauth/credentials/",
            403,
            [{"errorCode": "INSUFFICIENT_ACCESS", "message": "no"}],
            "permission_missing",
        ),
        (
            "/apps/oauth/credentials/",
            400,
            [{"errorCode": "OTHER", "message": "no"}],
            "credentials_refused",
        ),
        ("/apps/oauth/credentials/", 200, {"key": "3MVG9dummy"}, "credentials_refused"),
        ("/tooling/query", 401, [{"errorCode": "INVALID_SESSION_ID"}], "dev_hub_session_ended"),
    ],
)
def test_credentials_that_do_not_come_say_why(
    apply, world: World, *, part: str, status: int, body: Any, code: str
) -> None:
    """With the switch or the permission; what was deployed stays, and the next run goes on."""
    answer = world.org_answers[part]
    world.org_answers[part] = (status, body)
    with pytest.raises(BuilderError) as refusal:
        apply()
    assert refusal.value.code == code
    assert world.credentials == []

    world.org_answers[part] = answer
    assert apply().credentials_stored


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        ("ExtlClntAppOauthSettings x: INVALID_CROSS_REFERENCE_KEY", "deploy_refused"),
        ("it doesn't have distribution state PACKAGED", "app_is_local"),
    ],
)
def test_a_deploy_that_is_refused_is_told_in_salesforces_words(
    apply, sf, failure: str, code: str
) -> None:
    """Component by component."""
    details = {"componentFailures": [{"componentType": "T", "fullName": "N", "problem": failure}]}
    sf.refuses["project deploy start"] = SfAnswer(status=1, result={"details": details})
    with pytest.raises(BuilderError) as refusal:
        apply()
    assert refusal.value.code == code
    assert failure in refusal.value.said


def test_nothing_of_a_run_stays_in_the_temporary_folder(apply, sf) -> None:
    """Retrieved settings name the consumer key."""
    apply()
    assert sf.homes
    assert not any(Path(home).exists() for home in sf.homes)
