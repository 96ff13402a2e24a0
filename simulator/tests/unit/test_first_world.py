"""The world that a seed makes."""

from __future__ import annotations

import pytest

from orgsim.orgs.first_world import PLANS, make_apps, make_installations, make_org
from orgsim.randomness import Seeded


@pytest.mark.parametrize("bare", [False, True])
def test_in_a_bare_world_no_org_has_the_vendors_package(*, bare: bool) -> None:
    """Else those have it whose plan says so; the policies are the same."""
    seeded = Seeded(seed=7, canary="CANARY0123456789")
    orgs = tuple(make_org(plan, seeded=seeded) for plan in PLANS)
    acme = make_apps(seeded=seeded, callbacks=(), scratch_callbacks=())[0]

    made = make_installations(orgs, acme, bare=bare)

    expected = [plan.package_installed and not bare for plan in PLANS]
    assert [policy.installed for policy in made] == expected
    assert [policy.permitted_users for policy in made] == [p.permitted_users for p in PLANS]
