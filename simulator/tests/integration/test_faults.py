"""Each fault by its name: what reaches the caller, what was done, and what the journal says."""

from datetime import datetime
from time import monotonic

import httpx2
import pytest
from orgsim_caller import error_of

REFRESH = {"path": "/services/oauth2/token", "grant_type": "refresh_token"}


def _last(sim):
    return sim.refreshes()[-1]


def test_a_lost_answer_is_done_and_not_told(sim, caller):
    """The token is used up: presented again it kills the grant."""
    tokens = caller.connect(sim.org())
    sim.fault("lost_answer", match=REFRESH)
    with pytest.raises(httpx2.RemoteProtocolError):
        caller.refresh(tokens["refresh_token"])
    assert (_last(sim)["fault"], _last(sim)["status"]) == ("lost_answer", None)
    assert caller.call(tokens["access_token"]).status_code == 200
    assert error_of(caller.refresh(tokens["refresh_token"]))[0] == "invalid_grant"
    assert caller.call(tokens["access_token"]).status_code == 401


def test_a_reset_connection_has_done_nothing(sim, caller):
    """The same token serves afterwards."""
    tokens = caller.connect(sim.org())
    sim.fault("connection_reset", match=REFRESH)
    with pytest.raises(httpx2.ReadError):
        caller.refresh(tokens["refresh_token"])
    assert (_last(sim)["fault"], _last(sim)["status"]) == ("connection_reset", None)
    assert caller.refresh(tokens["refresh_token"]).status_code == 200


@pytest.mark.parametrize("face", ["tls", "names"])
@pytest.mark.parametrize("name", ["lost_answer", "connection_reset"])
def test_connections_break_on_encrypted_faces_too(sim, caller_of, face, name):
    """Through the CONNECT proxy as well."""
    caller = caller_of(face)
    sim.fault(name, match={"path": "/.well-known/openid-configuration"})
    with pytest.raises(httpx2.TransportError):
        caller.http.get(f"{caller.login_url}/.well-known/openid-configuration")
    again = caller.http.get(f"{caller.login_url}/.well-known/openid-configuration")
    assert again.status_code == 200


def test_a_truncated_answer_ends_in_the_middle(sim, caller):
    """So many bytes under a greater length."""
    tokens = caller.connect(sim.org())
    sim.fault("truncated_answer", match=REFRESH, options={"bytes": 12})
    form = {
        "grant_type": "refresh_token",
        "refresh_token": tokens["refresh_token"],
        "client_id": caller.app["consumer_key"],
        "client_secret": caller.app["consumer_secret"],
    }
    url = f"{caller.login_url}/services/oauth2/token"
    parts: list[bytes] = []
    with caller.http.stream("POST", url, data=form) as answer:
        assert answer.status_code == 200
        assert int(answer.headers["content-length"]) > 12
        with pytest.raises(httpx2.RemoteProtocolError):
            parts.extend(answer.iter_raw())
    assert b"".join(parts) == b'{"access_tok'
    assert (_last(sim)["fault"], _last(sim)["status"]) == ("truncated_answer", 200)


def test_a_slow_answer_comes_late(sim, caller):
    """On the machine's own clock."""
    tokens = caller.connect(sim.org())
    sim.fault("slow", match=REFRESH, options={"delay": "PT0.5S"})
    begun = monotonic()
    assert caller.refresh(tokens["refresh_token"]).status_code == 200
    assert monotonic() - begun >= 0.5
    assert _last(sim)["fault"] == "slow"


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [(500, "json", "application/json"), (502, "html", "text/html"), (429, "json", "application")],
)
def test_a_bare_status_has_done_nothing(sim, caller, status, body, kind):
    """In the body that was asked for."""
    tokens = caller.connect(sim.org())
    sim.fault("status", match=REFRESH, options={"status": status, "body": body})
    answer = caller.refresh(tokens["refresh_token"])
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith(kind)
    assert _last(sim)["status"] == status
    assert caller.refresh(tokens["refresh_token"]).status_code == 200


def test_a_status_that_has_no_body_comes_without_one(sim, caller):
    """Of the data API too."""
    tokens = caller.connect(sim.org())
    sim.fault("status", match={"path": "/services/data/*"}, options={"status": 204})
    assert caller.call(tokens["access_token"]).content == b""


def test_the_data_apis_errors_are_lists(sim, caller):
    """A bare status speaks as its surface does."""
    tokens = caller.connect(sim.org())
    sim.fault("status", match={"path": "/services/data/*"}, options={"status": 503})
    answer = caller.call(tokens["access_token"])
    assert answer.status_code == 503
    assert "errorCode" in answer.json()[0]


