"""All that rests sealed, table by table, and the passes that seal it anew."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Final

import structlog
from sqlalchemy import (
    Column,
    ColumnElement,
    LargeBinary,
    Row,
    Select,
    Table,
    bindparam,
    cast,
    delete,
    false,
    func,
    insert,
    or_,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from keyturn_service.adapters.sql import places
from keyturn_service.adapters.sql.claims import is_free
from keyturn_service.adapters.sql.database import Database
from keyturn_service.adapters.sql.key_holds import hold_keys
from keyturn_service.adapters.sql.key_names import sealing_ids
from keyturn_service.adapters.sql.leases import clock_of
from keyturn_service.adapters.sql.rows import ODD_ROW
from keyturn_service.adapters.sql.tables import (
    apps,
    connect_sessions,
    connections,
    data_keys,
    idempotency_keys,
    resealings,
    revocations,
    signing_keys,
    token_sets,
)
from keyturn_service.adapters.sql.types import as_of
from keyturn_service.domain.ids import SpoolId
from keyturn_service.vault.data_keys import DataKeyId
from keyturn_service.vault.place import Place
from keyturn_service.vault.resealing import Batch, DueValue, Resealing, SealedRow
from keyturn_service.vault.vault import head_of

_log = structlog.get_logger()
_BEFORE_ALL: Final = ""  # in every order of ids
_Kept = tuple[bytes | None, ...]


@dataclass(frozen=True, kw_only=True)
class SealedTable:
    """A table with sealed columns, and how each value's place comes from its row."""

    table: Table
    places: Mapping[str, Callable[..., Place]]
    """By column: its place from workspace, name of the row and, in token sets, generation."""

    @cached_property
    def key(self) -> tuple[Column[Any], ...]:
        """The columns of the primary key; the last one names the row."""
        return tuple(self.table.primary_key.columns)

    @cached_property
    def sealed(self) -> tuple[Column[Any], ...]:
        """The sealed columns."""
        return tuple(self.table.c[name] for name in self.places)

    @cached_property
    def looking(self) -> Select[Any]:
        """Select key, sealed columns, workspace and, in token sets, generation."""
        sealed = [_as_bytes(column) for column in self.sealed]
        if self.table is not token_sets:
            return select(*self.key, *sealed, self.table.c.workspace_id.label("bound_to"))
        bound = (connections.c.workspace_id, token_sets.c.generation)
        joined = connections.c.id == token_sets.c.connection_id
        return select(*self.key, *sealed, *bound).join_from(token_sets, connections, joined)

    def behind(self, key: Sequence[str] | None) -> ColumnElement[bool]:
        """Match the rows behind a key, in the order of the primary key; all behind None."""
        start = [_BEFORE_ALL] * len(self.key) if key is None else key
        return tuple_(*self.key) > as_of(self.key, start)

    def up_to(self, key: Sequence[str]) -> ColumnElement[bool]:
        """Match the rows up to a key, and its own."""
        return tuple_(*self.key) <= as_of(self.key, key)

    def row_of(self, row: Row[Any], heads: Mapping[bytes, DataKeyId]) -> SealedRow:
        """Return a row of `looking`, with what of it begins by one of the heads."""
        values = tuple(row)
        sealed_at, bound_at = len(self.key), len(self.key) + len(self.sealed)
        key, kept, bound = values[:sealed_at], values[sealed_at:bound_at], values[bound_at:]
        due = []
        for number, (sealed, place) in enumerate(zip(kept, self.places.values(), strict=True)):
            head = sealed[: 2 + sealed[1]] if sealed is not None and len(sealed) > 1 else b""
            if head in heads:
                where = place(_text_of(bound[0]), _text_of(key[-1]), *map(_number_of, bound[1:]))
                due.append(
                    DueValue(column=number, sealed=sealed, place=where, data_key_id=heads[head])
                )
        return SealedRow(key=key, kept=kept, due=due)

    @cached_property
    def change_each(self) -> Any:
        """Change one row where it stands as it was read: parameters `k<n>`, `old<n>`, `new<n>`."""
        same = [column == bindparam(f"k{n}") for n, column in enumerate(self.key)]
        same += [
            _as_bytes(column).is_not_distinct_from(bindparam(f"old{n}"))
            for n, column in enumerate(self.sealed)
        ]
        new: dict[str, Any] = {
            column.name: bindparam(f"new{n}") for n, column in enumerate(self.sealed)
        }
        return update(self.table).where(*same).values(new)

    @cached_property
    def change_together(self) -> Any:
        """Change many rows at once, on PostgreSQL: the same parameters, each a list."""
        names = [f"k{n}" for n in range(len(self.key))]
        sealed = [f"{what}{n}" for what in ("old", "new") for n in range(len(self.sealed))]
        arrays = [f"CAST(:{name} AS text[])" for name in names]
        arrays += [f"CAST(:{name} AS bytea[])" for name in sealed]
        same = [f"t.{column.name} = n.k{n}" for n, column in enumerate(self.key)]
        same += [
            f"t.{column.name} IS NOT DISTINCT FROM n.old{n}" for n, column in enumerate(self.sealed)
        ]
        new = ", ".join(f"{column.name} = n.new{n}" for n, column in enumerate(self.sealed))
        return text(
            f"UPDATE {self.table.name} AS t SET {new}"  # noqa: S608 - names of our own
            f" FROM unnest({', '.join(arrays)}) AS n({', '.join([*names, *sealed])})"
            f" WHERE {' AND '.join(same)}"
        )

    def parameters(self, fresh: Sequence[tuple[SealedRow, _Kept]]) -> dict[str, Sequence[Any]]:
        """Return the parameters of all changes, by their names."""
        rows = [row for row, _ in fresh]
        parts = (
            ("k", zip(*(row.key for row in rows), strict=True)),
            ("old", zip(*(row.kept for row in rows), strict=True)),
            ("new", zip(*(new for _, new in fresh), strict=True)),
        )
        return {f"{what}{n}": list(one) for what, columns in parts for n, one in enumerate(columns)}


