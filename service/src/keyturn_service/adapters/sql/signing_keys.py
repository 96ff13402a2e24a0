"""Signing keys of apps, their private halves sealed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from keyturn_core.secrets import PrivateKey
from keyturn_service.adapters.sql import places
from keyturn_service.adapters.sql.claims import FREE
from keyturn_service.adapters.sql.database import Database
from keyturn_service.adapters.sql.key_holds import hold_keys
from keyturn_service.adapters.sql.order import change_in_order
from keyturn_service.adapters.sql.tables import apps, connections, signing_keys
from keyturn_service.domain.connection import Renewal
from keyturn_service.domain.ids import AppId, SigningKeyId, WorkspaceId
from keyturn_service.domain.signing_key import SigningKey, SigningKeyState
from keyturn_service.ports import SealRefused
from keyturn_service.vault.errors import CannotOpen
from keyturn_service.vault.key_pairs import see_certificate
from keyturn_service.vault.vault import Vault

_ACTIVE: Final = SigningKeyState.ACTIVE
_looking: Final = select(
    *(column for column in signing_keys.columns if column.name != "private_key"),
    signing_keys.c.private_key.is_not(None).label("usable"),
)


@dataclass(frozen=True, slots=True)
class SqlSigningKeys:
    """`ports.SigningKeys`."""

    database: Database
    vault: Vault

    async def add(self, key: SigningKey, private_key: PrivateKey) -> bool:
        """Seal and keep a new key; False where it is active and the app has an active one."""
        place = places.private_key(key.workspace_id, key.id)
        sealed = await self.vault.seal(private_key.reveal().encode(), place)
        try:
            async with self.database.write() as writing:
                await hold_keys(writing, sealed)
                await writing.execute(
                    insert(signing_keys).values(**_values(key), private_key=sealed)
                )
                if key.state is _ACTIVE:
                    await _look_at_connections(writing, key.app_id, at=key.created_at)
        except IntegrityError:
            return False
        return True

    async def get(
        self, workspace_id: WorkspaceId, app_id: AppId, key_id: SigningKeyId
    ) -> SigningKey | None:
        """Return the key, if it is that app's in that workspace."""
        asked = _looking.where(
            signing_keys.c.id == key_id,
            signing_keys.c.app_id == app_id,
            signing_keys.c.workspace_id == workspace_id,
        )
        async with self.database.read() as reading:
            row = (await reading.execute(asked)).first()
        return None if row is None else _key_of(row)

    async def list(self, workspace_id: WorkspaceId, app_id: AppId) -> Sequence[SigningKey]:
        """Return the keys of an app, oldest first; none where it is not of that workspace."""
        asked = _looking.where(
            signing_keys.c.app_id == app_id, signing_keys.c.workspace_id == workspace_id
        )
        order = (signing_keys.c.created_at, signing_keys.c.id)
        async with self.database.read() as reading:
            rows = (await reading.execute(asked.order_by(*order))).all()
        return [_key_of(row) for row in rows]

    async def private_key(self, key: SigningKey) -> PrivateKey | None:
        """Return the private half, opened; None where it was forgotten."""
        asked = select(signing_keys.c.private_key).where(signing_keys.c.id == key.id)
        async with self.database.read() as reading:
            sealed = (await reading.execute(asked)).scalar()
        if sealed is None:
            return None
        place = places.private_key(key.workspace_id, key.id)
        return PrivateKey((await self.vault.open(sealed, place)).decode())

    async def is_certified(self, key: SigningKey) -> bool:
        """Tell whether the certificate is the private half's own; if not, that is recorded."""
        try:
            private_key = await self.private_key(key)
        except SealRefused:
            return False  # recorded
        if private_key is None and key.usable:
            return False  # forgotten a moment ago: nobody is to deploy it as one that signs
        refused = _refusal_of(key, private_key)
        if refused is not None:
            place = places.certificate(key.workspace_id, key.id)
            await self.vault.note_refused(place, refused)
        return refused is None

    async def activate(self, key: SigningKey, *, at: datetime) -> bool:
        """Make the key the app's active one and retire the one that was: all or nothing."""
        async with self.database.write() as writing:
            # One at a time for each app: its row is what they wait for.
            await writing.execute(
                select(apps.c.id).where(apps.c.id == key.app_id).with_for_update()
            )
            usable = and_(signing_keys.c.id == key.id, signing_keys.c.private_key.is_not(None))
            if (await writing.execute(select(signing_keys.c.id).where(usable))).first() is None:
                return False
            await writing.execute(
                update(signing_keys)
                .where(signing_keys.c.app_id == key.app_id, signing_keys.c.state == _ACTIVE)
                .where(signing_keys.c.id != key.id)
                .values(state=SigningKeyState.RETIRED, retired_at=at)
            )
            await writing.execute(
                update(signing_keys).where(usable).values(state=_ACTIVE, retired_at=None)
            )
            await _look_at_connections(writing, key.app_id, at=at)
        return True

    async def retire(self, key: SigningKey, *, at: datetime) -> None:
        """Retire the key and forget its private half."""
        await self._forget(
            signing_keys.c.id == key.id, state=SigningKeyState.RETIRED, retired_at=at
        )

    async def forget_retired(self, before: datetime) -> int:
        """Forget the private halves of keys retired before that; return how many."""
        return await self._forget(
            and_(
                signing_keys.c.state == SigningKeyState.RETIRED,
                signing_keys.c.retired_at < before,
                signing_keys.c.private_key.is_not(None),
            )
        )

    async def _forget(self, which: ColumnElement[bool], **values: Any) -> int:
        async with self.database.write() as writing:
            changed = await writing.execute(
                update(signing_keys).where(which).values(private_key=None, **values)
            )
        return changed.rowcount


def _refusal_of(key: SigningKey, private_key: PrivateKey | None) -> CannotOpen | None:
    """Return what is wrong with a certificate that somebody planted; None where it is ours."""
    if private_key is None:
        planted = key.state is not SigningKeyState.RETIRED
        return CannotOpen("only a retired key has no private half") if planted else None
    try:
        see_certificate(private_key, key.certificate_pem)
    except CannotOpen as refused:
        return refused
    return None


async def _look_at_connections(writing: AsyncConnection, app_id: AppId, *, at: datetime) -> None:
    """Have the guardian look at those that another certificate gives another end."""
    await change_in_order(
        writing,
        update(connections)
        .where(connections.c.app_id == app_id, connections.c.renewal == Renewal.JWT_BEARER)
        .values(due_at=at, claimed_until=FREE),
    )


def _values(key: SigningKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "workspace_id": key.workspace_id,
        "app_id": key.app_id,
        "state": key.state,
        "source": key.source,
        "certificate_pem": key.certificate_pem,
        "not_before": key.not_before,
        "not_after": key.not_after,
        "created_at": key.created_at,
        "retired_at": key.retired_at,
    }


def _key_of(row: Any) -> SigningKey:
    return SigningKey(
        id=SigningKeyId(row.id),
        workspace_id=WorkspaceId(row.workspace_id),
        app_id=AppId(row.app_id),
        state=SigningKeyState(row.state),
        source=row.source,
        certificate_pem=row.certificate_pem,
        not_before=row.not_before,
        not_after=row.not_after,
        created_at=row.created_at,
        retired_at=row.retired_at,
        usable=bool(row.usable),
    )
