"""Signing keys over the REST API: certificates come out, private halves never."""

from __future__ import annotations

from dataclasses import replace

import pytest

KEYS = "/v1/apps/app_one/signing-keys"


async def test_the_first_key_is_active_and_shows_its_certificate(house, admin):
    """Key id, certificate and its life, and nothing that signs."""
    made = await house.http.post(KEYS, headers=admin)

    said = made.json()
    assert made.status_code == 201
    assert (said["state"], said["usable"], said["problem"]) == ("active", True, None)
    assert said["certificate_pem"].startswith("-----BEGIN CERTIFICATE-----")
    assert said["not_before"] < said["created_at"] < said["not_after"]
    assert len(said["fingerprint"]) == 64
    assert "not-to-be-seen" not in made.text


async def test_the_app_says_when_its_certificate_ends(house, admin):
    """Null without a signing key; a problem from 30 days before the end, and after it."""

    async def certificate():
        return (await house.http.get("/v1/apps/app_one", headers=admin)).json()["certificate"]

    assert await certificate() is None
    key = (await house.http.post(KEYS, headers=admin, json={"days": 31})).json()
    assert await certificate() == {
        "signing_key_id": key["id"],
        "not_after": key["not_after"],
        "problem": None,
    }
    house.clock.advance(days=1, seconds=1)
    soon = (await certificate())["problem"]
    assert (soon["code"], soon["who"]) == ("certificate_expiring", "vendor")
    house.clock.advance(days=31)
    assert (await certificate())["problem"]["code"] == "certificate_expired"


@pytest.fixture
def reader(house):
    """Return headers of a key that may only read."""
    return house.headers(house.add_key("kt_live_reads-connections-only", "connections:read"))


async def test_a_key_whose_certificate_was_planted_is_not_listed(house, admin, reader):
    """It would be put into Salesforce; nor is it activated."""
    first, second = [(await house.http.post(KEYS, headers=admin)).json() for _ in range(2)]
    planted = "-----BEGIN CERTIFICATE-----\nYXR0\n-----END CERTIFICATE-----\n"
    kept = house.memory.signing_keys
    kept[second["id"]] = replace(kept[second["id"]], certificate_pem=planted)

    listed = (await house.http.get(KEYS, headers=reader)).json()["data"]
    active = await house.http.post(f"{KEYS}/{second['id']}/activate", headers=admin)

    assert [key["id"] for key in listed] == [first["id"]]
    assert (active.status_code, active.json()["code"]) == (503, "seal_refused")


async def test_keys_overlap_while_a_certificate_is_changed(house, admin, reader):
    """Staged, then active; the one before is retired, then forgotten by hand."""
    first = (await house.http.post(KEYS, headers=admin)).json()
    second = (await house.http.post(KEYS, headers=admin)).json()
    assert second["state"] == "staged"

    active = await house.http.post(f"{KEYS}/{second['id']}/activate", headers=admin)
    assert (active.status_code, active.json()["state"]) == (200, "active")
    listed = (await house.http.get(KEYS, headers=reader)).json()["data"]
    assert [(key["id"], key["state"]) for key in listed] == [
        (first["id"], "retired"),
        (second["id"], "active"),
    ]
    gone = await house.http.delete(f"{KEYS}/{first['id']}", headers=admin)
    assert (gone.json()["state"], gone.json()["usable"]) == ("retired", False)
    back = await house.http.post(f"{KEYS}/{first['id']}/activate", headers=admin)
    assert (back.status_code, back.json()["code"]) == (409, "signing_key_forgotten")


@pytest.mark.parametrize("days", [0, 3651, "many"])
async def test_a_certificate_lives_one_day_to_ten_years(house, admin, days):
    """Anything else is out of shape."""
    answer = await house.http.post(KEYS, headers=admin, json={"days": days})
    assert answer.status_code == 422


async def test_only_the_right_admin_makes_keys(house, reader, admin):
    """Reading is for readers; unknown apps and keys are not found."""
    assert (await house.http.post(KEYS, headers=reader)).status_code == 403
    assert (await house.http.get("/v1/apps/app_no/signing-keys", headers=admin)).status_code == 404
    assert (await house.http.post("/v1/apps/app_no/signing-keys", headers=admin)).status_code == 404
    assert (await house.http.delete(f"{KEYS}/sk_no", headers=admin)).status_code == 404
