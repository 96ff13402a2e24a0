"""A type for secrets, whose value cannot be printed by accident."""

from __future__ import annotations

import hmac
from typing import NoReturn, final


@final
class Secret:
    """A text that shows itself only to who asks for it by name.

    It compares in constant time, and refuses to be hashed, copied or pickled, so that it does
    not end up in a cache or a queue.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the value: call this only where it is sent to its purpose."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> NoReturn:
        raise TypeError("a secret is not to be hashed")

    def __copy__(self) -> NoReturn:
        raise TypeError("a secret is not to be copied")

    def __deepcopy__(self, memo: object) -> NoReturn:
        raise TypeError("a secret is not to be copied")

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not to be pickled")
