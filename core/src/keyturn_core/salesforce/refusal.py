"""What a refusal is: one entry of the catalogue."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from keyturn_core.errors import Remedy, Who


class RefusalClass(StrEnum):
    """What a client's state machine does about it."""

    BUSY = "busy"
    TRANSIENT = "transient"
    DEAD_GRANT = "dead_grant"
    ADMIN = "admin"
    OUR_FAULT = "our_fault"
    RATE = "rate"
    UNKNOWN = "unknown"
    CONNECT = "connect"  # ends an attempt to connect; says nothing about a grant
    SERVING = "serving"  # why a connection cannot serve now


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One way to be refused. `where` is a Setup path, a command or a page."""

    code: str
    refusal_class: RefusalClass
    title: str
    cause: str
    who: Who
    remedy: Remedy
    where: str
    retry: bool
    retry_after_seconds: int | None
