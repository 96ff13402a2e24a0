"""Revocation, introspection, identity, userinfo, discovery."""

from urllib.parse import parse_qs, urlsplit

import pytest
from orgsim_caller import error_of
from orgsim_program import user_of


def _revoke(caller, token, **form):
    url = f"{caller.login_url}/services/oauth2/revoke"
    return caller.http.post(url, data={"token": token, **form})


def _introspect(caller, token):
    form = {
        "token": token,
        "client_id": caller.app["consumer_key"],
        "client_secret": caller.app["consumer_secret"],
    }
    return caller.http.post(f"{caller.login_url}/services/oauth2/introspect", data=form)


def _bearer(token):
    return {"Authorization": f"Bearer {token}"}


def test_revoking_an_access_token_leaves_the_grant(sim, caller):
    """Only that session ends."""
    tokens = caller.connect(sim.org())
    assert _revoke(caller, tokens["access_token"]).status_code == 200
    assert caller.call(tokens["access_token"]).status_code == 401
    assert caller.refresh(tokens["refresh_token"]).status_code == 200


def test_revocation_takes_the_token_in_the_query_as_well(sim, caller):
    """As Salesforce's own pages show it."""
    tokens = caller.connect(sim.org())
    url = f"{caller.login_url}/services/oauth2/revoke"
    answer = caller.http.get(url, params={"token": tokens["refresh_token"]})
    assert answer.status_code == 200
    assert caller.call(tokens["access_token"]).status_code == 401


def test_revoking_what_is_not_there_is_an_error(sim, caller):
    """Unlike RFC 7009 has it; in JSON or as a form."""
    assert error_of(_revoke(caller, "nothing"))[0] == "invalid_token"
    assert error_of(_revoke(caller, "x", token_type_hint="id_token"))[0] == "unsupported_token_type"
    sim.switch(revoke_error_format="form")
    assert parse_qs(_revoke(caller, "nothing").text)["error"] == ["invalid_token"]


def test_a_token_is_revoked_at_its_own_orgs_hosts(sim, caller):
    """Another org does not know it."""
    tokens = caller.connect(sim.org())
    elsewhere = caller.org_url(sim.org("Larkfield"))
    url = f"{elsewhere}/services/oauth2/revoke"
    assert caller.http.post(url, data={"token": tokens["refresh_token"]}).status_code == 400
    assert caller.refresh(tokens["refresh_token"]).status_code == 200


def test_introspection_tells_an_app_of_its_own_tokens(sim, caller, caller_of):
    """Of others' it says no more than that they are not active."""
    tokens = caller.connect(sim.org())
    told = _introspect(caller, tokens["refresh_token"]).json()
    assert told["active"]
    assert told["token_type"] == "refresh_token"
    assert told["client_id"] == caller.app["consumer_key"]
    other = caller_of(app="Scratch")
    assert _introspect(other, tokens["access_token"]).json() == {"active": False}
    sim.change_app("Scratch", introspects_all_tokens=True)
    assert _introspect(other, tokens["access_token"]).json()["active"]


def test_introspection_asks_who_asks(sim, caller):
    """A wrong secret is refused."""
    tokens = caller.connect(sim.org())
    url = f"{caller.login_url}/services/oauth2/introspect"
    answer = caller.http.post(url, data={"token": tokens["access_token"], "client_id": "nobody"})
    assert error_of(answer)[0] == "invalid_client_id"


def test_introspection_does_not_extend_a_session(sim, caller):
    """Unless switched."""
    tokens = caller.connect(sim.org())
    first = _introspect(caller, tokens["access_token"]).json()["exp"]
    sim.advance("PT1H")
    assert _introspect(caller, tokens["access_token"]).json()["exp"] == first
    sim.switch(introspection_extends_session=True)
    assert _introspect(caller, tokens["access_token"]).json()["exp"] >= first + 3600


def test_the_identity_url_tells_who_it_is(sim, caller):
    """With API addresses of one version where one is asked for."""
    org = sim.org()
    tokens = caller.connect(org)
    bearer = _bearer(tokens["access_token"])
    told = caller.http.get(tokens["id"], headers=bearer).json()
    assert told["user_id"] == user_of(org)["user_id"]
    assert told["organization_id"] == org["org_id"]
    assert "{version}" in told["urls"]["rest"]
    latest = caller.http.get(tokens["id"], headers=bearer, params={"version": "latest"}).json()
    assert latest["urls"]["rest"] == f"{caller.org_url(org)}/services/data/v68.0/"


