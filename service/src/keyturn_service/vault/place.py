"""The place of a sealed value: what its seal is bound to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_FORMAT: Final = b"keyturn-seal-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a sealed value rests; it opens nowhere else.

    A value without generations rests at generation 0.
    """

    workspace_id: str
    table: str
    row: str
    column: str
    generation: int = 0

    def associated_data(self) -> bytes:
        """Return the bytes that the seal binds: each part with its length, so none runs over."""
        texts = (self.workspace_id, self.table, self.row, self.column, str(self.generation))
        parts = [_FORMAT, *(text.encode() for text in texts)]
        return b"".join(len(part).to_bytes(4, "big") + part for part in parts)
