"""`ports.Connections`: connections in pages, counted, searched and changed."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from service.tests.support.databases import Base
from service.tests.support.values import (
    APP,
    CONNECTION,
    HOUR,
    ORG,
    OTHER_ORG,
    OTHER_WORKSPACE,
    START,
    WORKSPACE,
    app,
    connection,
    private_key,
    signing_key,
    user,
)

from keyturn_core.salesforce.hosts import Environment, Origin
from keyturn_core.salesforce.ids import OrgId
from keyturn_service.domain.connection import Connection, ConnectionState, Renewal
from keyturn_service.domain.ids import AppId, ConnectionId, CustomerId, SigningKeyId
from keyturn_service.domain.signing_key import SigningKeyState
from keyturn_service.ports import ConnectionFilter, CursorUnknown, StoreUnavailable

ALL = ConnectionFilter()


async def ids(base: Base, asked: ConnectionFilter = ALL, *, page: int = 10) -> list[str]:
    """Return the ids of all connections that are asked for, over all pages."""
    found: list[str] = []
    cursor = None
    while True:
        got = await base.stores.connections.list(WORKSPACE, asked, limit=page, cursor=cursor)
        assert len(got.items) <= page
        found += [one.id for one in got.items]
        cursor = got.next_cursor
        if cursor is None:
            return found


async def test_a_connection_is_found_in_its_workspace_only(base: Base) -> None:
    """Another workspace has no such connection."""
    await base.with_connection()

    assert await base.stores.connections.get(WORKSPACE, CONNECTION) == connection()
    assert await base.stores.connections.get(OTHER_WORKSPACE, CONNECTION) is None
    assert await base.stores.connections.get(WORKSPACE, ConnectionId("con_two")) is None
    other = await base.stores.connections.list(OTHER_WORKSPACE, ALL, limit=9, cursor=None)
    assert list(other.items) == []
    assert await base.stores.connections.count(OTHER_WORKSPACE, ALL) == 0


@pytest.mark.parametrize("page", [1, 2, 3, 5, 6])
async def test_pages_give_every_connection_once_oldest_first(base: Base, page: int) -> None:
    """Also where several were made at the same moment."""
    ages = {"con_e": 0, "con_b": 1, "con_a": 1, "con_d": 2, "con_c": 3}
    for name, age in ages.items():
        made_at = START + age * timedelta(microseconds=1)
        await base.with_connection(id=ConnectionId(name), created_at=made_at)

    assert await ids(base, page=page) == ["con_e", "con_a", "con_b", "con_d", "con_c"]
    assert await base.stores.connections.count(WORKSPACE, ALL) == 5


async def test_a_full_last_page_says_that_it_is_the_last(base: Base) -> None:
    """No cursor leads to an empty page."""
    await base.with_connection()

    page = await base.stores.connections.list(WORKSPACE, ALL, limit=1, cursor=None)

    assert page.next_cursor is None


async def test_a_connection_made_between_two_pages_is_not_missed(base: Base) -> None:
    """A cursor names a place, not a number."""
    await base.with_connection()
    await base.with_connection(id=ConnectionId("con_two"), created_at=START + HOUR)
    first = await base.stores.connections.list(WORKSPACE, ALL, limit=1, cursor=None)
    await base.with_connection(id=ConnectionId("con_zero"), created_at=START - HOUR)

    second = await base.stores.connections.list(WORKSPACE, ALL, limit=9, cursor=first.next_cursor)

    assert [one.id for one in second.items] == ["con_two"]


def _sealed(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "nonsense",
        "é",
        "====",
        _sealed("1"),
        _sealed("x:con_one"),
        _sealed("-1:con_one"),
        _sealed("٣:con_one"),
        _sealed("9" * 30 + ":con_one"),
        _sealed("999999999999999999:con_one"),
        _sealed("1:con\0one"),
        _sealed("1:"),
        base64.urlsafe_b64encode(b"\xff\xfe:").decode(),
    ],
)
async def test_a_cursor_that_is_not_ours_is_refused(base: Base, cursor: str) -> None:
    """As a value that is wrong, not as a fault of the database."""
    with pytest.raises(CursorUnknown):
        await base.stores.connections.list(WORKSPACE, ALL, limit=1, cursor=cursor)


async def test_a_cursor_without_its_padding_is_ours(base: Base) -> None:
    """Cursors of every length are read back."""
    for number in range(4):
        name = ConnectionId("con_" + "x" * number)
        await base.with_connection(id=name, created_at=START + number * HOUR)

    assert len(await ids(base, page=1)) == 4


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (ConnectionFilter(customer_id=CustomerId("initech")), ["con_b"]),
        (ConnectionFilter(customer_id=CustomerId("nobody")), []),
        (ConnectionFilter(state=ConnectionState.UNCERTAIN), ["con_b"]),
        (ConnectionFilter(environment=Environment.SANDBOX), ["con_a"]),
        (ConnectionFilter(org_id=OTHER_ORG), ["con_b"]),
        (ConnectionFilter(app_id=APP), ["con_a", "con_b"]),
        (ConnectionFilter(app_id=AppId("app_two")), []),
        (
            ConnectionFilter(state=ConnectionState.ACTIVE, environment=Environment.PRODUCTION),
            [],
        ),
        (ConnectionFilter(search="GLOBEX"), ["con_a"]),
        (ConnectionFilter(search="ada@"), ["con_a"]),
        (ConnectionFilter(search="peter.g"), ["con_b"]),
        (ConnectionFilter(search="INITECH"), ["con_b"]),
        (ConnectionFilter(search="100%"), ["con_b"]),
        (ConnectionFilter(search="%"), ["con_b"]),
        (ConnectionFilter(search="_"), []),
        (ConnectionFilter(search="'; --"), []),
        (ConnectionFilter(search=""), ["con_a", "con_b"]),
    ],
)
async def test_only_what_is_asked_for_is_listed_and_counted(
    base: Base, asked: ConnectionFilter, found: list[str]
) -> None:
    """Exact where a field is named; part of a name, any case, where text is searched."""
    await base.with_connection(id=ConnectionId("con_a"), environment=Environment.SANDBOX)
    await base.with_connection(
        id=ConnectionId("con_b"),
        customer_id=CustomerId("initech"),
        org_id=OTHER_ORG,
        org_name="Initech 100% pure",
        state=ConnectionState.UNCERTAIN,
        user=user(username="peter@init.example", email="Peter.Gibbons@init.example"),
        created_at=START + HOUR,
    )

    assert await ids(base, asked, page=1) == found
    assert await base.stores.connections.count(WORKSPACE, asked) == len(found)


async def test_a_search_takes_a_missing_name_for_no_match(base: Base) -> None:
    """A connection whose org may not be read is found by its other fields."""
    await base.with_connection(org_name=None, user=user(email=None))

    assert await ids(base, ConnectionFilter(search="ada@")) == [CONNECTION]
    assert await ids(base, ConnectionFilter(search="none")) == []


async def test_an_apps_connections_to_an_org_are_found(base: Base) -> None:
    """Pending ones included, revoked ones not; not another app's, nor another org's."""
    await base.stores.apps.add(app(id=AppId("app_two")))
    await base.with_connection(id=ConnectionId("con_old"), state=ConnectionState.REVOKED)
    await base.with_connection(id=ConnectionId("con_b"), created_at=START + HOUR)
    await base.with_connection(id=ConnectionId("con_a"), state=ConnectionState.PENDING)
    await base.with_connection(id=ConnectionId("con_other"), org_id=OTHER_ORG)
    await base.with_connection(id=ConnectionId("con_app"), app_id=AppId("app_two"))

    found = await base.stores.connections.of_org(APP, ORG)

    assert [one.id for one in found] == ["con_a", "con_b"]


async def test_a_change_touches_one_field_of_one_connection(base: Base) -> None:
    """The rest, and every other connection, stays."""
    await base.with_connection()
    await base.with_connection(id=ConnectionId("con_two"))
    moved = Origin("https://globex-two.my.salesforce.com")

    await base.stores.connections.set_instance_url(CONNECTION, moved)
    await base.stores.connections.set_keep_alive(CONNECTION, keep_alive=False, now=START)

    kept = await base.stores.connections.get(WORKSPACE, CONNECTION)
    assert kept == replace(connection(), instance_url=moved, keep_alive=False)
    other = await base.stores.connections.get(WORKSPACE, ConnectionId("con_two"))
    assert other == connection(id=ConnectionId("con_two"))


CLAIM = timedelta(seconds=30)


async def claimed(base: Base, *, days: int, limit: int = 10) -> list[str]:
    """Claim what is due so many days after the start; return the ids."""
    now = START + timedelta(days=days)
    due = await base.stores.connections.claim_due(now, ttl=CLAIM, limit=limit)
    return sorted(one.id for one, _ in due)


async def claim(base: Base, *, days: int) -> tuple[Connection, datetime]:
    """Claim the only connection that is due then, by a claim that has ended at once."""
    now = START + timedelta(days=days)
    [due] = await base.stores.connections.claim_due(now, ttl=timedelta(0), limit=9)
    return due


async def test_what_is_due_is_claimed_by_one(base: Base) -> None:
    """Not before its time, and not again before the claim ends by the database's clock."""
    await base.with_connection()

    assert await claimed(base, days=9) == []
    assert (await claim(base, days=24))[0] == connection()
    assert await claimed(base, days=24) == [CONNECTION]
    assert await claimed(base, days=24) == []
    assert await claimed(base, days=1000) == [], "whatever a replica's clock says"


