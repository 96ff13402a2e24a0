"""Message authentication codes of rows that say who may do what.

Such a row holds no secret, so nothing of it is sealed. Without a code, who can write the
database would give a key of their own another workspace, more rights, or a longer life.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from keyturn_service.ports import KeyedHash


class RowMacs:
    """Codes under a key from the root of the keyed hashes, which is not in the database."""

    def __init__(self, hashes: KeyedHash) -> None:
        self._hashes = hashes

    def of(self, table: str, fields: Sequence[str]) -> bytes:
        """Return the code of a row: 32 bytes over the texts of its fields, in their order."""
        return self._hashes(f"row of {table}", "".join(f"{len(one)}:{one}" for one in fields))

    def holds(self, mac: bytes | str, table: str, fields: Sequence[str]) -> bool:
        """Tell whether a row is as it was when the code was made."""
        # SQLite keeps texts where a code belongs, if somebody writes one.
        return isinstance(mac, bytes) and hmac.compare_digest(mac, self.of(table, fields))
