"""Open questions are switches: read from text, refused where they are none."""

from dataclasses import fields
from pathlib import Path

import pytest

import orgsim
from orgsim.orgs.policies import Switches, switches_from

DIVERGENCES = Path(orgsim.__file__).parent / "DIVERGENCES.md"


def test_switches_are_read_from_text():
    """Each in its own type."""
    pairs = [
        ("rotation_grace_seconds", "30"),
        ("reuse_cascades", "true"),
        ("denial_code", "access-denied"),
    ]
    switches = switches_from(pairs, Switches())
    assert switches.rotation_grace_seconds == 30
    assert switches.reuse_cascades is True
    assert switches.denial_code == "access-denied"


@pytest.mark.parametrize(
    ("pair", "told"),
    [
        (("no_such", "1"), "there is no switch no_such"),
        (("identity_host", "moon"), "the switch identity_host: "),
        (("reuse_cascades", "perhaps"), "the switch reuse_cascades: "),
    ],
)
def test_what_is_no_switch_is_named(pair, told):
    """With what is wrong about it."""
    with pytest.raises(ValueError, match=told):
        switches_from([pair], Switches())


def test_each_switch_is_explained():
    """With its default, where the divergences are."""
    text = DIVERGENCES.read_text("utf-8")
    missing = [switch.name for switch in fields(Switches) if f"`{switch.name}`" not in text]
    assert missing == []
