"""Consumer credentials by REST: who may read them, and a rotation in stages."""

import pytest
from metadata_calls import deploy_by_soap, zip_of
from orgsim_caller import VERIFIER
from orgsim_program import user_of

from orgsim.metadata.archive import unzip, zipped

SETTINGS = {
    "Settings:ExternalClientApp": (
        "settings/ExternalClientApp.settings",
        "<enableClientSecretInRestApiAccess>true</enableClientSecretInRestApiAccess>",
    )
}


class Developer:
    """An admin of the Dev Hub with an app of their own."""

    def __init__(self, client):
        self.client = client
        self.hub = client.sim.control.get("/dev-hub").json()
        self.token = client.connect(self.hub)["access_token"]
        deploy_by_soap(client, self.hub, self.token, zip_of())

    def allow(self):
        """Let the org hand out secrets."""
        inner = unzip(zip_of(SETTINGS))
        path = "settings/ExternalClientApp.settings"
        inner[path] = (
            inner[path]
            .replace(b"Settings ", b"ExternalClientAppSettings ")
            .replace(b"</Settings>", b"</ExternalClientAppSettings>")
        )
        assert "Succeeded" in deploy_by_soap(self.client, self.hub, self.token, zipped(inner))

    def ask(self, method, path, token=None, version="68.0", **named):
        """Call the credentials API."""
        url = f"{self.client.org_url(self.hub)}/services/data/v{version}/apps/oauth{path}"
        headers = {"Authorization": f"Bearer {token or self.token}"}
        return self.client.http.request(method, url, headers=headers, **named)

    def path(self):
        """Return the path of the app's consumer."""
        (app,) = self.ask("GET", "/usage").json()["apps"]
        (consumer,) = self.ask("GET", f"/credentials/{app['identifier']}").json()["consumers"]
        assert app["developerName"] == "Plain"
        assert consumer["id"].startswith("888")
        return f"/credentials/{app['identifier']}/{consumer['id']}"


@pytest.fixture
def developer(caller_of):
    """An admin with an app that was deployed."""
    return Developer(caller_of(app="Scratch"))


def test_secrets_are_read_where_the_org_lets_and_the_user_may(sim, developer):
    """Key, secret, or both."""
    refused = developer.ask("GET", "/usage")
    assert refused.status_code == 403
    assert "not currently enabled" in refused.json()[0]["message"]
    developer.allow()
    path, app = developer.path(), sim.app("Plain")
    both = developer.ask("GET", path, params={"part": "keyandsecret"}).json()
    assert both == {"key": app["consumer_key"], "secret": app["consumer_secret"]}
    assert developer.ask("GET", path, params={"part": "key"}).json() == {"key": both["key"]}
    assert developer.ask("GET", path, params={"part": "all"}).status_code == 400
    standard = developer.client.connect(developer.hub, user_of(developer.hub, "standard"))
    assert developer.ask("GET", path, standard["access_token"]).status_code == 403
    assert developer.ask("GET", path, version="57.0").status_code == 404
    assert developer.ask("GET", path.replace("888", "889")).status_code == 404


def test_a_staged_pair_works_beside_the_one_in_force_and_takes_its_place(sim, developer, caller_of):
    """The earlier one goes on for a while, until it is dropped."""
    developer.allow()
    path, old = developer.path(), sim.app("Plain")
    staged = developer.ask("POST", f"{path}/staged", json={})
    assert (staged.status_code, staged.json()["state"]) == (201, "Active")
    assert developer.ask("POST", f"{path}/staged", json={}).status_code == 400
    new = staged.json()
    caller = caller_of(app="Plain")
    for key, secret in ((old["consumer_key"], old["consumer_secret"]), (new["key"], new["secret"])):
        code = caller.authorize(developer.hub, client_id=key)["code"]
        answer = caller.exchange(code, client_id=key, client_secret=secret, code_verifier=VERIFIER)
        assert answer.status_code == 200, answer.text
    one = f"{path}/staged/{new['id']}"
    assert developer.ask("PATCH", one, json={"command": "else"}).status_code == 400
    rotated = developer.ask("PATCH", one, json={"command": "rotate"}).json()
    assert (rotated["state"], rotated["key"]) == ("Rotated", old["consumer_key"])
    assert sim.app("Plain")["consumer_key"] == new["key"]
    assert "code" in caller.authorize(developer.hub, client_id=old["consumer_key"])
    assert developer.ask("DELETE", one).status_code == 204
    told = caller.authorize_answer(client_id=old["consumer_key"])
    assert "invalid_client_id" in told.text
    assert developer.ask("GET", f"{path}/staged").json()["stagedCredentials"] == []


def test_a_staged_pair_ends_after_thirty_days(developer, sim, caller_of):
    """Nobody has to drop it."""
    developer.allow()
    path = developer.path()
    new = developer.ask("POST", f"{path}/staged", json={}).json()
    sim.advance("P31D")
    developer.token = developer.client.connect(developer.hub)["access_token"]
    listed = developer.ask("GET", f"{path}/staged").json()["stagedCredentials"]
    assert [one["state"] for one in listed] == ["Expired"]
    assert "invalid_client_id" in caller_of(app="Plain").authorize_answer(client_id=new["key"]).text
