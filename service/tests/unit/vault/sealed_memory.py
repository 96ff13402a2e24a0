"""Sealed rows in memory, with every promise of the port; and passes over them that can be lost."""

# ruff: noqa: D102 - the port says what these do

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta

from service.tests.unit.vault.vault_house import MemoryDataKeys

from keyturn_service.vault.errors import CannotOpen
from keyturn_service.vault.place import Place
from keyturn_service.vault.resealing import Batch, DueValue, Resealing, SealedRow
from keyturn_service.vault.vault import data_key_of

TABLES = ("apps", "token_sets")


class MemoryRows:
    """Rows of two tables, by table and key; each has two sealed columns, which may be empty.

    `owner` is who takes passes, and `claims` who has them, until when by `clock`.
    """

    def __init__(self, data_keys: MemoryDataKeys, clock, owner: str = "one") -> None:
        self.data_keys, self.clock, self.owner = data_keys, clock, owner
        self.tables: dict[str, dict[tuple[str, ...], tuple[bytes | None, ...]]] = {
            name: {} for name in TABLES
        }
        self.passes: dict[int, Resealing] = {}
        self.claims: dict[int, tuple[str, float]] = {}
        self.meanwhile = lambda: None  # before something is put

    def seen_by(self, owner: str) -> MemoryRows:
        """Return the same rows as another replica sees them."""
        other = MemoryRows(self.data_keys, self.clock, owner)
        other.tables, other.passes, other.claims = self.tables, self.passes, self.claims
        return other

    @staticmethod
    def place(table: str, row: str, column: int, workspace_id: str = "ws_a") -> Place:
        return Place(workspace_id=workspace_id, table=table, row=row, column=f"column_{column}")

    async def due_keys(self):
        return [key.id for key in await self.data_keys.retired() if key.unneeded_since is None]

    async def latest(self):
        return self.passes[max(self.passes)] if self.passes else None

    async def begin(self, key_ids, *, at):
        if any(one.ended_at is None for one in self.passes.values()):
            return
        number = len(self.passes) + 1
        self.passes[number] = Resealing(
            number=number,
            key_ids=list(key_ids),
            table_name=TABLES[0],
            last_row=None,
            step=0,
            total=sum(map(len, self.tables.values())),
            looked=0,
            resealed=0,
            refused=0,
            needed=frozenset(),
            begun_at=at,
            ended_at=None,
        )

    async def claim(self, resealing, *, ttl: timedelta):
        owner, until = self.claims.get(resealing.number, ("", 0.0))
        now = self.clock.monotonic()
        kept = self.passes[resealing.number]
        if kept.ended_at is not None or (owner != self.owner and until > now):
            return None
        self.claims[resealing.number] = (self.owner, now + ttl.total_seconds())
        return kept

    async def batch(self, resealing, *, limit):
        del limit  # two at once: several batches
        table = self.tables[resealing.table_name]
        start = resealing.last_row or ("",)
        keys = sorted(key for key in table if key > start)[:2]
        rows = [
            SealedRow(key=key, kept=table[key], due=self._due(resealing, resealing.table_name, key))
            for key in keys
        ]
        return Batch(
            rows=[row for row in rows if row.due],
            looked=len(keys),
            last_row=keys[-1] if keys else None,
        )

    def _due(self, resealing, table, key):
        return [
            DueValue(
                column=column,
                sealed=sealed,
                place=self.place(table, key[-1], column),
                data_key_id=data_key_of(sealed),
            )
            for column, sealed in enumerate(self.tables[table][key])
            if sealed and data_key_of(sealed) in resealing.key_ids
        ]

    async def put(self, resealing, batch, fresh, *, refused, ttl):
        self.meanwhile()
        kept = self.passes[resealing.number]
        if kept.step != resealing.step or self.claims[resealing.number][0] != self.owner:
            return None
        table = self.tables[resealing.table_name]
        same = [(row.key, new) for row, new in fresh if table[row.key] == row.kept]
        table.update(same)
        at_end = batch.last_row is None
        following = {TABLES[0]: TABLES[1], TABLES[1]: None}[resealing.table_name]
        self.claims[resealing.number] = (
            self.owner,
            self.clock.monotonic() + ttl.total_seconds(),
        )
        self.passes[resealing.number] = after = replace(
            resealing,
            table_name=following if at_end else resealing.table_name,
            last_row=batch.last_row,
            step=resealing.step + 1,
            looked=resealing.looked + batch.looked,
            resealed=resealing.resealed + len(same),
            refused=resealing.refused + len(refused),
            needed=resealing.needed | set(refused),
        )
        return after

    async def end(self, resealing, *, at):
        self.meanwhile()
        if self.passes[resealing.number] != resealing:
            return False
        self.passes[resealing.number] = replace(resealing, ended_at=at)
        for key_id in set(resealing.key_ids) - resealing.needed:
            kept = self.data_keys.kept[key_id]
            self.data_keys.kept[key_id] = replace(kept, unneeded_since=at)
        return True

    async def counts(self, key_ids):
        found = Counter()
        for table in self.tables.values():
            for sealed in (one for row in table.values() for one in row if one):
                try:
                    found[data_key_of(sealed)] += 1
                except CannotOpen:
                    continue
        return {key_id: count for key_id, count in found.items() if key_id in key_ids}

    async def destroy(self, key_ids):
        needed = await self.counts(key_ids)
        for key_id in key_ids:
            kept = self.data_keys.kept[key_id]
            if key_id in needed:
                self.data_keys.kept[key_id] = replace(kept, unneeded_since=None)
            else:
                del self.data_keys.kept[key_id]
        return needed