def test_the_identity_url_speaks_xml_and_jsonp(sim, caller):
    """As it always did."""
    tokens = caller.connect(sim.org())
    bearer = _bearer(tokens["access_token"])
    xml = caller.http.get(tokens["id"], headers=bearer, params={"format": "xml"})
    assert "<organization_id>" in xml.text
    jsonp = caller.http.get(tokens["id"], headers=bearer, params={"callback": "show"})
    assert jsonp.text.startswith("show({")


def test_identity_refuses_in_one_word_with_403(sim, caller):
    """Not with 401, and not in JSON."""
    tokens = caller.connect(sim.org())
    other = user_of(sim.org(), "standard")
    base = f"{caller.login_url}/id/{sim.org()['org_id']}"
    good, bad = _bearer(tokens["access_token"]), _bearer("00Dnobody")
    refusals = {
        "Bad_OAuth_Token": caller.http.get(tokens["id"], headers=bad),
        "Missing_OAuth_Token": caller.http.get(tokens["id"]),
        "Bad_Id": caller.http.get(f"{base}/{other['user_id']}", headers=good),
        "Wrong_Org": caller.http.get(
            f"{caller.login_url}/id/{sim.org('Larkfield')['org_id']}/{other['user_id']}",
            headers=good,
        ),
    }
    for word, answer in refusals.items():
        assert (answer.status_code, answer.text) == (403, word)
        assert answer.headers["content-type"].startswith("text/plain")


def test_the_identity_url_moves_to_the_my_domain_by_a_switch(sim, caller):
    """Read its path, not its host."""
    sim.switch(identity_host="my_domain")
    tokens = caller.connect(sim.org())
    assert tokens["id"].startswith(caller.org_url(sim.org()))


def test_the_instance_url_may_be_written_oddly(sim, caller_of):
    """With a slash behind it, or capitals inside."""
    sim.switch(instance_url_trailing_slash=True, instance_url_mixed_case=True)
    tokens = caller_of("names").connect(sim.org())
    assert tokens["instance_url"] == "https://Northwind.my.salesforce.com/"


def test_a_doubled_slash_before_services_is_one(sim, caller):
    """`sf` keeps the slash behind an instance URL, and begins each path with another."""
    tokens = caller.connect(sim.org())
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    for path in ("//services/data", "//services/data/v68.0/query?q=SELECT+Id+FROM+Organization"):
        answer = caller.http.get(f"{caller.org_url(sim.org())}{path}", headers=headers)
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("face", ["plain", "tls", "names"])
def test_discovery_says_where_everything_is(caller_of, face):
    """And keeps silent about PKCE, as Salesforce does."""
    caller = caller_of(face)
    told = caller.http.get(f"{caller.login_url}/.well-known/openid-configuration").json()
    assert told["issuer"] == caller.login_url
    assert told["token_endpoint"] == f"{caller.login_url}/services/oauth2/token"
    assert "code_challenge_methods_supported" not in told
    assert "grant_types_supported" not in told


def test_a_my_domain_tells_its_org_id_before_any_login(sim, caller):
    """A login host has no such document."""
    path = "/.well-known/auth-configuration"
    told = caller.http.get(caller.org_url(sim.org()) + path).json()
    assert told["OrgId"] == sim.org()["org_id"]
    assert caller.http.get(caller.login_url + path).status_code == 404


def test_a_frontdoor_address_logs_a_browser_in_once(sim, caller_of):
    """For tokens with the scope `web`."""
    caller = caller_of(app="Scratch")
    tokens = caller.connect(sim.org())
    url = f"{caller.login_url}/services/oauth2/singleaccess"
    address = caller.http.post(url, headers=_bearer(tokens["access_token"])).json()["frontdoor_uri"]
    assert sim.line["canary"] in parse_qs(urlsplit(address).query)["otp"][0]
    caller.http.cookies.clear()
    entered = caller.http.get(address)
    assert entered.status_code == 302
    assert entered.headers["location"].endswith("/home")
    assert [sim.line["canary"] in text for text in caller.http.cookies.values()] == [True]
    caller.http.cookies.clear()
    assert "Login" in caller.http.get(address).text


def test_a_frontdoor_address_needs_the_scope_web(sim, caller):
    """Acme has not got it."""
    tokens = caller.connect(sim.org())
    url = f"{caller.login_url}/services/oauth2/singleaccess"
    assert caller.http.post(url, headers=_bearer(tokens["access_token"])).status_code == 403
