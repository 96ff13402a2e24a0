"""The seal: an operator's word that no token is used."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSeal:
    """Since when nothing is used, and why, in the operator's words."""

    sealed_at: datetime
    reason: str


class Seals(Protocol):
    """The seal of the whole service. Hot reads look at it too: see `Serving.sealed`."""

    async def current(self) -> ServiceSeal | None:
        """Return the seal that is in force."""
        ...

    async def put_on(self, seal: ServiceSeal) -> bool:
        """Put the seal on, for all replicas at once; False where one is on already."""
        ...

    async def take_off(self, *, at: datetime) -> bool:
        """Take the seal off; False where none is on."""
        ...
