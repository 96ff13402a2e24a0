"""Grants given at the control port, as if users had gone through the pages."""

import pytest
from orgsim_caller import error_of


def _asked(sim, **more):
    return {"app": "Acme", "user_id": sim.org()["users"][0]["user_id"], **more}


def _give(sim, **more):
    path = f"/orgs/{sim.org()['org_id']}/grants"
    return sim.control.post(path, json=_asked(sim, **more))


def test_each_grant_has_tokens_of_its_own_that_work(sim, caller):
    """Access token and refresh token; what is said of all of them is said once."""
    answer = _give(sim, count=3)
    assert answer.status_code == 201
    given = answer.json()

    assert given["id"].endswith(f"/{sim.org()['org_id']}/{_asked(sim)['user_id']}")
    assert given["instance_url"] == sim.org()["my_domain_url"]
    assert set(given["scope"].split()) == {"api", "refresh_token", "id", "openid"}
    assert len({grant["refresh_token"] for grant in given["grants"]}) == 3
    for grant in given["grants"]:
        assert caller.call(grant["access_token"]).status_code == 200
        assert caller.refresh(grant["refresh_token"]).status_code == 200


def test_a_grant_of_some_age_ends_by_its_fixed_lifetime_and_not_by_idleness(sim, caller):
    """It was given long ago, and in use until now."""
    [grant] = _give(sim, age="P364D").json()["grants"]
    renewed = caller.refresh(grant["refresh_token"])
    assert renewed.status_code == 200

    sim.advance("P1D")
    refused = caller.refresh(renewed.json()["refresh_token"])
    assert error_of(refused)[0] == "invalid_grant"


def test_a_user_has_no_more_approvals_than_through_the_pages(sim, caller):
    """Five, and a sixth pushes the oldest out; that figure is a switch."""
    oldest, *_ = _give(sim, count=5).json()["grants"]
    assert _give(sim).status_code == 201
    assert caller.refresh(oldest["refresh_token"]).status_code == 400

    assert _give(sim, count=6).status_code == 409
    sim.control.patch("/switches", json={"approvals_per_user_and_app": 6})
    assert _give(sim, count=6).status_code == 201


@pytest.mark.parametrize(
    ("change", "status"),
    [({"app": "Nobody's"}, 404), ({"user_id": "005xx0000012345AAA"}, 404), ({"count": 0}, 422)],
)
def test_what_is_not_there_is_not_given(sim, change, status):
    """Nor none at all."""
    assert _give(sim, **change).status_code == status


def test_an_org_that_lets_nobody_in_gives_nothing(sim):
    """The checks of the authorization page hold."""
    sim.change_policy(sim.org(), blocked=True)
    refused = _give(sim)
    assert refused.status_code == 409
    assert "would not let them" in refused.json()["detail"]
