"""The error tree: the class says what the caller can do about it, `code` says which error it is."""

from __future__ import annotations

from typing import Any, Final

import msgspec


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong, as the service says it.

    `code` is stable. `remedy` is one of `retry`, `reauthorize`, `ask_admin`, `reconfigure`,
    `report`; `who` can do it: `vendor`, `admin`, `user`, `salesforce`, `operator`. `type` is
    the address of a page on it. `status` is that of the answer, 0 where none came. `where`
    is the place where it is mended, `reason` a second code that says why more closely, and
    `errors` name the parts of a request that are out of shape.

    Spec: RFC 9457.
    """

    code: str
    title: str = ""
    detail: str = ""
    status: int = 0
    remedy: str = "report"
    who: str = "operator"
    retry_after: float | None = None  # seconds
    type: str = "about:blank"
    where: str = ""
    reason: str | None = None
    errors: tuple[dict[str, str], ...] = ()


class KeyturnError(Exception):
    """The root of all errors of this library."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem

    @property
    def code(self) -> str:
        """The stable word for this error; the documentation lists them."""
        return self.problem.code

    @property
    def title(self) -> str:
        """What is wrong, in a few words."""
        return self.problem.title

    @property
    def detail(self) -> str:
        """What is wrong this time."""
        return self.problem.detail

    @property
    def status(self) -> int:
        """The HTTP status of the answer, 0 where no answer came."""
        return self.problem.status

    @property
    def remedy(self) -> str:
        """What mends it."""
        return self.problem.remedy

    @property
    def who(self) -> str:
        """Who can mend it."""
        return self.problem.who

    @property
    def retry_after(self) -> float | None:
        """Seconds after which trying again makes sense, where that is known."""
        return self.problem.retry_after

    def __str__(self) -> str:
        said = [": ".join(part for part in (self.title, self.detail) if part) or "refused"]
        said += [f"{one.get('field')}: {one.get('message')}" for one in self.problem.errors]
        return f"{'; '.join(said)} [{self.code}; remedy: {self.remedy}, by: {self.who}]"


class TransportError(KeyturnError):
    """No answer came from the service.

    Code `service_unreachable`: nothing was sent. Code `answer_lost`: what was asked may have
    been done all the same.
    """


class UnexpectedAnswer(KeyturnError):
    """An answer came that is not the service's: a load balancer's page, or a cut one."""


class Unauthorized(KeyturnError):
    """The API key is missing, wrong, deleted or expired."""


class Forbidden(KeyturnError):
    """The API key lacks a right."""


class NotFound(KeyturnError):
    """There is no such thing in the API key's workspace."""


class Conflict(KeyturnError):
    """The state of the thing does not allow what was asked."""


class InvalidRequest(KeyturnError):
    """The service does not understand what was asked."""


class ServiceUnavailable(KeyturnError):
    """The service cannot work now."""


class ConfirmationInvalid(KeyturnError):
    """The confirmation code is wrong, late, or used already: let the customer start again."""


class ConnectionCannotServe(KeyturnError):
    """No access token can be had and no call be made on this connection now."""


class ReauthorizationRequired(ConnectionCannotServe):
    """The customer has to grant access again: create a connect session with `connection_id`."""


class ConnectionRevoked(ConnectionCannotServe):
    """The connection was ended; connecting anew makes another one."""


class ConnectionPending(ConnectionCannotServe):
    """The connection was not confirmed yet."""


class ConnectionUncertain(ConnectionCannotServe):
    """It is not known whether the last refresh was done, and no access token works any more."""


class OrgUnavailable(ConnectionCannotServe):
    """The org cannot be reached now; try again."""


class Sealed(ConnectionCannotServe):
    """The service cannot open its vault; its operator has to give it the key."""


class AuditUnavailable(ConnectionCannotServe):
    """The service cannot write its audit trail, so it hands out nothing."""


class SalesforceErrorItem(msgspec.Struct, frozen=True):
    """One error that Salesforce names. Save results call the code `statusCode`."""

    code: str
    message: str = ""
    fields: tuple[str, ...] = ()


class SalesforceError(KeyturnError):
    """Salesforce answered, and refuses.

    `status` and `body` are Salesforce's own; `errors` is what could be read from the body.
    """

    def __init__(
        self, problem: Problem, body: bytes, errors: tuple[SalesforceErrorItem, ...]
    ) -> None:
        super().__init__(problem)
        self.args = (problem, body, errors)  # so that it can be pickled
        self.body = body
        self.errors = errors

    @property
    def error_codes(self) -> tuple[str, ...]:
        """The codes, such as `MALFORMED_QUERY`, in Salesforce's order."""
        return tuple(item.code for item in self.errors)

    @property
    def error_code(self) -> str | None:
        """The first code, None where the body names none."""
        return self.errors[0].code if self.errors else None

    def json(self) -> Any:
        """Return the body as JSON.

        Raises:
            ValueError: it is none.
        """
        return msgspec.json.decode(self.body)


_BY_CODE: Final[dict[str, type[KeyturnError]]] = {
    "reauthorization_required": ReauthorizationRequired,
    "connection_revoked": ConnectionRevoked,
    "connection_pending": ConnectionPending,
    "connection_uncertain": ConnectionUncertain,
    "org_unavailable": OrgUnavailable,
    "sealed": Sealed,
    "audit_unavailable": AuditUnavailable,
    "confirmation_invalid": ConfirmationInvalid,
}
_BY_STATUS: Final[dict[int, type[KeyturnError]]] = {
    400: InvalidRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    422: InvalidRequest,
    429: ServiceUnavailable,
    502: ServiceUnavailable,
    503: ServiceUnavailable,
}


def error_of(problem: Problem) -> KeyturnError:
    """Return the error that a problem is, as the closest class."""
    found = _BY_CODE.get(problem.code) or _BY_STATUS.get(problem.status) or KeyturnError
    return found(problem)
