"""Time, chance, keyed hashes and waiting: what the machine gives."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from keyturn_core.secrets import (
    Secret,
)


class Clock(Protocol):
    """The world's time, and the machine's own for leases and time-outs."""

    def now(self) -> datetime:
        """Return the time in UTC; a development world may move it forwards."""
        ...

    def monotonic(self) -> float:
        """Return seconds of the machine's own clock; nothing moves it."""
        ...


class Randomness(Protocol):
    """The one source of random bytes."""

    def token_bytes(self, count: int) -> bytes:
        """Return `count` bytes fit for secrets."""
        ...


class KeyedHash(Protocol):
    """A keyed hash: the same text under the same label gives the same 32 bytes."""

    def __call__(self, label: str, value: str | Secret) -> bytes:
        """Hash `value` under the key derived for `label`."""
        ...


class Waiting(Protocol):
    """Waiting, handed in so that tests need not wait."""

    async def sleep(self, seconds: float) -> None:
        """Wait by the machine's own clock."""
        ...
