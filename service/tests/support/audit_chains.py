"""Chains of the audit in memory, for those who look after them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from service.tests.support.values import event

from keyturn_service.domain.audit import CHAIN_START, AuditRecord, chained
from keyturn_service.domain.checkpoint import ChainEnd


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
        self.read: list[tuple[str, int]] = []

    async def writers(self) -> Sequence[str]:
        """Return the names of all writers, the last one first."""
        return sorted(self.kept, reverse=True)

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

    async def ends(self) -> Sequence[ChainEnd]:
        """Return the last record of each chain, the last chain first."""
        return [end_of(self.kept[writer]) for writer in await self.writers()]
