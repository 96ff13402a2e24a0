"""Opening the Dev Hub org: in a private home, and with nothing left of it."""

from __future__ import annotations

import signal

import pytest

from keyturn_builder.errors import BuilderError
from keyturn_builder.sf_cli import SfAnswer

SHOWN = {"id": "00D5g00000AcmeXEAR", "instanceUrl": "https://hub.my.salesforce.com"}


def test_the_vendors_own_authorization_is_used(open_hub, sf) -> None:
    """Org and token are asked in the vendor's home, the token goes by the environment."""
    with open_hub() as hub:
        assert hub.instance_url == "https://hub.my.salesforce.com"
        assert (hub.home / "work") == hub.work
        assert hub.work.stat().st_mode & 0o777 == 0o755
        assert hub.home.stat().st_mode & 0o777 == 0o700
    assert [call[:3] for call in sf.calls] == [
        ("org", "display", "--target-org"),
        ("org", "auth", "show-access-token"),
        ("org", "login", "access-token"),
    ]
    assert sf.homes == {hub.home}
    assert not hub.home.exists()
    assert "dummy" not in repr(hub)


@pytest.mark.parametrize(
    ("words", "answer", "code"),
    [
        ("org display", SfAnswer(status=1, name="NamedOrgNotFoundError"), "dev_hub_unknown"),
        (
            "org display",
            SfAnswer(status=0, result={**SHOWN, "connectedStatus": "RefreshTokenAuthError"}),
            "dev_hub_session_ended",
        ),
        ("org display", SfAnswer(status=0, result={**SHOWN, "id": "?"}), "sf_unreadable"),
        ("org display", SfAnswer(status=0, result={**SHOWN, "instanceUrl": ""}), "sf_unreadable"),
        ("org display", SfAnswer(status=0, result=[]), "sf_unreadable"),
        ("org auth show-access-token", SfAnswer(status=0, result={}), "dev_hub_session_ended"),
        (
            "org login access-token",
            SfAnswer(status=1, message="INVALID_SESSION_ID"),
            "dev_hub_session_ended",
        ),
    ],
)
def test_an_org_that_cannot_be_opened_says_why(
    open_hub, sf, words: str, answer: SfAnswer, code: str
) -> None:
    """And leaves nothing behind either."""
    sf.refuses[words] = answer
    with pytest.raises(BuilderError) as refusal, open_hub():
        pass
    assert refusal.value.code == code
    log_in = "sf org login web --set-default-dev-hub --alias acme-hub"
    assert (refusal.value.where == log_in) == code.startswith("dev_hub_")
    assert not any(home.exists() for home in sf.homes)


def test_a_run_that_is_terminated_unwinds(open_hub) -> None:
    """SIGTERM would leave the home with its authorization."""
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as left, open_hub() as hub:
        signal.raise_signal(signal.SIGTERM)
    assert left.value.code == 128 + signal.SIGTERM
    assert not hub.home.exists()
    assert signal.getsignal(signal.SIGTERM) is before


def test_steps_are_told_and_timed(open_hub, told: list[str]) -> None:
    """What passed inside `sf` is counted apart."""
    with open_hub() as hub:
        summed = hub.steps.summed()
    assert told == ["find the Dev Hub org acme-hub", "open a private session"]
    assert [step["name"] for step in summed["steps"]] == told
    assert set(summed["seconds"]) == {"keyturn", "sf"}
