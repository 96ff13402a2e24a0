"""Who may log in. Passwords are kept in memory, hashed."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from acme.config import Login

_SALT_BYTES: Final = 16
_COST: Final = 2**14  # of scrypt, with blocks of 8: 16 MB and some 50 ms a guess
_LONGEST: Final = 256  # characters of a password that is looked at


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Somebody who may log in."""

    username: str
    customer_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Account:
    user: User
    salt: bytes = field(repr=False)
    hash: bytes = field(repr=False)


class Accounts:
    """All who may log in; `cost` is of a guess, a power of two."""

    def __init__(self, logins: Iterable[Login], *, cost: int = _COST) -> None:
        self._cost = cost
        self._accounts = {login.username.casefold(): self._account(login) for login in logins}
        self._nobody = self._account(Login(username="", password="", customer_id=""))

    def find(self, username: str) -> User | None:
        """Return a user, None where there is none of that name."""
        found = self._accounts.get(username.casefold())
        return None if found is None else found.user

    async def check(self, username: str, password: str) -> User | None:
        """Return the user whose password it is, None otherwise.

        It takes as long for a name that is unknown, so that names cannot be probed.
        """
        found = self._accounts.get(username.strip().casefold(), self._nobody)
        given = await asyncio.to_thread(self._hash, password[:_LONGEST], found.salt)
        if found is self._nobody or not hmac.compare_digest(given, found.hash):
            return None
        return found.user

    def _account(self, login: Login) -> _Account:
        salt = os.urandom(_SALT_BYTES)
        user = User(username=login.username, customer_id=login.customer_id)
        return _Account(user=user, salt=salt, hash=self._hash(login.password, salt))

    def _hash(self, password: str, salt: bytes) -> bytes:
        text = password.encode("utf-8", "surrogatepass")
        return hashlib.scrypt(text, salt=salt, n=self._cost, r=8, p=1)
