"""Salesforce ids: 15 characters that tell case apart, or 18 with a checksum."""

from __future__ import annotations

import re
from typing import Final, NewType

from keyturn_core.errors import CoreError

OrgId = NewType("OrgId", str)
UserId = NewType("UserId", str)

_ID: Final = re.compile(r"[0-9A-Za-z]{15}(?:[A-Z0-5]{3})?", re.ASCII)
_CHECKSUM: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_SHORT: Final = 15


class InvalidId(CoreError):
    """The text is no Salesforce id of the kind asked for."""

    code = "invalid_id"


def widened(short: str) -> str:
    """Return the 18-character form of a 15-character id.

    Each five characters give one more: bit n is set where the n-th is an upper-case letter.
    """
    suffix = ""
    for start in range(0, _SHORT, 5):
        chunk = short[start : start + 5]
        bits = sum(1 << place for place, letter in enumerate(chunk) if "A" <= letter <= "Z")
        suffix += _CHECKSUM[bits]
    return short + suffix


def read_id(text: str, *, prefix: str) -> str:
    """Return the 18-character form of an id with a key prefix.

    Raises:
        InvalidId: it is out of shape, has another prefix, or its checksum does not fit.
    """
    if not _ID.fullmatch(text) or not text.startswith(prefix):
        raise InvalidId(f"not an id that starts with {prefix}")
    wide = widened(text[:_SHORT])
    if len(text) > _SHORT and text != wide:
        raise InvalidId("the checksum does not fit")
    return wide


def read_org_id(text: str) -> OrgId:
    """Return an org id in 18 characters.

    Raises:
        InvalidId: it is none.
    """
    return OrgId(read_id(text, prefix="00D"))


def read_user_id(text: str) -> UserId:
    """Return a user id in 18 characters.

    Raises:
        InvalidId: it is none.
    """
    return UserId(read_id(text, prefix="005"))
