"""Signing keys of apps, and who signs with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from keyturn_core.secrets import PrivateKey
from keyturn_service.domain.ids import AppId, SigningKeyId, WorkspaceId
from keyturn_service.domain.signing_key import SigningKey


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeKey:
    """A new key pair: its certificate in PEM, and what its signer needs to sign with it again.

    That is the private key itself where the vault keeps it, and the key's name where a key
    management service does.
    """

    certificate_pem: str
    private_key: PrivateKey


class Signer(Protocol):
    """Where key pairs are made and signatures come from."""

    @property
    def source(self) -> str:
        """The word that is kept with the keys made here."""
        ...

    async def make(self, *, name: str, not_before: datetime, not_after: datetime) -> MadeKey:
        """Make an RSA key pair of 2048 bits or more, and a certificate of at most 4 KB for it."""
        ...

    async def sign(self, private_key: PrivateKey, message: bytes) -> bytes:
        """Return the RS256 signature of a message (RFC 7518 section 3.3)."""
        ...


class SigningKeys(Protocol):
    """Signing keys, their private halves sealed."""

    async def add(self, key: SigningKey, private_key: PrivateKey) -> bool:
        """Seal and keep a new key; False where it is active and the app has an active one."""
        ...

    async def get(
        self, workspace_id: WorkspaceId, app_id: AppId, key_id: SigningKeyId
    ) -> SigningKey | None:
        """Return the key, if it is that app's in that workspace."""
        ...

    async def list(self, workspace_id: WorkspaceId, app_id: AppId) -> Sequence[SigningKey]:
        """Return the keys of an app, oldest first; none where it is not of that workspace.

        A key signs for whoever has a list with it, so the workspace is the asker's own. The
        certificates are as the database has them: `is_certified` before one is handed out.
        """
        ...

    async def private_key(self, key: SigningKey) -> PrivateKey | None:
        """Return the private half, opened; None where it was forgotten."""
        ...

    async def is_certified(self, key: SigningKey) -> bool:
        """Tell whether the certificate is the one that the key's private half signed for itself.

        What is not, and what is to sign without a private half, was planted: that is recorded.
        A retired key whose private half was forgotten tells nothing, and is taken for what it is.

        Raises:
            AuditUnavailable: it could not be recorded.
            SealUnavailable: the private half cannot be opened now.
        """
        ...

    async def activate(self, key: SigningKey, *, at: datetime) -> bool:
        """Make the key the app's active one and retire the one that was: all or nothing.

        False where its private half was forgotten.
        """
        ...

    async def retire(self, key: SigningKey, *, at: datetime) -> None:
        """Retire the key and forget its private half."""
        ...

    async def forget_retired(self, before: datetime) -> int:
        """Forget the private halves of keys retired before that; return how many."""
        ...
