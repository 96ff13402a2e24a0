"""The audit in memory, and what looks after it."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from service.tests.support.values import event

from keyturn_service.domain.audit import CHAIN_CLOSED, CHAIN_START, AuditRecord, chained
from keyturn_service.domain.audit_check import BadRecord
from keyturn_service.domain.checkpoint import ChainEnd
from keyturn_service.domain.retention import SignedMark, TrimMark
from keyturn_service.ports import ArchiveUnavailable, Turn


def a_chain(writer: str, length: int, *, closed: bool = False) -> list[AuditRecord]:
    """Return a whole chain."""
    records: list[AuditRecord] = []
    previous = CHAIN_START
    for place in range(1, length + 1):
        changes: dict[str, Any] = {"detail": {"number": place}}
        if closed and place == length:
            changes["type"] = "chain.closed"
        made = chained(event(**changes), writer=writer, sequence=place, previous=previous)
        records.append(made)
        previous = made.hash
    return records


def end_of(records: Sequence[AuditRecord]) -> ChainEnd:
    """Return how far a chain went."""
    last = records[-1]
    return ChainEnd(writer=last.writer, length=last.sequence, head=last.hash)


class MemoryAuditChains:
    """`ports.AuditChains` over lists; it notes which chains were read, and how far."""

    def __init__(self, chains: Mapping[str, Sequence[Any]]) -> None:
        self.kept = dict(chains)
        self.lost: list[BadRecord] = []
        self.read: list[tuple[str, int]] = []
        self.paged: list[str] = []

    async def writers(self) -> Sequence[str]:
        """Return the names of all writers, the last one first."""
        return sorted(self.kept, reverse=True)

    async def strays(self) -> Sequence[BadRecord]:
        """Return the rows that are in no chain."""
        return self.lost

    async def records(
        self, writer: str, *, since: datetime | None = None
    ) -> AsyncIterator[AuditRecord | None]:
        """Give what stands in one chain."""
        for record in self.kept.get(writer, []):
            if record is None:
                yield None
            elif since is None or record.event.at >= since:
                self.read.append((writer, record.sequence))
                yield record

    async def page(self, writer: str, *, after: int, limit: int) -> Sequence[AuditRecord | None]:
        """Return the first records behind a sequence."""
        self.paged.append(writer)
        there = self.kept.get(writer, [])
        return [one for one in there if one is None or one.sequence > after][:limit]

    async def standing(self, ends: Sequence[ChainEnd]) -> Collection[str]:
        """Return the writers of those whose record is there."""
        there = {
            (one.writer, one.sequence, one.hash)
            for chain in self.kept.values()
            for one in chain
            if one is not None
        }
        return {end.writer for end in ends if (end.writer, end.length, end.head) in there}

    async def begun_before(self, moment: datetime) -> Collection[str]:
        """Return the writers of chains whose first record is older, and which have more."""
        return {
            writer
            for writer, chain in self.kept.items()
            if chain
            and chain[0].event.at < moment
            and (len(chain) > 1 or chain[0].event.type == CHAIN_CLOSED)
        }

    async def ends(self) -> Sequence[ChainEnd]:
        """Return the last record of each chain, the last chain first."""
        return [end_of(self.kept[writer]) for writer in await self.writers() if self.kept[writer]]


class PlainSigner:
    """`ports.CheckpointSigner` that one sees through; it signs in 64 bytes."""

    public_key = b"p" * 32

    def sign(self, message: bytes) -> bytes:
        """Return a signature that nobody else makes."""
        return hashlib.sha512(b"ours" + message).digest()


def signed_mark(mark: TrimMark, *, ours: bool = True) -> SignedMark:
    """Return a mark with our signature, or somebody else's."""
    signature = PlainSigner().sign(mark.message()) if ours else bytes(64)
    return SignedMark(mark=mark, signature=signature)


def mark_at(record: AuditRecord, *, at: datetime, whole: bool = False) -> TrimMark:
    """Return the mark of a chain that was trimmed up to that record."""
    return TrimMark(
        writer=record.writer, sequence=record.sequence, head=record.hash, whole=whole, at=at
    )


class MemoryMarks:
    """`ports.TrimMarks` beside chains in memory."""

    def __init__(self, chains: MemoryAuditChains, *kept: SignedMark) -> None:
        self.chains = chains
        self.kept = {one.mark.writer: one for one in kept}
        self.refuses = False

    async def all(self) -> Sequence[SignedMark]:
        """Return all marks."""
        return list(self.kept.values())

    async def get(self, writer: str) -> SignedMark | None:
        """Return the mark of one chain."""
        return self.kept.get(writer)

    async def trim(self, signed: SignedMark, *, since: int) -> bool:
        """Remove records and keep the mark."""
        del since
        if self.refuses:
            return False
        mark = signed.mark
        chain = self.chains.kept[mark.writer]
        self.chains.kept[mark.writer] = [one for one in chain if one.sequence > mark.sequence]
        self.kept[mark.writer] = signed
        return True

    async def forget(self, writers: Sequence[str], signed: SignedMark) -> None:
        """Remove marks and keep one."""
        for writer in writers:
            del self.kept[writer]
        self.kept[signed.mark.writer] = signed


class MemoryArchive:
    """`ports.CheckpointArchive` over a list, which may be away."""

    def __init__(self, *kept: bytes) -> None:
        self.kept = list(kept)
        self.away = False
        self.not_after: datetime | None = None

    async def put(self, document: bytes, *, made_at: datetime) -> None:
        """Keep a checkpoint."""
        del made_at
        self._see_there()
        self.kept.append(document)

    async def newest(self, *, not_after: datetime) -> bytes | None:
        """Return the last one."""
        self.not_after = not_after
        self._see_there()
        return self.kept[-1] if self.kept else None

    def _see_there(self) -> None:
        if self.away:
            raise ArchiveUnavailable("the folder is away")


class MemoryTurns:
    """`ports.AuditTurns`: due or not as a test says; it notes how each turn ended."""

    def __init__(self, *kept: Turn, due: bool = True) -> None:
        self.kept = kept
        self.due = due
        self.said: list[tuple[str, str | None, timedelta]] = []

    async def claim(self, name: str, *, ttl: timedelta, most: timedelta) -> bool:
        """Take the turn if it is due."""
        del name
        assert ttl <= most
        return self.due

    async def succeeded(self, name: str, *, at: datetime, pause: timedelta) -> None:
        """Note it."""
        del at
        self.said.append((name, None, pause))

    async def failed(self, name: str, problem: str, *, pause: timedelta) -> datetime | None:
        """Note it."""
        self.said.append((name, problem, pause))
        return next((one.succeeded_at for one in self.kept if one.name == name), None)

    async def all(self) -> Sequence[Turn]:
        """Return what a test says."""
        return self.kept
