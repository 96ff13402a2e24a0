"""Types for secrets, whose value cannot be printed by accident."""

from __future__ import annotations

import hmac
from typing import NoReturn, final


class Secret:
    """A text that shows itself only to who asks for it by name.

    It compares in constant time, and refuses to be hashed, copied or pickled, so that it does
    not end up in a dictionary, a cache or a queue.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    @final
    def reveal(self) -> str:
        """Return the value."""
        return self._value

    @final
    def __repr__(self) -> str:
        return f"{type(self).__name__}(***)"

    @final
    def __str__(self) -> str:
        return repr(self)

    @final
    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    @final
    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    @final
    def __hash__(self) -> NoReturn:
        raise TypeError(f"{type(self).__name__} is not to be hashed")

    @final
    def __copy__(self) -> NoReturn:
        raise TypeError(f"{type(self).__name__} is not to be copied")

    @final
    def __deepcopy__(self, memo: object) -> NoReturn:
        raise TypeError(f"{type(self).__name__} is not to be copied")

    @final
    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{type(self).__name__} is not to be pickled")


@final
class AccessToken(Secret):
    """An access token: at Salesforce a session ID."""


@final
class RefreshToken(Secret):
    """A refresh token; with rotation on it may be presented once."""


@final
class ConsumerSecret(Secret):
    """The secret of an External Client App."""


@final
class CodeVerifier(Secret):
    """The code verifier of RFC 7636: 43 to 128 characters of base64url."""


@final
class AuthorizationCode(Secret):
    """An authorization code, URL-decoded."""


@final
class IdToken(Secret):
    """An ID token, unverified."""


@final
class Assertion(Secret):
    """A signed assertion of RFC 7523: until it ends it can be presented by anybody."""


@final
class PrivateKey(Secret):
    """A private key in PEM."""
