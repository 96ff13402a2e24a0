"""What somebody can do about an error, and the root of this part's errors."""

from __future__ import annotations

from enum import StrEnum


class Remedy(StrEnum):
    """What mends it."""

    RETRY = "retry"
    REAUTHORIZE = "reauthorize"
    ASK_ADMIN = "ask_admin"
    RECONFIGURE = "reconfigure"
    REPORT = "report"


class Who(StrEnum):
    """Who can mend it."""

    VENDOR = "vendor"
    ADMIN = "admin"  # of the customer's org
    USER = "user"  # of the customer
    SALESFORCE = "salesforce"
    OPERATOR = "operator"  # of this service


class CoreError(Exception):
    """The root: what came in is refused. The message holds no secret."""

    code: str = "invalid"
    remedy: Remedy = Remedy.REPORT
    who: Who = Who.VENDOR