SEALED_TABLES: Final = {
    one.table.name: one
    for one in (
        SealedTable(table=apps, places={"consumer_secret": places.consumer_secret}),
        SealedTable(table=signing_keys, places={"private_key": places.private_key}),
        SealedTable(
            table=connect_sessions,
            places={"verifier": places.verifier, "pending_grant": places.pending_grant},
        ),
        SealedTable(
            table=token_sets,
            places={"access_token": places.access_token, "refresh_token": places.refresh_token},
        ),
        SealedTable(table=revocations, places={"tokens": places.revocation_tokens}),
        SealedTable(table=idempotency_keys, places={"body": places.kept_answer}),
    )
}
_NAMES: Final = tuple(SEALED_TABLES)
_NEXT: Final = dict(zip(_NAMES, (*_NAMES[1:], None), strict=True))


@dataclass(frozen=True, slots=True)
class SqlSealedRows:
    """`vault.resealing.SealedRows`, and `vault.data_key_rotation.KeysInUse`."""

    database: Database
    owner: SpoolId

    async def due_keys(self) -> Sequence[DataKeyId]:
        """Return the retired data keys that something may still need, in order of their ids."""
        asked = (
            select(data_keys.c.id)
            .where(data_keys.c.retired_at.is_not(None), data_keys.c.unneeded_since.is_(None))
            .order_by(data_keys.c.id)
        )
        async with self.database.read(patient=True) as reading:
            return sealing_ids((await reading.execute(asked)).scalars())

    async def latest(self) -> Resealing | None:
        """Return the pass that goes on, or else the last one.

        One that cannot be read is over: it ends without an end, as no program of ours ends one.
        """
        has_been = or_(resealings.c.goes_on.is_(True), resealings.c.ended_at.is_not(None))
        newest = select(resealings.c.number).where(has_been).order_by(resealings.c.number.desc())
        while True:
            async with self.database.read() as reading:
                number = (await reading.execute(newest.limit(1))).scalar()
                asked = select(resealings).where(resealings.c.number == number)
                try:
                    row = (await reading.execute(asked)).first()
                    return None if row is None else _whole(_resealing_of(row))
                except ODD_ROW as error:
                    _log.error("resealing_not_read", number=number, error=type(error).__name__)
            async with self.database.write() as writing:
                await writing.execute(
                    update(resealings)
                    .where(resealings.c.number == number)
                    .values(goes_on=None, ended_at=None)
                )

    async def begin(self, key_ids: Sequence[DataKeyId], *, at: datetime) -> None:
        """Begin a pass for these keys, unless one goes on."""
        counting = (select(func.count()).select_from(one.table) for one in SEALED_TABLES.values())
        async with self.database.read(patient=True) as reading:
            total = sum([(await reading.execute(asked)).scalar_one() for asked in counting])
            last = (await reading.execute(select(func.max(resealings.c.number)))).scalar() or 0
        begun = insert(resealings).values(
            number=last + 1,
            goes_on=True,
            key_ids=list(key_ids),
            owner=None,
            ends_at=0,
            step=0,
            table_name=_NAMES[0],
            last_row=None,
            total=total,
            looked=0,
            resealed=0,
            refused=0,
            needed=[],
            begun_at=at,
        )
        try:
            async with self.database.write(patient=True) as writing:
                await writing.execute(begun)
        except IntegrityError:
            return  # another replica began one

    async def claim(self, resealing: Resealing, *, ttl: timedelta) -> Resealing | None:
        """Take the pass as it stands, for so long; None where another replica has it, or it ended.

        The time runs by the database's own clock.
        """
        free = or_(
            resealings.c.owner == self.owner,
            is_free(self.database, resealings.c.ends_at, ttl=ttl),
        )
        taking = (
            update(resealings)
            .where(resealings.c.number == resealing.number, resealings.c.goes_on.is_(True), free)
            .values(owner=self.owner, ends_at=self._end(ttl))
            .returning(resealings)
        )
        async with self.database.write() as writing:
            row = (await writing.execute(taking)).first()
        return None if row is None else _resealing_of(row)

    async def batch(self, resealing: Resealing, *, limit: int) -> Batch:
        """Return the next rows of the table where the pass stands."""
        sealed = SEALED_TABLES[str(resealing.table_name)]
        behind = sealed.behind(resealing.last_row)
        window = select(*sealed.key).where(behind).order_by(*sealed.key).limit(limit)
        async with self.database.read() as reading:
            keys = (await reading.execute(window)).all()
            if not keys:
                return Batch(rows=[], looked=0, last_row=None)
            last: tuple[str, ...] = tuple(keys[-1])
            under = or_(false(), *(_under(column, resealing.key_ids) for column in sealed.sealed))
            asked = sealed.looking.where(behind, sealed.up_to(last), under)
            rows = (await reading.execute(asked)).all()
        heads = {head_of(key_id): key_id for key_id in resealing.key_ids}
        return Batch(
            rows=[sealed.row_of(row, heads) for row in rows],
            looked=len(keys),
            last_row=last,
        )

    async def put(
        self,
        resealing: Resealing,
        batch: Batch,
        fresh: Sequence[tuple[SealedRow, _Kept]],
        *,
        refused: Sequence[DataKeyId],
        ttl: timedelta,
    ) -> Resealing | None:
        """Keep what was sealed anew and that the batch is done: all or nothing.

        A row that somebody changed meanwhile stays as they left it. None where the pass was
        taken over.
        """
        name = str(resealing.table_name)
        after = replace(
            resealing,
            table_name=_NEXT[name] if batch.last_row is None else name,
            last_row=batch.last_row,
            step=resealing.step + 1,
            looked=resealing.looked + batch.looked,
            refused=resealing.refused + len(refused),
            needed=resealing.needed | set(refused),
        )
        async with self.database.write() as writing:
            if fresh:
                await hold_keys(writing, *_new_values(fresh))
            if not await self._advance(writing, resealing, after, ttl):
                return None
            changed = await self._change(writing, SEALED_TABLES[name], fresh)
            after = replace(after, resealed=after.resealed + changed)
            await writing.execute(
                update(resealings)
                .where(resealings.c.number == after.number)
                .values(resealed=after.resealed)
            )
        return after

    async def end(self, resealing: Resealing, *, at: datetime) -> bool:
        """End the pass: nothing needs its keys but `needed`; False where it was taken over."""
        unneeded = set(resealing.key_ids) - resealing.needed
        async with self.database.write(patient=True) as writing:
            ended = await writing.execute(
                update(resealings).where(*self._held(resealing)).values(goes_on=None, ended_at=at)
            )
            if not ended.rowcount:
                return False
            await writing.execute(
                update(data_keys).where(data_keys.c.id.in_(unneeded)).values(unneeded_since=at)
            )
        return True

    async def counts(self, key_ids: Collection[DataKeyId]) -> Mapping[DataKeyId, int]:
        """Return how many sealed values each of these keys is needed for; 0 is left out."""
        async with self.database.read(patient=True) as reading:
            return await _counted(reading, sealing_ids(key_ids))

    async def destroy(self, key_ids: Collection[DataKeyId]) -> Mapping[DataKeyId, int]:
        """Destroy retired keys that nothing needs; return what the others are needed for.

        Who wrote something under one of them meanwhile has ended before it is counted, and who
        comes later is refused.
        """
        retired = select(data_keys.c.id).where(
            data_keys.c.id.in_(sealing_ids(key_ids)), data_keys.c.retired_at.is_not(None)
        )
        async with self.database.write(patient=True) as writing:
            locking = retired.order_by(data_keys.c.id).with_for_update()
            locked = {DataKeyId(one) for one in (await writing.execute(locking)).scalars()}
            counts = await _counted(writing, locked)
            gone = locked - set(counts)
            await writing.execute(delete(data_keys).where(data_keys.c.id.in_(gone)))
            await writing.execute(
                update(data_keys).where(data_keys.c.id.in_(counts)).values(unneeded_since=None)
            )
        return counts

    def _end(self, ttl: timedelta) -> ColumnElement[int]:
        return clock_of(self.database) + round(ttl.total_seconds() * 1_000_000)

    def _held(self, resealing: Resealing) -> tuple[ColumnElement[bool], ...]:
        """Match the pass where it is ours, and stands as we know it."""
        return (
            resealings.c.number == resealing.number,
            resealings.c.step == resealing.step,
            resealings.c.owner == self.owner,
            resealings.c.goes_on.is_(True),
        )

    async def _advance(
        self, writing: AsyncConnection, resealing: Resealing, after: Resealing, ttl: timedelta
    ) -> bool:
        """Move the pass on, where it is ours still; whoever comes second waits here."""
        moved = await writing.execute(
            update(resealings)
            .where(*self._held(resealing))
            .values(
                table_name=after.table_name,
                last_row=_cursor(after.last_row),
                step=after.step,
                looked=after.looked,
                refused=after.refused,
                needed=sorted(after.needed),
                ends_at=self._end(ttl),
            )
        )
        return bool(moved.rowcount)

    async def _change(
        self,
        writing: AsyncConnection,
        sealed: SealedTable,
        fresh: Sequence[tuple[SealedRow, _Kept]],
    ) -> int:
        """Change the rows that stand as they were read; return how many."""
        if not fresh:
            return 0
        together = sealed.parameters(fresh)
        if not self.database.is_sqlite:
            return (await writing.execute(sealed.change_together, together)).rowcount
        each = [
            dict(zip(together, values, strict=True))
            for values in zip(*together.values(), strict=True)
        ]
        return (await writing.execute(sealed.change_each, each)).rowcount


