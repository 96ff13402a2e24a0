"""Writes with an `Idempotency-Key` are done once."""

from __future__ import annotations

import asyncio

import pytest

from keyturn_service.domain.api_key import Right
from keyturn_service.ports import KeptAnswer

ASKED = {"name": "reporting", "rights": ["connections:read"]}


async def posted(house, headers, key, *, path="/v1/api-keys", body=None):
    """Send a write under an idempotency key."""
    return await house.http.post(
        path, headers={**headers, "Idempotency-Key": key}, json=body or ASKED
    )


async def test_a_repeated_write_is_done_once_and_answered_the_same(house, admin):
    """Down to the secret that is shown once, because the first answer may have been lost."""
    first = await posted(house, admin, "one")
    second = await posted(house, admin, "one")

    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert second.headers["idempotency-replayed"] == "true"
    assert len(house.memory.keys) == 2


async def test_an_answer_without_a_body_is_repeated_too(house, admin):
    """204 stays 204."""
    made = (await posted(house, admin, "one")).json()
    headers = {**admin, "Idempotency-Key": "two"}
    first = await house.http.delete(f"/v1/api-keys/{made['id']}", headers=headers)
    second = await house.http.delete(f"/v1/api-keys/{made['id']}", headers=headers)

    assert (first.status_code, second.status_code, second.content) == (204, 204, b"")


async def test_a_key_is_for_one_request(house, admin):
    """Another body or address under the same key is a mistake, and is not done."""
    await posted(house, admin, "one")
    other_body = await posted(house, admin, "one", body={**ASKED, "name": "another"})
    other_path = await posted(
        house, admin, "one", path="/v1/connections/con_one/proxy-sessions", body={"ttl": "PT1H"}
    )

    assert other_body.status_code == other_path.status_code == 409
    assert other_body.json()["code"] == other_path.json()["code"] == "idempotency_key_reused"
    assert len(house.memory.keys) == 2


async def test_a_refused_write_may_be_asked_again(house, admin):
    """Nothing was done, so nothing is kept."""
    wrong = await posted(house, admin, "one", body={"name": "x"})
    right = await posted(house, admin, "one")

    assert (wrong.status_code, right.status_code) == (422, 201)


async def test_a_write_that_is_still_at_work_is_not_begun_again(house, admin):
    """The second caller is told to ask later."""
    answers = await asyncio.gather(*(posted(house, admin, "one") for _ in range(8)))

    made = {answer.json()["id"] for answer in answers if answer.status_code == 201}
    refused = {answer.json()["code"] for answer in answers if answer.status_code == 409}
    assert len(made) == 1
    assert refused <= {"idempotency_key_in_use"}
    assert len(house.memory.keys) == 2


async def test_a_claim_without_an_answer_is_waited_for(house, admin):
    """409 with the time after which to ask again."""
    await posted(house, admin, "one")
    ((where, kept),) = house.memory.answers.items()
    claim = KeptAnswer(request_hash=kept.request_hash, status=None, body=b"")
    house.memory.answers[where] = claim

    answer = await posted(house, admin, "one")

    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_key_in_use")
    assert int(answer.headers["retry-after"]) > 0


async def test_keys_of_two_clients_never_meet(house, admin):
    """Another API key of the same workspace does not get the first one's secret."""
    other = house.headers(house.add_key("kt_live_another-admin-of-it", *Right))
    first = await posted(house, admin, "one")
    second = await posted(house, other, "one")

    assert second.status_code == 201
    assert first.json()["key"] != second.json()["key"]


async def test_nobody_gets_an_answer_without_the_right(house, admin):
    """The right is looked at before what is kept."""
    weak = house.headers(house.add_key("kt_live_reads-connections-only", "connections:read"))
    await posted(house, admin, "one")

    answer = await posted(house, weak, "one")

    assert answer.status_code == 403


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "\u00e9"])
async def test_a_key_out_of_shape_is_refused(house, admin, key):
    """Nothing is done under it."""
    answer = await house.http.post(
        "/v1/api-keys", headers={**admin, "Idempotency-Key": key.encode()}, json=ASKED
    )

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert len(house.memory.keys) == 1


async def test_what_is_kept_does_not_name_the_key(house, admin):
    """A key may hold anything a client thinks of; it is kept as a hash."""
    await posted(house, admin, "order-of-ada@northwind.example")

    ((_, kept_under),) = house.memory.answers
    assert "ada" not in kept_under


async def test_what_was_done_is_answered_though_it_cannot_be_kept(house, admin):
    """The write stays done; its caller must hear so."""
    house.memory.answers_down = True

    answer = await posted(house, admin, "one")

    assert answer.status_code == 201
    assert len(house.memory.keys) == 2


async def test_a_refusal_is_told_though_its_key_cannot_be_given_back(house, admin):
    """The refusal goes first."""
    house.memory.answers_down = True

    answer = await posted(house, admin, "one", body={"name": "x"})

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