async def test_the_most_overdue_are_claimed_first(base: Base) -> None:
    """As many as are asked for."""
    for number in range(3):
        one = ConnectionId(f"con_{number}")
        await base.with_connection(id=one, org_id=OrgId(f"00D5g00000{number}bLxZEAU"))
        await base.stores.connections.set_keep_alive(
            one, keep_alive=True, now=START + timedelta(days=9 - number)
        )

    assert await claimed(base, days=9, limit=2) == ["con_1", "con_2"]


async def test_a_claim_is_taken_once_by_replicas_side_by_side(base: Base) -> None:
    """Rows that another one holds are passed over."""
    for number in range(12):
        await base.with_connection(
            id=ConnectionId(f"con_{number:02}"), org_id=OrgId(f"00D5g0000{number:02}bLxZEAU")
        )

    async with base.replica("spool_two") as other:
        now = START + timedelta(days=24)
        found = await asyncio.gather(
            *(
                stores.connections.claim_due(now, ttl=CLAIM, limit=4)
                for stores in (base.stores, other) * 3
            )
        )

    ids = [one.id for due in found for one, _ in due]
    assert len(ids) == len(set(ids))


async def test_what_was_looked_after_is_due_when_it_is_said(base: Base) -> None:
    """Or never, by itself."""
    await base.with_connection()
    looked, first = await claim(base, days=24)
    later = START + timedelta(days=30)
    looked_after = base.stores.connections.looked_after

    await looked_after(looked, claim=first, due_at=later)

    assert await base.stores.connections.get(WORKSPACE, CONNECTION) == connection()
    assert await claimed(base, days=29) == []
    looked, second = await claim(base, days=30)
    await looked_after(looked, claim=second, due_at=None)
    assert await claimed(base, days=300) == []