def _new_values(fresh: Sequence[tuple[SealedRow, _Kept]]) -> Iterator[bytes | None]:
    """Yield what was sealed anew; what stays as it was may be damaged."""
    for row, new in fresh:
        yield from (one for one, old in zip(new, row.kept, strict=True) if one is not old)


def _under(column: ColumnElement[Any], key_ids: Collection[DataKeyId]) -> ColumnElement[bool]:
    """Match what was sealed under one of the keys, by its first bytes; cut values match nothing."""
    by_length: dict[int, list[bytes]] = defaultdict(list)
    for head in map(head_of, key_ids):
        by_length[len(head)].append(head)
    begins = (_begin(column, length).in_(heads) for length, heads in sorted(by_length.items()))
    return or_(false(), *begins)


def _begin(column: ColumnElement[Any], length: int) -> ColumnElement[bytes]:
    return func.substr(_as_bytes(column), 1, length, type_=LargeBinary)


def _as_bytes(column: ColumnElement[Any]) -> ColumnElement[bytes]:
    """Return a sealed column as bytes: SQLite keeps a text there, if somebody writes one."""
    return cast(column, LargeBinary)


async def _counted(
    reading: AsyncConnection, key_ids: Collection[DataKeyId]
) -> Mapping[DataKeyId, int]:
    counts: Counter[DataKeyId] = Counter()
    by_length: dict[int, dict[bytes, DataKeyId]] = defaultdict(dict)
    for key_id in key_ids:
        by_length[len(head_of(key_id))][head_of(key_id)] = key_id
    for column in (column for one in SEALED_TABLES.values() for column in one.sealed):
        for length, heads in by_length.items():
            begin = _begin(column, length).label("begin")
            asked = select(begin, func.count()).where(begin.in_(heads)).group_by(begin)
            for head, count in (await reading.execute(asked)).all():
                counts[heads[bytes(head)]] += count
    return counts


