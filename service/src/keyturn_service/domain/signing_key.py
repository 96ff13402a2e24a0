"""Signing keys of an app: key pairs whose certificate stands in the app's settings at Salesforce.

Salesforce keeps one certificate an app and changes it within minutes, so two keys overlap here: a
staged one waits for its certificate to be put there, and a retired one signs on where the new
certificate is not known yet.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from keyturn_service.domain.ids import AppId, SigningKeyId, WorkspaceId

ENDS_SOON: Final = timedelta(days=30)  # before its end, a certificate is a problem
RETIRED_LIFE: Final = timedelta(days=7)  # a retired private key can be called back so long
DEFAULT_LIFE: Final = timedelta(days=730)  # of a certificate


class SigningKeyState(StrEnum):
    """Where a signing key stands."""

    STAGED = "staged"  # its certificate is being put into the app's settings
    ACTIVE = "active"  # signs first
    RETIRED = "retired"  # signs only where no other is taken, and forgets its private key


_ORDER: Final = (SigningKeyState.ACTIVE, SigningKeyState.STAGED, SigningKeyState.RETIRED)


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """One key pair of an app, its private half apart.

    `source` names the signer that made it; `usable` is False once the private half is forgotten.
    """

    id: SigningKeyId
    workspace_id: WorkspaceId
    app_id: AppId
    state: SigningKeyState
    source: str
    certificate_pem: str
    not_before: datetime
    not_after: datetime
    created_at: datetime
    retired_at: datetime | None
    usable: bool

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate, in hexadecimal digits, as `openssl x509` tells it."""
        lines = self.certificate_pem.strip().splitlines()[1:-1]
        return hashlib.sha256(base64.b64decode("".join(lines))).hexdigest()

    def problem(self, now: datetime) -> str | None:
        """Return what is to be known of the certificate's age: a code of the catalogue."""
        if self.state is SigningKeyState.RETIRED:
            return None
        if now >= self.not_after:
            return "certificate_expired"
        return "certificate_expiring" if now >= self.not_after - ENDS_SOON else None


def active_key(keys: Iterable[SigningKey]) -> SigningKey | None:
    """Return the key that signs first."""
    return next((key for key in keys if key.state is SigningKeyState.ACTIVE and key.usable), None)


def signing_order(keys: Sequence[SigningKey]) -> Sequence[SigningKey]:
    """Return the keys to try: the active one, the latest staged one, the latest retired one.

    No more than one of each: every refused assertion may count as a login.
    """
    latest = {key.state: key for key in sorted(keys, key=lambda key: key.created_at) if key.usable}
    return [latest[state] for state in _ORDER if state in latest]
