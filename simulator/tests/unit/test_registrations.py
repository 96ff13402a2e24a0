"""Credentials follow from labels; a staged pair is valid for its time."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from orgsim.orgs.apps import App
from orgsim.orgs.registrations import Registration, Staged
from orgsim.randomness import Seeded

SEEDED = Seeded(seed=7, canary="canary123456")
NOW = datetime(2026, 11, 25, tzinfo=UTC)
MADE = Registration(
    app=App(
        name="Plain",
        namespace=None,
        consumer_key="",
        consumer_secret="",
        callback_urls=(),
        scopes=frozenset({"api"}),
    ),
    home_org="00D5g0000000001EAA",
    app_id="0xI5g0000000001EAA",
    consumer_id="8885g0000000001EAA",
    key_label="a",
    secret_label="a",
)
STAGED = Staged(
    staged_id="9v75g0000000001EAA",
    label="b",
    state="Active",
    created_by="005",
    created_at=NOW,
    expires_at=NOW + timedelta(days=30),
)


def test_key_and_secret_are_made_again_from_their_labels():
    """And the link that a package carries has no more than the first 15 characters."""
    app = MADE.live(SEEDED)
    assert app == MADE.live(Seeded(seed=7, canary="canary123456"))
    assert app.consumer_key.startswith("3MVG9")
    assert "canary123456" in app.consumer_secret
    assert MADE.oauth_link == "00D5g0000000001:8885g0000000001"
    assert replace(MADE, key_label="c").live(SEEDED).consumer_secret == app.consumer_secret


def test_a_staged_pair_stands_beside_the_one_in_force_until_its_time():
    """Orgs hold the app by the key in force."""
    made = replace(MADE, staged=STAGED)
    second = made.second(SEEDED, now=NOW)
    assert second.principal == made.live(SEEDED).consumer_key != second.consumer_key
    assert made.second(SEEDED, now=STAGED.expires_at) is None
    assert MADE.second(SEEDED, now=NOW) is None