@pytest.mark.parametrize("due_at", [None, START + timedelta(days=300)])
async def test_what_became_due_meanwhile_stays_so(base: Base, due_at: datetime | None) -> None:
    """The vendor wants it kept alive again, while it is looked after as one that was let go."""
    await base.with_connection()
    connections = base.stores.connections
    await connections.set_keep_alive(CONNECTION, keep_alive=False, now=START)
    looked, claim_of_old = await claim(base, days=0)
    await connections.set_keep_alive(CONNECTION, keep_alive=True, now=START)

    await connections.looked_after(looked, claim=claim_of_old, due_at=due_at)

    assert await claimed(base, days=0) == [CONNECTION]


async def test_a_claim_that_ended_puts_nothing_off(base: Base) -> None:
    """Whoever claimed it since says when it is due next."""
    await base.with_connection()
    looked, first = await claim(base, days=24)
    _, second = await claim(base, days=24)

    await base.stores.connections.looked_after(looked, claim=first, due_at=None)

    assert (await claim(base, days=24))[1] > second > first


async def test_a_generation_that_came_meanwhile_keeps_its_own_time(base: Base) -> None:
    """Who looked after the one before says nothing about it."""
    await base.with_connection()
    due = connection().due_at()
    assert due is not None

    await base.stores.connections.looked_after(connection(generation=0), claim=due, due_at=None)

    assert await claimed(base, days=24) == [CONNECTION]


async def test_the_latest_warning_is_kept(base: Base) -> None:
    """An earlier one that is noted later changes nothing; one of nowhere neither."""
    await base.with_connection()
    connections = base.stores.connections

    for at in (START, START + HOUR, START):
        await connections.set_warned(CONNECTION, at)
    await connections.set_warned(ConnectionId("con_nowhere"), START)

    kept = await connections.get(WORKSPACE, CONNECTION)
    assert kept == connection(warned_at=START + HOUR)
    assert await claimed(base, days=24) == [CONNECTION]


async def test_what_hangs_on_a_certificate_is_looked_at_when_another_one_signs(
    base: Base,
) -> None:
    """Added as the active one, or activated; what is refreshed has its time still."""
    keys, by_assertion = base.stores.signing_keys, ConnectionId("con_jwt")
    await base.with_connection()
    await base.with_connection(id=by_assertion, org_id=OTHER_ORG, renewal=Renewal.JWT_BEARER)

    async def looked_after(*, day: int) -> None:
        looked, latest = await claim(base, days=day)
        assert looked.id == by_assertion
        await base.stores.connections.looked_after(looked, claim=latest, due_at=None)
        assert await claimed(base, days=9) == []

    await looked_after(day=1)
    assert await keys.add(signing_key(created_at=START), private_key())
    await looked_after(day=2)
    staged = signing_key(id=SigningKeyId("sk_two"), state=SigningKeyState.STAGED)
    assert await keys.add(staged, private_key())
    assert await claimed(base, days=9) == []
    assert await keys.activate(staged, at=START + HOUR)
    assert await claimed(base, days=2) == [by_assertion]


async def test_the_latest_use_is_kept(base: Base) -> None:
    """An earlier one that comes later changes nothing; one of nowhere neither."""
    await base.with_connection()
    connections = base.stores.connections

    await connections.touch_used({CONNECTION: START + HOUR, ConnectionId("con_nowhere"): START})
    await connections.touch_used({CONNECTION: START})
    await connections.touch_used({})

    kept = await connections.get(WORKSPACE, CONNECTION)
    assert kept is not None
    assert kept.last_used_at == START + HOUR


async def test_a_silent_database_is_told_apart_from_no_connection(base: Base) -> None:
    """Nobody reads "not found" out of silence."""
    await base.break_it()

    with pytest.raises(StoreUnavailable):
        await base.stores.connections.get(WORKSPACE, CONNECTION)
    with pytest.raises(StoreUnavailable):
        await base.stores.connections.touch_used({CONNECTION: START})
