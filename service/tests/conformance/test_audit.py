"""`ports.AuditLog` and `ports.AuditTrail`: durable, chained, and read in pages."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from service.tests.support.databases import Base
from service.tests.support.values import (
    CONNECTION,
    HOUR,
    OTHER_WORKSPACE,
    START,
    WORKSPACE,
    event,
)

from keyturn_service.domain.audit import CHAIN_START, AuditEvent, AuditRecord, record_hash
from keyturn_service.domain.ids import ConnectionId, WorkspaceId
from keyturn_service.ports import AuditUnavailable, CursorUnknown, StoreUnavailable


def numbered(number: int) -> AuditEvent:
    """Return an event that can be told from others."""
    return event(detail={"number": number})


def verified(chain: Sequence[AuditRecord], writer: str = "run_one") -> list[AuditEvent]:
    """See that a chain is whole; return its events."""
    previous = CHAIN_START
    for place, record in enumerate(chain, start=1):
        assert (record.writer, record.sequence, record.previous) == (writer, place, previous)
        previous = record_hash(record.event, writer=writer, sequence=place, previous=previous)
        assert record.hash == previous
    return [record.event for record in chain]


async def everything(
    base: Base,
    *,
    page: int = 100,
    connection_id: ConnectionId | None = None,
    type: str | None = None,
    since: datetime | None = None,
) -> list[AuditEvent]:
    """Return all events of the first workspace that are asked for, over all pages."""
    found: list[AuditEvent] = []
    cursor = None
    while True:
        got = await base.stores.audit_trail.list(
            WORKSPACE,
            connection_id=connection_id,
            type=type,
            since=since,
            limit=page,
            cursor=cursor,
        )
        assert len(got.items) <= page
        found += [record.event for record in got.items]
        cursor = got.next_cursor
        if cursor is None:
            return found


async def test_a_recorded_event_is_in_the_trail(base: Base) -> None:
    """As it was, in any script; another connection to the database sees it at once."""
    await base.audit_log().record(event())

    async with base.replica("spool_two") as other:
        page = await other.audit_trail.list(
            WORKSPACE, connection_id=None, type=None, since=None, limit=9, cursor=None
        )

    assert [record.event for record in page.items] == [event()]


@pytest.mark.parametrize(
    "text",
    [
        "quoted \"twice\" and 'once'",
        r"C:\x41 \\x41 \u0041 \n",
        "line\nend\r\ttab\x01\x7f",
        "emoji \U0001f511, Zürich, קשר, \u2028",
        '{"json": [1, null]}',
        "",
    ],
)
async def test_what_a_record_says_comes_back_to_the_letter(base: Base, text: str) -> None:
    """Whatever way it travels to the database; its hash is over it, so the chain stays whole."""
    odd = event(detail={"said": text, "none": None, "yes": True, "most": 2**53})

    await base.audit_log().record(odd)

    assert verified(await base.stores.audit_trail.chain("run_one")) == [odd]


async def test_a_chain_links_each_record_to_the_one_before(base: Base) -> None:
    """From the opening record to the closing one, which tells the length."""
    log = base.audit_log()
    await log.open()
    for number in range(3):
        await log.record(numbered(number))
    await log.close()

    events = verified(await base.stores.audit_trail.chain("run_one"))

    assert [one.type for one in events] == [
        "chain.opened",
        "token.read",
        "token.read",
        "token.read",
        "chain.closed",
    ]
    assert events[-1].detail == {"length": 5}


async def test_many_at_once_are_written_in_one_whole_chain(base: Base) -> None:
    """Group commit keeps order and links, and loses nobody."""
    log = base.audit_log()

    await asyncio.gather(*(log.record(numbered(number)) for number in range(600)))

    events = verified(await base.stores.audit_trail.chain("run_one"))
    assert [one.detail["number"] for one in events] == list(range(600))


async def test_each_run_has_a_chain_of_its_own(base: Base) -> None:
    """Replicas never wait for each other."""
    logs = [base.audit_log("run_one"), base.audit_log("run_two")]

    await asyncio.gather(*(log.record(numbered(n)) for n in range(20) for log in logs))

    for writer in ("run_one", "run_two"):
        events = verified(await base.stores.audit_trail.chain(writer), writer)
        assert [one.detail["number"] for one in events] == list(range(20))


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audit_events SET type = 'token.stored' WHERE sequence = 2",
        "UPDATE audit_events SET actor = 'key_two' WHERE sequence = 2",
        "UPDATE audit_events SET at = at + 1 WHERE sequence = 2",
        "UPDATE audit_events SET connection_id = NULL WHERE sequence = 2",
        "UPDATE audit_events SET workspace_id = 'ws_two' WHERE sequence = 2",
        """UPDATE audit_events SET detail = '{"number"\\:9}' WHERE sequence = 2""",
        "DELETE FROM audit_events WHERE sequence = 2",
    ],
)
async def test_a_changed_record_breaks_its_chain(base: Base, change: str) -> None:
    """Whatever of it was changed."""
    log = base.audit_log()
    for number in range(3):
        await log.record(numbered(number))
    verified(await base.stores.audit_trail.chain("run_one"))

    await base.execute(change)

    with pytest.raises(AssertionError):
        verified(await base.stores.audit_trail.chain("run_one"))


async def test_without_a_database_nothing_counts_as_recorded(base: Base) -> None:
    """Whoever waits is told; afterwards the same log goes on where it stood."""
    log = base.audit_log()
    await log.record(numbered(1))
    await base.break_it()

    told = await asyncio.gather(
        log.record(numbered(2)), log.record(numbered(3)), return_exceptions=True
    )

    assert [type(one) for one in told] == [AuditUnavailable, AuditUnavailable]
    await base.mend_it()
    await log.record(numbered(4))
    events = verified(await base.stores.audit_trail.chain("run_one"))
    assert [one.detail["number"] for one in events] == [1, 4]


async def test_who_shares_a_group_with_what_cannot_be_written_is_told(base: Base) -> None:
    """Whatever goes wrong, nobody waits for ever, and the log goes on."""
    log = base.audit_log()

    told = await asyncio.wait_for(
        asyncio.gather(
            log.record(event(detail={"number": object()})),
            log.record(numbered(2)),
            return_exceptions=True,
        ),
        timeout=10,
    )

    assert [type(one) for one in told] == [AuditUnavailable, AuditUnavailable]
    await log.record(numbered(3))
    events = verified(await base.stores.audit_trail.chain("run_one"))
    assert [one.detail["number"] for one in events] == [3]


@pytest.mark.parametrize(
    ("before", "kept"), [(True, [1, 3]), (False, [1, 2, 3])], ids=["undone", "durable"]
)
async def test_a_write_of_unknown_outcome_is_looked_up(
    base: Base, *, before: bool, kept: list[int]
) -> None:
    """Durable or not, the next record links to what the database has."""
    log = base.audit_log()
    await log.record(numbered(1))
    base.database.lose_before_commit = int(before)
    base.database.lose_after_commit = int(not before)

    with pytest.raises(AuditUnavailable):
        await log.record(numbered(2))
    await log.record(numbered(3))

    events = verified(await base.stores.audit_trail.chain("run_one"))
    assert [one.detail["number"] for one in events] == kept


async def test_an_unknown_outcome_of_the_first_write_is_looked_up_too(base: Base) -> None:
    """An empty chain is begun again."""
    log = base.audit_log()
    base.database.lose_before_commit = 1

    with pytest.raises(AuditUnavailable):
        await log.record(numbered(1))
    await log.record(numbered(2))

    events = verified(await base.stores.audit_trail.chain("run_one"))
    assert [one.detail["number"] for one in events] == [2]


async def test_two_logs_of_one_name_do_not_overwrite_each_other(base: Base) -> None:
    """The second one is told, looks again, and goes on behind the first."""
    first, second = base.audit_log(), base.audit_log()
    await first.record(numbered(1))

    with pytest.raises(AuditUnavailable):
        await second.record(numbered(2))
    await second.record(numbered(3))

    events = verified(await base.stores.audit_trail.chain("run_one"))
    assert [one.detail["number"] for one in events] == [1, 3]


async def test_an_event_is_kept_though_its_caller_left(base: Base) -> None:
    """A cancelled request does not take others' events along, nor its own."""
    log = base.audit_log()
    leaving = asyncio.create_task(log.record(numbered(1)))
    staying = asyncio.create_task(log.record(numbered(2)))
    await asyncio.sleep(0)

    leaving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await leaving
    await staying

    events = verified(await base.stores.audit_trail.chain("run_one"))
    assert [one.detail["number"] for one in events] == [1, 2]


