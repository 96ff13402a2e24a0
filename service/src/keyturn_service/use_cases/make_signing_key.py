"""Make a signing key for an app."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from keyturn_service.domain.audit import AuditEvent
from keyturn_service.domain.errors import NotFound
from keyturn_service.domain.ids import ID_BYTES, AppId, SigningKeyId, WorkspaceId, new_id
from keyturn_service.domain.signing_key import SigningKey, SigningKeyState, active_key
from keyturn_service.ports import Apps, AuditLog, Clock, Randomness, Signer, SigningKeys

_BACK_DATED: Final = timedelta(hours=1)  # other clocks may be behind ours


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeSigningKey:
    """Make a key pair whose private half never leaves the vault.

    The first key of an app is active at once; every later one is staged, until its certificate
    stands in the app's settings.
    """

    apps: Apps
    keys: SigningKeys
    signer: Signer
    audit: AuditLog
    clock: Clock
    randomness: Randomness

    async def __call__(
        self, workspace_id: WorkspaceId, app_id: AppId, actor: str, *, life: timedelta
    ) -> SigningKey:
        """Return the key; its certificate ends `life` from now.

        Raises:
            NotFound: there is no such app in the workspace.
        """
        app = await self.apps.get(workspace_id, app_id)
        if app is None:
            raise NotFound("app")
        now = self.clock.now().replace(microsecond=0)  # certificates count in seconds
        begin, end = now - _BACK_DATED, now + life
        made = await self.signer.make(name=app.name, not_before=begin, not_after=end)
        first = active_key(await self.keys.list(workspace_id, app_id)) is None
        key = SigningKey(
            id=SigningKeyId(new_id("sk", self.randomness.token_bytes(ID_BYTES))),
            workspace_id=workspace_id,
            app_id=app_id,
            state=SigningKeyState.ACTIVE if first else SigningKeyState.STAGED,
            source=self.signer.source,
            certificate_pem=made.certificate_pem,
            not_before=begin,
            not_after=end,
            created_at=self.clock.now(),
            retired_at=None,
            usable=True,
        )
        await self.audit.record(
            AuditEvent(
                type="signing_key.made",
                at=self.clock.now(),
                workspace_id=workspace_id,
                actor=actor,
                detail={
                    "app_id": app_id,
                    "signing_key_id": key.id,
                    "fingerprint": key.fingerprint,
                },
            )
        )
        if not await self.keys.add(key, made.private_key):  # somebody else's was the first
            key = replace(key, state=SigningKeyState.STAGED)
            await self.keys.add(key, made.private_key)
        return key
