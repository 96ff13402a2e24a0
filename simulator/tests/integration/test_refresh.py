"""Refreshing: rotation, replay, one at a time, and every way in which a refresh token dies."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from orgsim_caller import error_of
from orgsim_program import user_of

EXPIRED = ("invalid_grant", "expired access/refresh token")
BY_POLICY = ("invalid_grant", "token validity expired")
BUSY = ("invalid_grant", "token request is already being processed")


def test_a_refresh_rotates_the_token_and_leaves_access_tokens_alone(sim, caller):
    """The old access token goes on living; the old refresh token is used up."""
    tokens = caller.connect(sim.org())
    renewed = caller.refresh(tokens["refresh_token"]).json()
    assert renewed["refresh_token"].startswith("5Aep861")
    assert renewed["refresh_token"] != tokens["refresh_token"]
    assert renewed["access_token"].split("!")[0] == sim.org()["org_id"][:15]
    assert caller.call(tokens["access_token"]).status_code == 200
    assert caller.call(renewed["access_token"]).status_code == 200


def test_a_used_token_presented_again_kills_the_grant(sim, caller):
    """With the refresh token in force and every access token that came of it."""
    first = caller.connect(sim.org())
    second = caller.refresh(first["refresh_token"]).json()
    other = caller.connect(sim.org())
    assert error_of(caller.refresh(first["refresh_token"])) == EXPIRED
    assert error_of(caller.refresh(second["refresh_token"])) == EXPIRED
    for tokens in (first, second):
        assert caller.call(tokens["access_token"]).status_code == 401
    assert caller.refresh(other["refresh_token"]).status_code == 200


def test_a_token_used_up_long_ago_kills_the_grant_as_well(sim, caller):
    """Every token that ever belonged to it is remembered."""
    tokens = [caller.connect(sim.org())]
    for _ in range(3):
        tokens.append(caller.refresh(tokens[-1]["refresh_token"]).json())
    caller.refresh(tokens[0]["refresh_token"])
    assert error_of(caller.refresh(tokens[-1]["refresh_token"])) == EXPIRED


def test_whether_reuse_reaches_other_approvals_is_a_switch(sim, caller):
    """Of the same user for the same app."""
    sim.switch(reuse_cascades=True)
    first, other = caller.connect(sim.org()), caller.connect(sim.org())
    caller.refresh(first["refresh_token"])
    caller.refresh(first["refresh_token"])
    assert error_of(caller.refresh(other["refresh_token"])) == EXPIRED


def test_whether_there_is_a_grace_time_is_a_switch(sim, caller):
    """Inside it a used token is neither refused nor deadly."""
    sim.switch(rotation_grace_seconds=60)
    tokens = caller.connect(sim.org())
    caller.refresh(tokens["refresh_token"])
    assert caller.refresh(tokens["refresh_token"]).status_code == 200
    sim.advance("PT2M")
    assert error_of(caller.refresh(tokens["refresh_token"])) == EXPIRED


def test_without_rotation_no_refresh_token_comes_back(sim, caller):
    """And the same one serves again."""
    sim.change_app(rotation=False)
    tokens = caller.connect(sim.org())
    for _ in range(2):
        answer = caller.refresh(tokens["refresh_token"])
        assert answer.status_code == 200
        assert "refresh_token" not in answer.json()


def test_of_refreshes_at_once_one_wins(sim, caller):
    """The others are told that one is being processed, and the grant lives."""
    tokens = caller.connect(sim.org())
    sim.switch(refresh_milliseconds=500)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(caller.refresh, [tokens["refresh_token"]] * 4))
    won = [answer for answer in answers if answer.status_code == 200]
    assert len(won) == 1
    assert {error_of(answer) for answer in answers if answer not in won} == {BUSY}
    assert caller.refresh(won[0].json()["refresh_token"]).status_code == 200


def test_a_slow_answer_keeps_the_grant_locked(sim, caller):
    """The winner's answer has not left while it waits."""
    tokens = caller.connect(sim.org())
    sim.fault("slow", match={"grant_type": "refresh_token"}, options={"delay": "PT0.7S"})
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(caller.refresh, [tokens["refresh_token"]] * 2))
    assert sorted(answer.status_code for answer in answers) == [200, 400]


def test_whether_refreshes_at_once_kill_the_grant_is_a_switch(sim, caller):
    """Salesforce's own tests say that they do."""
    tokens = caller.connect(sim.org())
    sim.switch(refresh_milliseconds=500, parallel_refresh_kills=True)
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(caller.refresh, [tokens["refresh_token"]] * 2))
    assert {answer.status_code for answer in answers} == {400}


