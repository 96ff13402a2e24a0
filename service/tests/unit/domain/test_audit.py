"""`domain.audit`: records that hang on the ones before them."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from service.tests.support.values import OTHER_WORKSPACE, START, event

from keyturn_service.domain.audit import (
    CHAIN_START,
    AuditRecord,
    chained,
    hashes_to_itself,
    record_hash,
)
from keyturn_service.domain.ids import ConnectionId


def test_a_record_holds_its_event_and_the_hash_of_all_it_says() -> None:
    """The hash is that of `record_hash`: whoever verifies needs nothing else."""
    made = chained(event(), writer="run_one", sequence=1, previous=CHAIN_START)

    expected = record_hash(event(), writer="run_one", sequence=1, previous=CHAIN_START)
    assert made == AuditRecord(
        writer="run_one", sequence=1, event=event(), previous=CHAIN_START, hash=expected
    )


def test_a_chain_starts_from_nothing() -> None:
    """As many zero bytes as a hash has."""
    assert bytes(32) == CHAIN_START


def test_the_format_stays_as_it_is() -> None:
    """Chains that were written years ago verify: format, record before, then JSON as UTF-8."""
    text = (
        '["run_one",7,"token.read","2026-11-24T12:00:00.123456+00:00","ws_one","key_one",'
        '"con_one",{"about":"Zürich","again":false,"generation":1,"nothing":null}]'
    )
    expected = hashlib.sha256(b"keyturn-audit-1\x00" + b"p" * 32 + text.encode()).digest()

    assert record_hash(event(), writer="run_one", sequence=7, previous=b"p" * 32) == expected


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "token.stored"},
        {"at": START + timedelta(microseconds=1)},
        {"workspace_id": OTHER_WORKSPACE},
        {"workspace_id": None},
        {"actor": "user"},
        {"connection_id": ConnectionId("con_two")},
        {"connection_id": None},
        {"detail": {}},
        {"detail": {"generation": 2, "again": False, "about": "Zürich", "nothing": None}},
        {"detail": {"generation": "1", "again": False, "about": "Zürich", "nothing": None}},
        {"detail": {"generation": 1, "again": 0, "about": "Zürich", "nothing": None}},
    ],
)
def test_whatever_an_event_says_is_in_its_hash(changes: dict[str, Any]) -> None:
    """None of it can be changed unseen."""
    place: dict[str, Any] = {"writer": "run_one", "sequence": 1, "previous": CHAIN_START}

    assert record_hash(event(**changes), **place) != record_hash(event(), **place)


@pytest.mark.parametrize(
    "changes", [{"writer": "run_two"}, {"sequence": 2}, {"previous": b"\x01" * 32}]
)
def test_the_place_in_the_chain_is_in_the_hash(changes: dict[str, Any]) -> None:
    """No record moves to another place or chain unseen."""
    place: dict[str, Any] = {"writer": "run_one", "sequence": 1, "previous": CHAIN_START}

    assert record_hash(event(), **(place | changes)) != record_hash(event(), **place)


def test_the_order_of_details_says_nothing() -> None:
    """A database may give them back in another one."""
    place: dict[str, Any] = {"writer": "run_one", "sequence": 1, "previous": CHAIN_START}
    turned = {name: event().detail[name] for name in reversed(list(event().detail))}

    assert list(turned) != list(event().detail)
    assert record_hash(event(detail=turned), **place) == record_hash(event(), **place)


@pytest.mark.parametrize(
    ("changes", "fits"),
    [
        ({}, True),
        ({"hash": bytes(32)}, False),
        ({"sequence": 2}, False),
        ({"event": event(detail={"number": 2**70})}, False),
    ],
)
def test_a_record_hashes_to_itself_or_was_changed(changes: dict[str, Any], *, fits: bool) -> None:
    """Also to what no record can be."""
    record = chained(event(), writer="run_one", sequence=1, previous=CHAIN_START)

    assert hashes_to_itself(replace(record, **changes)) is fits
