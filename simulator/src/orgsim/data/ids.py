"""Record IDs: 15 case-sensitive characters that start with the object's key prefix, and 3 more.

Spec: Salesforce Object Reference, "ID Field Type".
"""

import re
import string

from orgsim.randomness import widen_id

_SHORT = re.compile(r"[A-Za-z0-9]{15}", re.ASCII)
_LONG = re.compile(r"[A-Za-z0-9]{18}", re.ASCII)
_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_SERIAL_LENGTH = 7
_POD_LENGTH = 5
LONG = 18


def read_id(text: str) -> str | None:
    """Return the 18-character form of an ID of 15 or 18 characters, None if it is no ID.

    The last three characters carry the case of the others and are compared without case.
    """
    if _SHORT.fullmatch(text):
        return widen_id(text)
    if (
        _LONG.fullmatch(text)
        and widen_id(text[:15]).upper() == text[:15].upper() + text[15:].upper()
    ):
        return widen_id(text[:15])
    return None


def base62(number: int, length: int) -> str:
    """Write a number in letters and digits, `length` of them, the lowest place last."""
    signs = ""
    for _ in range(length):
        number, place = divmod(number, len(_DIGITS))
        signs = _DIGITS[place] + signs
    return signs


def make_id(*, prefix: str, pod: int, serial: int) -> str:
    """Make the 18-character ID of a record; `pod` differs from org to org, as on real instances."""
    return widen_id(prefix + base62(pod, _POD_LENGTH) + base62(serial, _SERIAL_LENGTH))