def test_thirty_idle_days_end_a_refresh_token(sim, caller):
    """Each use begins the time anew."""
    tokens = caller.connect(sim.org())
    sim.advance("P29D")
    tokens = caller.refresh(tokens["refresh_token"]).json()
    sim.advance("P29D")
    tokens = caller.refresh(tokens["refresh_token"]).json()
    sim.advance("P30D")
    assert error_of(caller.refresh(tokens["refresh_token"])) == BY_POLICY


def test_a_year_ends_a_refresh_token_whatever_its_use(sim, caller):
    """The fixed lifetime of a packaged app's default policy."""
    tokens = caller.connect(sim.org())
    for _ in range(14):
        sim.advance("P26D")
        tokens = caller.refresh(tokens["refresh_token"]).json()
    sim.advance("P1D")
    assert error_of(caller.refresh(tokens["refresh_token"])) == BY_POLICY


def test_without_limits_a_refresh_token_lives(sim, caller):
    """The vendor's idle limit and the admin's policy are two halves."""
    sim.change_app(idle_ttl_days=0)
    sim.change_policy(sim.org(), refresh_policy="infinite")
    tokens = caller.connect(sim.org())
    sim.advance("P800D")
    assert caller.refresh(tokens["refresh_token"]).status_code == 200


def test_an_admin_can_end_idle_tokens_sooner(sim, caller):
    """The shorter of both limits counts."""
    sim.change_policy(sim.org(), refresh_policy="specific_inactivity", refresh_days=3)
    tokens = caller.connect(sim.org())
    sim.advance("P2D")
    tokens = caller.refresh(tokens["refresh_token"]).json()
    sim.advance("P3D")
    assert error_of(caller.refresh(tokens["refresh_token"])) == BY_POLICY


def test_an_admin_can_let_refresh_tokens_expire_at_once(sim, caller):
    """The session works, and cannot be renewed."""
    sim.change_policy(sim.org(), refresh_policy="zero")
    tokens = caller.connect(sim.org())
    assert caller.call(tokens["access_token"]).status_code == 200
    assert error_of(caller.refresh(tokens["refresh_token"])) == BY_POLICY


def test_a_deactivated_person_has_no_tokens(sim, caller):
    """Neither kind works until they are active again."""
    org, tokens = sim.org(), caller.connect(sim.org())
    sim.change_user(org, user_of(org), active=False)
    assert error_of(caller.refresh(tokens["refresh_token"])) == ("invalid_grant", "inactive user")
    assert caller.call(tokens["access_token"]).status_code == 401
    sim.change_user(org, user_of(org), active=True)
    assert caller.refresh(tokens["refresh_token"]).status_code == 200


def test_a_locked_org_refreshes_nothing(sim, caller):
    """In words of its own."""
    tokens = caller.connect(sim.org())
    sim.change_org(sim.org(), state="locked")
    told = error_of(caller.refresh(tokens["refresh_token"]))
    assert told == ("invalid_grant", "inactive organization")


def test_an_org_in_maintenance_shows_a_page(sim, caller):
    """HTML with 503 on its own host; the login host still knows the grant."""
    org, tokens = sim.org(), caller.connect(sim.org())
    sim.change_org(org, state="maintenance")
    answer = caller.refresh(tokens["refresh_token"], caller.org_url(org))
    assert (answer.status_code, answer.headers["content-type"][:9]) == (503, "text/html")
    sim.change_org(org, state="active")
    assert caller.refresh(tokens["refresh_token"]).status_code == 200


def test_a_blocked_app_keeps_its_grant_and_loses_its_sessions(sim, caller):
    """Until the admin lets it in again."""
    org, tokens = sim.org(), caller.connect(sim.org())
    sim.change_policy(org, blocked=True)
    assert error_of(caller.refresh(tokens["refresh_token"]))[0] == "app_blocked"
    assert caller.call(tokens["access_token"]).status_code == 401
    sim.change_policy(org, blocked=False)
    assert caller.refresh(tokens["refresh_token"]).status_code == 200


def test_uninstalling_the_package_ends_what_was_granted(sim, caller):
    """Installing it again brings nothing back."""
    org, tokens = sim.org(), caller.connect(sim.org())
    sim.change_policy(org, installed=False)
    sim.change_policy(org, installed=True)
    assert error_of(caller.refresh(tokens["refresh_token"])) == EXPIRED


def test_who_is_not_pre_authorized_any_more_cannot_refresh(sim, caller):
    """The admin took the permission away."""
    tokens = caller.connect(sim.org())
    sim.change_policy(sim.org(), permitted_users="pre_authorized")
    assert error_of(caller.refresh(tokens["refresh_token"])) == (
        "invalid_app_access",
        "user is not admin approved to access this app",
    )


