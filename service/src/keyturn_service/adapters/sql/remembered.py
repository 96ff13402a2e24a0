"""What hot reads found, remembered with what its rows said; never served without a look."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Generic, TypeVar

from keyturn_service.domain.api_key import ApiKey
from keyturn_service.domain.connection import ConnectionInUse
from keyturn_service.vault.place import Place

CONNECTIONS_REMEMBERED: Final = 20_000  # about a kilobyte each
KEYS_REMEMBERED: Final = 1_000
_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRow:
    """An API key, and what its row said."""

    api_key: ApiKey
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionRow:
    """A connection with its access token, which stays sealed, and what both rows said."""

    connection: ConnectionInUse
    place: Place
    generation: int
    sealed: bytes
    received_at: datetime
    expires_at: datetime | None
    said: str


class Remembered(Generic[_Key, _Value]):
    """The values that were used last, as many as there is room for."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._values: OrderedDict[_Key, _Value] = OrderedDict()

    def get(self, key: _Key) -> _Value | None:
        """Return a value, and keep it longer."""
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def put(self, key: _Key, value: _Value) -> None:
        """Keep a value instead of an earlier one."""
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > self._room:
            self._values.popitem(last=False)

    def forget(self, key: _Key) -> None:
        """Let a value go, if it is there."""
        self._values.pop(key, None)

    def values(self) -> Iterable[_Value]:
        """Return all values."""
        return self._values.values()

    def clear(self) -> None:
        """Let all values go."""
        self._values.clear()
