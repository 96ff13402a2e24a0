"""What can go wrong with a vault."""

from __future__ import annotations

from keyturn_service.ports import SealRefused, SealUnavailable


class CannotOpen(SealRefused):
    """The sealed value is not what was sealed for this place: changed, moved, or cut short."""


class KeyMissing(SealRefused):
    """The key source has no key of that id; the operator has to bring it back."""

    def __init__(self, key_id: str) -> None:
        self.key_id = key_id
        super().__init__(f"the key source has no key {key_id}")


class KeySourceUnavailable(SealUnavailable):
    """The key source does not answer now."""


class KeySourceRefused(KeySourceUnavailable):
    """The key source answers, and refuses: a right is missing, or its key is disabled.

    The text says which right of whom, or what the key source said.
    """
