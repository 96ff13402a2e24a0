"""The one-word refusals of the identity service.

Spec: `Bad_OAuth_Token` with status 403 as plain text was seen on real orgs; its siblings come
from older clients' tests (reported).
"""

from typing import Literal

Word = Literal["Bad_OAuth_Token", "Missing_OAuth_Token", "Bad_Id", "Wrong_Org"]


class IdentityRefused(Exception):
    """The identity service says no, in one word."""

    def __init__(self, word: Word) -> None:
        super().__init__(word)
        self.word = word
