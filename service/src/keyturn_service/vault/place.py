"""The place of a sealed value: what its seal is bound to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

_FORMAT: Final = b"keyturn-seal-1"
_FORMAT_LENGTH: Final = len(_FORMAT).to_bytes(4, "big")


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

    associated_data: bytes = field(init=False, repr=False, compare=False)
    """What the seal binds: each part with its length, so that none runs over."""

    def __post_init__(self) -> None:
        workspace, table = self.workspace_id.encode(), self.table.encode()
        row, column = self.row.encode(), self.column.encode()
        generation = b"%d" % self.generation
        parts = (
            *(_FORMAT_LENGTH, _FORMAT),
            *(len(workspace).to_bytes(4, "big"), workspace),
            *(len(table).to_bytes(4, "big"), table),
            *(len(row).to_bytes(4, "big"), row),
            *(len(column).to_bytes(4, "big"), column),
            *(len(generation).to_bytes(4, "big"), generation),
        )  # written out: this runs for every value that is sealed or opened
        object.__setattr__(self, "associated_data", b"".join(parts))