@pytest.mark.parametrize(
    ("name", "error", "description"),
    [
        ("already_processing", "invalid_grant", "token request is already being processed"),
        ("login_rate_exceeded", "rate_limit_exceeded", "login rate exceeded"),
        ("ip_restricted", "invalid_grant", "ip restricted"),
    ],
)
def test_a_refusal_by_name_speaks_the_token_endpoints_words(sim, caller, name, error, description):
    """Nothing was done; the data API says it in its own."""
    tokens = caller.connect(sim.org())
    sim.fault(name, match=REFRESH)
    assert error_of(caller.refresh(tokens["refresh_token"])) == (error, description)
    assert (_last(sim)["fault"], _last(sim)["error"]) == (name, error)
    sim.fault(name, match={"path": "/services/data/*"})
    refused = caller.call(tokens["access_token"])
    assert refused.status_code == 403
    assert "errorCode" in refused.json()[0]
    assert caller.refresh(tokens["refresh_token"]).status_code == 200


def test_a_refusal_at_authorize_goes_to_the_callback(sim, caller):
    """Before any page."""
    sim.fault("ip_restricted", match={"path": "/services/oauth2/authorize"})
    assert "error=invalid_grant" in caller.authorize_answer().headers["location"]


def test_a_maintenance_page_is_html_with_503(sim, caller):
    """Nothing is done."""
    tokens = caller.connect(sim.org())
    sim.fault("maintenance_page", match=REFRESH)
    answer = caller.refresh(tokens["refresh_token"])
    assert (answer.status_code, answer.headers["content-type"][:9]) == (503, "text/html")
    assert caller.refresh(tokens["refresh_token"]).status_code == 200


def _seconds_between(sim, program):
    true = datetime.fromisoformat(sim.control.get("/clock").json()["now"])
    told = sim.control.get("/clock", params={"program": program}).json()["now"]
    return (datetime.fromisoformat(told) - true).total_seconds()


@pytest.mark.parametrize(("by", "seconds"), [("PT10M", 600), ("-PT10M", -600)])
def test_a_skew_is_for_the_program_it_names(sim, by, seconds):
    """Until it is deleted."""
    fault = sim.fault("clock_skew", options={"program": "service", "by": by})
    assert abs(_seconds_between(sim, "service") - seconds) < 5
    assert abs(_seconds_between(sim, "acme")) < 5
    assert sim.control.delete(f"/faults/{fault}").status_code == 204
    assert abs(_seconds_between(sim, "service")) < 5


def test_a_fault_meets_what_it_matches_so_many_times(sim, caller):
    """By path, org and grant type; all that is given must hold."""
    one, other = caller.connect(sim.org()), caller.connect(sim.org("Larkfield"))
    match = {**REFRESH, "org_id": sim.org("Larkfield")["org_id"]}
    sim.fault("status", match=match, times=2, options={"status": 503})
    one = caller.refresh(one["refresh_token"]).json()
    for _ in range(2):
        assert caller.refresh(other["refresh_token"]).status_code == 503
    assert caller.refresh(other["refresh_token"]).status_code == 200
    assert caller.call(one["access_token"]).status_code == 200


def test_a_fault_may_last_until_it_is_deleted(sim, caller):
    """`times` 0; a short org id is as good as a long one."""
    tokens = caller.connect(sim.org())
    sim.fault("maintenance_page", match={"org_id": sim.org()["org_id"][:15]}, times=0)
    for _ in range(3):
        assert caller.call(tokens["access_token"]).status_code == 503
    assert sim.control.get("/faults").json()["faults"][0]["left"] is None
    assert sim.control.delete("/faults").status_code == 204
    assert caller.call(tokens["access_token"]).status_code == 200


def test_the_fault_that_was_asked_for_first_comes_first(sim, caller):
    """One at a time."""
    sim.fault("status", options={"status": 500})
    sim.fault("status", options={"status": 502})
    url = f"{caller.login_url}/id/keys"
    assert [caller.http.get(url).status_code for _ in range(3)] == [500, 502, 200]


def test_a_calm_world_has_no_faults_of_its_own(sim, caller):
    """A hostile one has many, the same for the same seed."""

    def statuses():
        for _ in range(60):
            try:
                caller.http.get(f"{caller.login_url}/services/oauth2/userinfo")
            except httpx2.TransportError:
                caller.http.cookies.clear()
        return [entry["fault"] for entry in sim.journal(path="/services/oauth2/userinfo")]

    assert set(statuses()) == {None}
    sim.reset(hostile=True)
    first = statuses()
    sim.reset(hostile=True)
    assert len(set(first)) > 2
    assert statuses() == first
