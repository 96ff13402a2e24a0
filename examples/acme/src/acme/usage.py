"""How much each account used Acme.

Acme is an example and nobody works with it, so the figures are made from the account's id:
the same account has the same ones each day.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

_MOST_LOGINS: Final = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """The logins of one account's people on one day."""

    account_id: str
    day: date
    logins: int

    def record(self) -> dict[str, Any]:
        """Return it as a record of the object that Acme's package brings.

        The key names account and day, so that pushing a day twice changes nothing. Names are
        written without Acme's namespace: the SDK puts it before them.
        """
        return {
            "Key__c": f"{self.account_id}-{self.day.isoformat()}",
            "Account__c": self.account_id,
            "Logins__c": self.logins,
            "Day__c": self.day,
        }


def usage_of(account_id: str, day: date) -> Usage:
    """Return how much an account used Acme on a day."""
    digest = hashlib.sha256(f"{account_id}:{day.isoformat()}".encode()).digest()
    return Usage(account_id=account_id, day=day, logins=1 + digest[0] % _MOST_LOGINS)
