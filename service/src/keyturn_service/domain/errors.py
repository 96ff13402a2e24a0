"""Refusals of this service: each is a code of the catalogue in `keyturn_core`.

The class says what kind of refusal it is; `code` says which. `web/problems.py` is the only
table from these to HTTP.
"""

from __future__ import annotations

from keyturn_core.salesforce.refusals import CATALOGUE, Refusal


class ServiceError(Exception):
    """A use case refuses, with a code of the catalogue.

    `reason` is a second code of the catalogue that says why more closely (the refusal that
    Salesforce gave, say); `retry_after` is in seconds.
    """

    def __init__(
        self, code: str, *, reason: str | None = None, retry_after: int | None = None
    ) -> None:
        self.code = code
        self.reason = reason
        self.retry_after = retry_after
        super().__init__(code if reason is None else f"{code}: {reason}")

    @property
    def refusal(self) -> Refusal | None:
        """What the catalogue says of it: the reason's entry where there is one."""
        return CATALOGUE.get(self.reason or self.code)


class NotFound(ServiceError):
    """There is no such thing in the caller's workspace."""

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__("not_found")


class Unauthorized(ServiceError):
    """No API key, or one that opens nothing."""

    def __init__(self) -> None:
        super().__init__("unauthorized")


class Forbidden(ServiceError):
    """The API key lacks a right."""

    def __init__(self, right: str) -> None:
        self.right = right
        super().__init__("forbidden")


class Conflict(ServiceError):
    """The state of the thing does not allow what was asked."""


class ConnectionCannotServe(ServiceError):
    """No access token can be handed out and nothing can be proxied now."""


class ConnectRefused(ServiceError):
    """A step of connecting is refused."""
