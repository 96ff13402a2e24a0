"""ISO 8601 durations as the control port's document writes them.

The forms of the document are what is accepted; a pattern without look-ahead, so that whoever
reads the document can make examples of it.
"""

from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, StringConstraints, WithJsonSchema

from orgsim.clock import parse_duration

_SECONDS = r"[0-9]{1,6}(\.[0-9]{1,6})?S"
_MINUTES = f"[0-9]{{1,6}}M({_SECONDS})?"
_TIME = f"T([0-9]{{1,5}}H([0-9]{{1,6}}M)?({_SECONDS})?|{_MINUTES}|{_SECONDS})"
_FORWARDS = f"P([0-9]{{1,3}}W|[0-9]{{1,4}}D({_TIME})?|{_TIME})"

FORWARDS_PATTERN = f"^{_FORWARDS}$"
EITHER_WAY_PATTERN = f"^[+-]?{_FORWARDS}$"


def _readable(text: str) -> str:
    parse_duration(text)
    return text


Duration = Annotated[
    str,
    StringConstraints(pattern=FORWARDS_PATTERN),
    AfterValidator(_readable),
    WithJsonSchema({"type": "string", "pattern": FORWARDS_PATTERN, "examples": ["PT2H", "P30D"]}),
]
"""A length of time, such as `PT2H`."""

SignedDuration = Annotated[
    str,
    StringConstraints(pattern=EITHER_WAY_PATTERN),
    AfterValidator(_readable),
    WithJsonSchema({"type": "string", "pattern": EITHER_WAY_PATTERN, "examples": ["-PT5M"]}),
]
"""A length of time, either way."""


def iso_duration(length: timedelta) -> str:
    """Write a duration in seconds.

    Spec: ISO 8601-1:2019 section 5.5.2.
    """
    sign = "-" if length < timedelta() else ""
    seconds = f"{abs(length).total_seconds():.6f}".rstrip("0").rstrip(".")
    return f"{sign}PT{seconds}S"
