"""Let another signing key of an app sign, or forget one."""

from __future__ import annotations

from dataclasses import dataclass, replace

from keyturn_service.domain.audit import AuditEvent
from keyturn_service.domain.errors import Conflict, NotFound
from keyturn_service.domain.ids import AppId, SigningKeyId, WorkspaceId
from keyturn_service.domain.signing_key import SigningKey, SigningKeyState
from keyturn_service.ports import AuditLog, Clock, SealRefused, SigningKeys


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeSigningKey:
    """Activate and retire signing keys; each is recorded before it is done."""

    keys: SigningKeys
    audit: AuditLog
    clock: Clock

    async def activate(
        self, workspace_id: WorkspaceId, app_id: AppId, key_id: SigningKeyId, actor: str
    ) -> SigningKey:
        """Return the key, which signs first from now on; the one that did is retired.

        Raises:
            NotFound: there is no such key.
            Conflict: its private half was forgotten.
            SealRefused: its certificate is not the private half's own.
        """
        key = await self._found(workspace_id, app_id, key_id)
        if not key.usable:
            raise Conflict("signing_key_forgotten")
        if not await self.keys.is_certified(key):
            raise SealRefused("the certificate of a signing key was changed")
        await self._note(key, actor, "signing_key.activated")
        if not await self.keys.activate(key, at=self.clock.now()):
            raise Conflict("signing_key_forgotten")
        return replace(key, state=SigningKeyState.ACTIVE, retired_at=None)

    async def retire(
        self, workspace_id: WorkspaceId, app_id: AppId, key_id: SigningKeyId, actor: str
    ) -> SigningKey:
        """Return the key, whose private half is forgotten at once; twice does no harm.

        Raises:
            NotFound: there is no such key.
        """
        key = await self._found(workspace_id, app_id, key_id)
        if not key.usable:
            return key
        now = self.clock.now()
        await self._note(key, actor, "signing_key.retired")
        await self.keys.retire(key, at=now)
        return replace(key, state=SigningKeyState.RETIRED, retired_at=now, usable=False)

    async def _found(
        self, workspace_id: WorkspaceId, app_id: AppId, key_id: SigningKeyId
    ) -> SigningKey:
        key = await self.keys.get(workspace_id, app_id, key_id)
        if key is None:
            raise NotFound("signing_key")
        return key

    async def _note(self, key: SigningKey, actor: str, type_: str) -> None:
        await self.audit.record(
            AuditEvent(
                type=type_,
                at=self.clock.now(),
                workspace_id=key.workspace_id,
                actor=actor,
                detail={
                    "app_id": key.app_id,
                    "signing_key_id": key.id,
                    "fingerprint": key.fingerprint,
                },
            )
        )
