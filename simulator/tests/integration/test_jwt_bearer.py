"""The JWT bearer flow: an assertion that the app's certificate verifies stands for a user."""

from datetime import datetime

import pytest
from assertion_calls import assertion_of, certificate_of, make_key, present
from orgsim_caller import error_of
from orgsim_program import user_of

NOT_APPROVED = ("invalid_grant", "user hasn't approved this consumer")
INVALID = ("invalid_grant", "invalid assertion")


@pytest.fixture(scope="module")
def key():
    """Give the app's signing key."""
    return make_key()


@pytest.fixture
def signer(sim, caller, key):
    """Give a caller whose app has its certificate and an approval of the org's admin."""
    sim.change_app(certificate_pem=certificate_of(key))
    caller.connect(sim.org())
    return caller


def test_an_assertion_honours_an_earlier_approval(sim, signer, key):
    """The answer has these five fields, and no refresh token."""
    answer = present(signer, assertion_of(signer, key, user_of(sim.org())))
    assert answer.status_code == 200
    fields = answer.json()
    assert set(fields) == {"access_token", "scope", "instance_url", "id", "token_type"}
    assert fields["instance_url"] == signer.org_url(sim.org())
    assert signer.call(fields["access_token"]).status_code == 200


def test_whether_an_approval_is_honoured_is_a_switch(sim, signer, key):
    """Off, only an admin's leave counts."""
    sim.switch(jwt_bearer_honours_approval=False)
    assertion = assertion_of(signer, key, user_of(sim.org()))
    assert error_of(present(signer, assertion)) == NOT_APPROVED


def test_an_approval_is_a_persons_own(sim, signer, key):
    """Nobody else's, and gone with its grant."""
    other = user_of(sim.org(), "standard")
    assert error_of(present(signer, assertion_of(signer, key, other))) == NOT_APPROVED
    assert error_of(present(signer, assertion_of(signer, key, {"username": "x"}))) == NOT_APPROVED
    sim.change_policy(sim.org(), installed=False)
    again = assertion_of(signer, key, user_of(sim.org()))
    assert error_of(present(signer, again)) == NOT_APPROVED


def test_an_admins_leave_needs_no_approval(sim, signer, key):
    """Who is pre-authorized is let in; who is not, is told so."""
    org = sim.org("Oakhollow")
    let_in = assertion_of(signer, key, user_of(org, "integration"))
    assert present(signer, let_in).status_code == 200
    refused = assertion_of(signer, key, user_of(org, "standard"))
    assert error_of(present(signer, refused))[0] == "invalid_app_access"


def test_a_lost_refresh_token_does_not_matter_to_an_assertion(sim, signer, key):
    """The grant lives, whoever holds its token."""
    tokens = signer.connect(sim.org())
    signer.refresh(tokens["refresh_token"])
    assertion = assertion_of(signer, key, user_of(sim.org()))
    assert present(signer, assertion).status_code == 200


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"aud": "https://test.salesforce.com"}, ("invalid_grant", "audience is invalid")),
        ({"aud": "https://northwind.my.salesforce.com"}, ("invalid_grant", "audience is invalid")),
        ({"exp": 1_700_000_000}, INVALID),
        ({"exp": "soon"}, INVALID),
        ({"exp": float("nan")}, INVALID),
        ({"iss": "3MVG9unknown"}, ("invalid_client_id", "client identifier invalid")),
    ],
)
def test_claims_must_fit(sim, signer, key, changed, told):
    """Each that does not is named as Salesforce names it."""
    assertion = assertion_of(signer, key, user_of(sim.org()), **changed)
    assert error_of(present(signer, assertion)) == told


def test_what_is_no_assertion_is_refused(sim, signer, key):
    """Of another algorithm, or no three parts."""
    other = assertion_of(signer, key, user_of(sim.org()), alg="none")
    for text in (other, "a.b", "a.b.c", "", "YQ.YQ.YQ"):
        assert error_of(present(signer, text)) == INVALID


def test_another_key_is_wrong_credentials(sim, signer):
    """As is an app without a certificate."""
    told = ("invalid_client", "invalid client credentials")
    assertion = assertion_of(signer, make_key(), user_of(sim.org()))
    assert error_of(present(signer, assertion)) == told


def test_an_app_without_certificate_has_no_assertions(sim, caller, key):
    """Whatever signed them."""
    assertion = assertion_of(caller, key, user_of(sim.org()))
    assert error_of(present(caller, assertion))[0] == "invalid_client"