def _text_of(name: object) -> str:
    """Return a name as the place has it: SQLite keeps bytes there, if somebody writes them."""
    return name.decode(errors="replace") if isinstance(name, bytes) else str(name)


def _number_of(generation: object) -> int:
    """Return a generation; where it is no number, one at which nothing was sealed."""
    return generation if isinstance(generation, int) else -1


def _cursor(last_row: Sequence[object] | None) -> list[object] | None:
    """Return a key as JSON has it: a name that is bytes as a list of numbers, to be found again."""
    if last_row is None:
        return None
    return [list(part) if isinstance(part, bytes) else part for part in last_row]


def _cursor_part(part: Any) -> Any:
    return bytes(part) if isinstance(part, list) else part


def _whole(resealing: Resealing) -> Resealing:
    """Return a pass that stands somewhere; no program of ours keeps another.

    Raises:
        LookupError, ValueError: it stands nowhere.
    """
    if resealing.table_name is not None:
        SEALED_TABLES[resealing.table_name].behind(resealing.last_row)
    return resealing


def _resealing_of(row: Row[Any]) -> Resealing:
    return Resealing(
        number=row.number,
        key_ids=sealing_ids(row.key_ids),
        table_name=row.table_name,
        last_row=None if row.last_row is None else tuple(map(_cursor_part, row.last_row)),
        step=row.step,
        total=row.total,
        looked=row.looked,
        resealed=row.resealed,
        refused=row.refused,
        needed=frozenset(sealing_ids(row.needed)),
        begun_at=row.begun_at,
        ended_at=row.ended_at,
    )