async def test_an_event_that_belongs_to_no_workspace_is_in_no_workspaces_trail(
    base: Base,
) -> None:
    """Nor is another workspace's."""
    log = base.audit_log()
    await log.record(event(workspace_id=None))
    await log.record(event(workspace_id=OTHER_WORKSPACE))

    assert await everything(base) == []
    assert len(await base.stores.audit_trail.chain("run_one")) == 2


@pytest.mark.parametrize("page", [1, 2, 3, 7])
async def test_pages_give_every_event_once_in_order_of_time(base: Base, page: int) -> None:
    """Over all writers, also where many have the same time."""
    one, two = base.audit_log("run_one"), base.audit_log("run_two")
    for number, (log, minutes) in enumerate(
        [(one, 5), (one, 1), (two, 1), (two, 0), (one, 1), (two, 5), (two, 9)]
    ):
        at = START + timedelta(minutes=minutes)
        await log.record(event(at=at, detail={"number": number}))

    found = await everything(base, page=page)

    assert [one.detail["number"] for one in found] == [3, 1, 4, 2, 0, 5, 6]


async def test_the_trail_can_be_narrowed(base: Base) -> None:
    """By connection, by type, and from a moment on."""
    log = base.audit_log()
    later = START + HOUR
    other = ConnectionId("con_two")
    await log.record(event(detail={"number": 0}))
    await log.record(event(connection_id=other, detail={"number": 1}))
    await log.record(event(type="token.stored", detail={"number": 2}))
    await log.record(event(at=later, connection_id=None, detail={"number": 3}))

    def numbers(found: list[AuditEvent]) -> list[object]:
        return [one.detail["number"] for one in found]

    assert numbers(await everything(base, connection_id=CONNECTION)) == [0, 2]
    assert numbers(await everything(base, type="token.read")) == [0, 1, 3]
    assert numbers(await everything(base, since=later)) == [3]
    narrow = await everything(base, since=START, type="token.read", connection_id=other)
    assert numbers(narrow) == [1]
    assert await everything(base, since=later + timedelta(microseconds=1)) == []