def test_an_address_that_is_not_listed_is_refused(sim, caller):
    """The allow-list is the vendor's; a forwarded address stands for the caller's."""
    tokens = caller.connect(sim.org())
    sim.change_app(refresh_ip_allowlist=["203.0.113.0/24"])
    refused = caller.refresh(tokens["refresh_token"])
    assert error_of(refused) == ("invalid_grant", "ip restricted")
    caller.http.headers["X-Forwarded-For"] = "203.0.113.9"
    renewed = caller.refresh(tokens["refresh_token"])
    assert renewed.status_code == 200
    del caller.http.headers["X-Forwarded-For"]
    sim.change_app(refresh_ip_allowlist=["127.0.0.1"])
    assert caller.refresh(renewed.json()["refresh_token"]).status_code == 200


def test_a_secret_that_is_not_needed_is_checked_all_the_same(sim, caller):
    """None serves, a wrong one does not."""
    sim.change_app(secret_required_for_refresh=False)
    tokens = caller.connect(sim.org())
    refused = caller.refresh(tokens["refresh_token"], client_secret="wrong")
    assert error_of(refused) == ("invalid_client", "invalid client credentials")
    assert caller.refresh(tokens["refresh_token"], client_secret=None).status_code == 200


def test_a_refresh_token_is_its_own_apps(sim, caller, caller_of):
    """Another app's is not known, and does the grant no harm."""
    tokens = caller.connect(sim.org())
    assert error_of(caller_of(app="Scratch").refresh(tokens["refresh_token"])) == EXPIRED
    assert caller.refresh(tokens["refresh_token"]).status_code == 200


def test_a_session_lives_on_by_use(sim, caller):
    """Two hours without use end it."""
    tokens = caller.connect(sim.org())
    for _ in range(3):
        sim.advance("PT1H59M")
        assert caller.call(tokens["access_token"]).status_code == 200
    sim.advance("PT2H")
    refused = caller.call(tokens["access_token"])
    assert refused.status_code == 401
    assert refused.json() == [
        {"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}
    ]


def test_an_admin_sets_the_session_length(sim, caller):
    """From then on, for new sessions."""
    sim.change_policy(sim.org(), session_minutes=15)
    tokens = caller.connect(sim.org())
    sim.advance("PT15M")
    assert caller.call(tokens["access_token"]).status_code == 401


def test_an_admin_can_end_all_sessions_of_an_org(sim, caller):
    """Refresh tokens stay."""
    tokens = caller.connect(sim.org())
    ended = sim.control.post(f"/orgs/{sim.org()['org_id']}/end-sessions")
    assert ended.json() == {"ended": 1}
    assert caller.call(tokens["access_token"]).status_code == 401
    assert caller.refresh(tokens["refresh_token"]).status_code == 200


def test_use_does_not_extend_a_jwt_access_token(sim, caller):
    """It says itself when it ends."""
    sim.change_app(access_token_format="jwt")
    tokens = caller.connect(sim.org())
    assert tokens["token_format"] == "jwt"
    assert tokens["access_token"].count(".") == 2
    sim.advance("PT29M")
    assert caller.call(tokens["access_token"]).status_code == 200
    sim.advance("PT2M")
    assert caller.call(tokens["access_token"]).status_code == 401


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, "INVALID_SESSION_ID"),
        ("Bearer 00Dnobody", "INVALID_SESSION_ID"),
        ("Basic abc", "INVALID_AUTH_HEADER"),
    ],
)
def test_the_api_says_what_is_wrong_with_a_call(sim, caller, header, code):
    """As a list of one error."""
    headers = {} if header is None else {"Authorization": header}
    url = f"{caller.org_url(sim.org())}/services/data/v68.0/limits"
    answer = caller.http.get(url, headers=headers)
    assert answer.status_code == 401
    assert answer.json()[0]["errorCode"] == code


def test_a_token_serves_in_its_own_org_only(sim, caller):
    """Not in another, and a login host has no data at all."""
    tokens = caller.connect(sim.org())
    assert caller.call(tokens["access_token"], sim.org("Larkfield")).status_code == 401
    answer = caller.http.get(f"{caller.login_url}/services/data/v68.0/limits")
    assert answer.status_code == 404


def test_a_token_without_the_scope_api_is_no_use_at_the_api(sim, caller):
    """It says so in words that must not start a refresh."""
    tokens = caller.connect(sim.org(), scope="id refresh_token")
    answer = caller.call(tokens["access_token"])
    assert answer.status_code == 401
    assert answer.json()[0]["message"] == "This session is not valid for use with the REST API"
