"""A book of frozen values: looked up by key, each change written through to the store."""

from collections.abc import Callable, Iterator
from typing import Any, Final, Generic, TypeVar

from pydantic import TypeAdapter

from orgsim.orgs.store import Store

Value = TypeVar("Value")
_ADAPTERS: Final[dict[type[Any], TypeAdapter[Any]]] = {}  # each takes milliseconds to make


class Book(Generic[Value]):
    """Values of one kind by key."""

    def __init__(
        self, kind: str, type_: type[Value], *, key: Callable[[Value], str], store: Store
    ) -> None:
        self._kind = kind
        if type_ not in _ADAPTERS:
            _ADAPTERS[type_] = TypeAdapter(type_)
        self._json: TypeAdapter[Value] = _ADAPTERS[type_]
        self._key = key
        self._store = store
        self._values: dict[str, Value] = {}
        for body in store.load(kind):
            value = self._json.validate_json(body)
            self._values[key(value)] = value

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[Value]:
        return iter(list(self._values.values()))

    def get(self, key: str) -> Value | None:
        """Find a value."""
        return self._values.get(key)

    def put(self, value: Value) -> Value:
        """Keep a value, instead of an earlier one of the same key."""
        key = self._key(value)
        self._values[key] = value
        self._store.put(self._kind, key, self._json.dump_json(value))
        return value

    def note(self, value: Value) -> Value:
        """Keep a change that may be lost with the process (a time of last use)."""
        self._values[self._key(value)] = value
        return value

    def remove(self, key: str) -> None:
        """Forget a value; an unknown one is no error."""
        if self._values.pop(key, None) is not None:
            self._store.delete(self._kind, key)
