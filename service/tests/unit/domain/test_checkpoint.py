"""`domain.checkpoint`: what is signed, and how it is written down."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from service.tests.support.values import START

from keyturn_service.domain.checkpoint import (
    ChainEnd,
    Checkpoint,
    CheckpointUnreadable,
    SignedCheckpoint,
    read_checkpoint,
    read_hex,
    read_public_key,
    written_checkpoint,
)

ONE = ChainEnd(writer="run_one", length=7, head=bytes(range(32)))
TWO = ChainEnd(writer="run_two", length=1, head=b"h" * 32)
CHECKPOINT = Checkpoint(made_at=START, chains=[ONE, TWO])
SIGNED = SignedCheckpoint(checkpoint=CHECKPOINT, public_key=b"p" * 32, signature=b"s" * 64)


def document(**changes: Any) -> dict[str, Any]:
    """Return the document as a program reads it, changed."""
    return {**json.loads(written_checkpoint(SIGNED)), **changes}


def read(**changes: Any) -> SignedCheckpoint:
    """Read the changed document."""
    return read_checkpoint(json.dumps(document(**changes)).encode())


def test_what_is_signed_stays_as_it_is() -> None:
    """Checkpoints that were exported years ago verify."""
    expected = (
        b"keyturn-audit-checkpoint-1\x00"
        b'["2026-11-24T12:00:00.123456+00:00",[["run_one",7,"'
        + bytes(range(32)).hex().encode()
        + b'"],["run_two",1,"'
        + (b"h" * 32).hex().encode()
        + b'"]]]'
    )

    assert CHECKPOINT.message() == expected
    assert Checkpoint(made_at=START, chains=[]).message().endswith(b'+00:00",[]]')


def test_the_document_stays_as_it_is() -> None:
    """Other programs read it too."""
    assert document() == {
        "format": "keyturn-audit-checkpoint-1",
        "made_at": "2026-11-24T12:00:00.123456+00:00",
        "chains": [
            {"writer": "run_one", "length": 7, "head": ONE.head.hex()},
            {"writer": "run_two", "length": 1, "head": TWO.head.hex()},
        ],
        "public_key": "70" * 32,
        "signature": "73" * 64,
    }
    assert written_checkpoint(SIGNED).startswith('{\n "format": "keyturn-audit-checkpoint-1",\n')
    assert written_checkpoint(SIGNED).endswith("\n}\n")


def test_what_was_written_is_read() -> None:
    """Also with no chain at all."""
    nothing = replace(SIGNED, checkpoint=Checkpoint(made_at=START, chains=[]))

    assert read_checkpoint(written_checkpoint(SIGNED).encode()) == SIGNED
    assert read_checkpoint(written_checkpoint(nothing).encode()) == nothing


@pytest.mark.parametrize(
    "changes",
    [
        {"made_at": START + timedelta(microseconds=1)},
        {"made_at": START.astimezone(timezone(timedelta(hours=1)))},
        {"chains": [ONE]},
        {"chains": [TWO, ONE]},
        {"chains": [replace(ONE, length=8), TWO]},
        {"chains": [replace(ONE, writer="run_0"), TWO]},
        {"chains": [replace(ONE, head=bytes(32)), TWO]},
    ],
)
def test_whatever_a_checkpoint_says_is_signed(changes: dict[str, Any]) -> None:
    """Nothing of it changes without the signature."""
    assert replace(CHECKPOINT, **changes).message() != CHECKPOINT.message()


_CHAIN = {"writer": "run_one", "length": 7, "head": "00" * 32}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": "keyturn-audit-checkpoint-2"}, "keyturn-audit-checkpoint-1"),
        ({"made_at": "2026-11-24T12:00:00"}, "keyturn-audit-checkpoint-1"),
        ({"made_at": "yesterday"}, "yesterday"),
        ({"made_at": 7}, "made_at"),
        ({"chains": {}}, "chains"),
        ({"chains": [_CHAIN, _CHAIN]}, "^its chains.*twice$"),
        ({"chains": [_CHAIN, {**_CHAIN, "writer": "run_0"}]}, "ascending"),
        ({"chains": [{**_CHAIN, "length": 0}]}, "length"),
        ({"chains": [{**_CHAIN, "length": "7"}]}, "length"),
        ({"chains": [{**_CHAIN, "head": "00" * 31}]}, "32 bytes"),
        ({"chains": [{**_CHAIN, "head": "x"}]}, "32 bytes"),
        ({"chains": [{**_CHAIN, "more": 1}]}, "more"),
        ({"public_key": "70" * 33}, "32 bytes"),
        ({"signature": "73" * 32}, "64 bytes"),
        ({"more": 1}, "more"),
    ],
)
def test_what_is_no_checkpoint_is_refused(changes: dict[str, Any], said: str) -> None:
    """With a word of what is wrong."""
    with pytest.raises(CheckpointUnreadable, match=said):
        read(**changes)


@given(st.one_of(st.binary(), st.text().map(str.encode), st.just(b"[" * 9000)))
def test_any_bytes_are_a_checkpoint_or_refused(text: bytes) -> None:
    """Nothing else comes out."""
    with pytest.raises(CheckpointUnreadable):
        read_checkpoint(text)


def test_a_public_key_is_read_as_checkpoints_hold_it() -> None:
    """And nothing that is longer, shorter or something else."""
    assert read_public_key("70" * 32) == b"p" * 32
    for wrong in ("", "70" * 31, "70" * 33, "zz" * 32):
        with pytest.raises(CheckpointUnreadable, match="32 bytes"):
            read_public_key(wrong)
    assert read_hex("0a0b", count=2) == b"\x0a\x0b"
    for count in range(1, 6):  # as long as whatever might stand in for what cannot be read
        with pytest.raises(CheckpointUnreadable, match=f"^{count} bytes"):
            read_hex("no", count=count)
