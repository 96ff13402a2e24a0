"""Checkpoints of the audit: how long each chain was, and with which hash it ended.

A checkpoint that is kept elsewhere shows what a database cannot show of itself: that chains were
cut off at their ends, left out whole, or written anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final

import msgspec

from keyturn_service.domain.audit import CHAIN_START

_FORMAT: Final = "keyturn-audit-checkpoint-1"
_written: Final = msgspec.json.Encoder().encode
_HASH_BYTES: Final = len(CHAIN_START)
_PUBLIC_KEY_BYTES: Final = 32
_SIGNATURE_BYTES: Final = 64


class CheckpointUnreadable(ValueError):
    """A text is no checkpoint of this format; the message says what of it is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainEnd:
    """How far a chain went: its last record's sequence and hash."""

    writer: str
    length: int
    head: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Where all chains ended at a moment, in ascending order of their writers' names."""

    made_at: datetime
    chains: Sequence[ChainEnd]

    def message(self) -> bytes:
        """Return what is signed: the format, then moment and chains as JSON without spaces."""
        chains = [[end.writer, end.length, end.head.hex()] for end in self.chains]
        return _FORMAT.encode() + b"\x00" + _written([self.made_at.isoformat(), chains])


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedCheckpoint:
    """A checkpoint, the key that is said to have signed it, and the signature (RFC 8032)."""

    checkpoint: Checkpoint
    public_key: bytes
    signature: bytes


class _Chain(msgspec.Struct, forbid_unknown_fields=True):
    writer: str
    length: Annotated[int, msgspec.Meta(ge=1)]
    head: str


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    format: str
    made_at: str
    chains: list[_Chain]
    public_key: str
    signature: str


def written_checkpoint(signed: SignedCheckpoint) -> str:
    """Return a checkpoint as it is exported: JSON, bytes in hexadecimal."""
    document = _Document(
        format=_FORMAT,
        made_at=signed.checkpoint.made_at.isoformat(),
        chains=[
            _Chain(writer=end.writer, length=end.length, head=end.head.hex())
            for end in signed.checkpoint.chains
        ],
        public_key=signed.public_key.hex(),
        signature=signed.signature.hex(),
    )
    return msgspec.json.format(_written(document), indent=1).decode() + "\n"


def read_checkpoint(text: bytes) -> SignedCheckpoint:
    """Read an exported checkpoint. Who signed it is not looked at.

    Raises:
        CheckpointUnreadable: it is none.
    """
    try:
        document = msgspec.json.decode(text, type=_Document)
        made_at = datetime.fromisoformat(document.made_at)
    except (ValueError, RecursionError) as error:
        raise CheckpointUnreadable(str(error)) from None
    if document.format != _FORMAT or made_at.tzinfo is None:
        raise CheckpointUnreadable(f"it is not of the format {_FORMAT}")
    writers = [chain.writer for chain in document.chains]
    if writers != sorted(set(writers)):
        raise CheckpointUnreadable("its chains are not in ascending order, or one comes twice")
    chains = [
        ChainEnd(
            writer=chain.writer, length=chain.length, head=read_hex(chain.head, count=_HASH_BYTES)
        )
        for chain in document.chains
    ]
    return SignedCheckpoint(
        checkpoint=Checkpoint(made_at=made_at, chains=chains),
        public_key=read_public_key(document.public_key),
        signature=read_hex(document.signature, count=_SIGNATURE_BYTES),
    )


def read_public_key(text: str) -> bytes:
    """Read a public key as checkpoints hold it.

    Raises:
        CheckpointUnreadable: it is none.
    """
    return read_hex(text, count=_PUBLIC_KEY_BYTES)


def read_hex(text: str, *, count: int) -> bytes:
    """Read that many bytes in hexadecimal.

    Raises:
        CheckpointUnreadable: they are not.
    """
    try:
        value = bytes.fromhex(text)
    except ValueError:
        value = b""
    if len(value) != count:
        raise CheckpointUnreadable(f"{count} bytes in hexadecimal have to stand where they do not")
    return value