@pytest.mark.parametrize("exp", ["text", "milliseconds", "a day"])
def test_odd_ends_are_taken_unless_switched(sim, signer, key, exp):
    """Salesforce's own client sends milliseconds; a day is more than three minutes."""
    now = datetime.fromisoformat(sim.control.get("/clock").json()["now"]).timestamp()
    odd = {"text": str(int(now + 100)), "milliseconds": (now + 100) * 1000, "a day": now + 86_400}
    assertion = assertion_of(signer, key, user_of(sim.org()), exp=odd[exp])
    assert present(signer, assertion).status_code == 200
    sim.switch(assertion_lifetime="strict")
    assert present(signer, assertion).status_code == (200 if exp == "text" else 400)


def test_a_my_domain_is_an_audience_by_a_switch(sim, signer, key):
    """Some orgs take it; as a host it always serves."""
    mine = "https://northwind.my.salesforce.com"
    assertion = assertion_of(signer, key, user_of(sim.org()), aud=mine)
    sim.switch(my_domain_is_audience=True)
    assert present(signer, assertion, signer.org_url(sim.org())).status_code == 200


def test_an_app_needs_the_scope_refresh_token_for_assertions(sim, signer, key):
    """Although none is ever issued for one."""
    sim.change_app(scopes=["api", "id"])
    assertion = assertion_of(signer, key, user_of(sim.org()))
    assert error_of(present(signer, assertion))[0] == "invalid_request"


def test_a_deactivated_person_is_named_inactive(sim, signer, key):
    """Though they approved."""
    sim.change_user(sim.org(), user_of(sim.org()), active=False)
    assertion = assertion_of(signer, key, user_of(sim.org()))
    assert error_of(present(signer, assertion)) == ("invalid_grant", "inactive user")


def test_the_words_of_two_refusals_are_switches(sim, signer, key):
    """Both were seen for each."""
    sim.switch(
        expired_assertion_text="expired authorization code",
        wrong_audience_text="Audience validation failed",
    )
    over = assertion_of(signer, key, user_of(sim.org()), exp=1_700_000_000)
    assert error_of(present(signer, over)) == ("invalid_grant", "expired authorization code")
    astray = assertion_of(signer, key, user_of(sim.org()), aud="https://x.example")
    assert error_of(present(signer, astray)) == ("invalid_grant", "Audience validation failed")


def test_what_an_org_without_the_package_says_is_a_switch(sim, signer, key):
    """As if there were no such user, or no such app."""
    org = sim.org("Stonebridge")
    assertion = assertion_of(signer, key, user_of(org))
    assert error_of(present(signer, assertion)) == NOT_APPROVED
    sim.switch(assertion_without_package="unknown_client")
    assert error_of(present(signer, assertion))[0] == "invalid_client_id"


def test_an_assertion_can_come_again_unless_its_jti_is_remembered(sim, signer, key):
    """Inside its life."""
    assertion = assertion_of(signer, key, user_of(sim.org()), jti="one")
    assert [present(signer, assertion).status_code for _ in range(2)] == [200, 200]
    sim.switch(jti_is_remembered=True)
    assert present(signer, assertion).status_code == 200
    assert error_of(present(signer, assertion))[0] == "bad_jti_claim"


def test_whether_a_certificate_ends_is_a_switch(sim, signer, key):
    """By default nobody looks."""
    sim.advance("P3700D")
    caller = signer
    caller.connect(sim.org())
    assertion = assertion_of(caller, key, user_of(sim.org()))
    assert present(caller, assertion).status_code == 200
    sim.switch(certificate_end_is_checked=True)
    assert error_of(present(caller, assertion))[0] == "invalid_client"


def test_a_certificate_can_be_taken_away(sim, signer, key):
    """By an empty text; nothing is signed for then."""
    sim.change_app(certificate_pem="")
    assertion = assertion_of(signer, key, user_of(sim.org()))
    assert error_of(present(signer, assertion))[0] == "invalid_client"


def test_logins_by_assertion_are_counted(sim, signer, key):
    """By user, with those of other flows."""
    sim.switch(logins_per_hour=2)
    assertion = assertion_of(signer, key, user_of(sim.org()))
    answers = [present(signer, assertion) for _ in range(3)]
    assert error_of(answers[-1]) == ("rate_limit_exceeded", "login rate exceeded")


def test_a_blocked_app_is_named_so(sim, signer, key):
    """Whoever is named in the assertion."""
    sim.change_policy(sim.org("Oakhollow"), blocked=True)
    assertion = assertion_of(signer, key, user_of(sim.org("Oakhollow"), "integration"))
    assert error_of(present(signer, assertion))[0] == "app_blocked"


def test_what_is_no_certificate_is_not_taken(sim):
    """The control port says so."""
    answer = sim.control.patch("/apps/Acme", json={"certificate_pem": "nonsense"})
    assert answer.status_code == 409
    assert answer.json()["detail"] == "this is no X.509 certificate in PEM"