def _sealed(said: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(said).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "é",
        "nonsense",
        _sealed([]),
        _sealed({"at": 1}),
        _sealed([1, "run_one"]),
        _sealed(["1", "run_one", 1]),
        _sealed([-1, "run_one", 1]),
        _sealed([10**30, "run_one", 1]),
        _sealed([2**60, "run_one", 1]),
        _sealed([1, "run\0one", 1]),
        _sealed([1, "run_one", -1]),
        _sealed([1, "run_one", 2**70]),
        _sealed([1.5, "run_one", 1]),
        _sealed([1, "run\ud800one", 1]),
        base64.urlsafe_b64encode(b"\xff\xfe").decode(),
        base64.urlsafe_b64encode(b"[" * 9000).rstrip(b"=").decode(),
    ],
)
async def test_a_cursor_that_is_not_ours_is_refused(base: Base, cursor: str) -> None:
    """As a value that is wrong, not as a fault of the database."""
    with pytest.raises(CursorUnknown):
        await base.stores.audit_trail.list(
            WORKSPACE, connection_id=None, type=None, since=None, limit=1, cursor=cursor
        )


async def test_a_silent_database_is_told_apart_from_an_empty_trail(base: Base) -> None:
    """Nothing recorded is not the same as nobody could look."""
    await base.break_it()

    with pytest.raises(StoreUnavailable):
        await everything(base)


async def test_a_workspace_that_is_not_there_has_no_trail(base: Base) -> None:
    """It is empty, not a fault."""
    page = await base.stores.audit_trail.list(
        WorkspaceId("ws_none"), connection_id=None, type=None, since=None, limit=1, cursor=None
    )

    assert (list(page.items), page.next_cursor) == ([], None)


async def test_an_event_that_is_not_urgent_is_written_all_the_same(base: Base) -> None:
    """Within moments, and at once where an urgent one comes."""
    log = base.audit_log()
    await log.open()

    await log.record(numbered(1), urgent=False)
    patient = asyncio.create_task(log.record(numbered(2), urgent=False))
    await asyncio.sleep(0)
    await log.record(numbered(3))

    assert patient.done()
    chain = await base.stores.audit_trail.chain("run_one")
    assert [one.detail.get("number") for one in verified(chain)] == [None, 1, 2, 3]
