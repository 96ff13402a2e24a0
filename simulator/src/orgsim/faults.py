"""Misbehaviour with names, and which requests it meets.

A fault here is a description; `gate.py` carries it out. To add one, write its line in
`MEANINGS` and its effect in the gate.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from fnmatch import fnmatchcase
from itertools import count
from typing import Literal

from orgsim.orgs.org import same_org

FaultName = Literal[
    "lost_answer",
    "truncated_answer",
    "slow",
    "status",
    "connection_reset",
    "clock_skew",
    "already_processing",
    "login_rate_exceeded",
    "ip_restricted",
    "maintenance_page",
    "oauth_error",
    "subscriber_lag",
    "propagation_delay",
]

# Of the world, not of a request.
_STANDING: frozenset[FaultName] = frozenset({"clock_skew", "subscriber_lag", "propagation_delay"})

MEANINGS: dict[FaultName, str] = {
    "lost_answer": "the work is done, then the connection closes without an answer",
    "truncated_answer": "options.bytes of the body are sent under the full length, then it closes",
    "slow": "the answer waits options.delay; what it locks stays locked meanwhile",
    "status": "nothing is done; answers options.status with a body of kind options.body",
    "connection_reset": "the connection is reset before anything is done",
    "clock_skew": "options.program reads a clock that is off by options.by, until deleted",
    "already_processing": "the token endpoint says that the request is already being processed",
    "login_rate_exceeded": "the user has logged in too often this hour",
    "ip_restricted": "the caller's address is refused",
    "maintenance_page": "nothing is done; a page of HTML with status 503",
    "oauth_error": (
        "an OAuth endpoint refuses with a documented error, options.error and"
        " options.description, on the way options.delivery"
    ),
    "subscriber_lag": "the Dev Hub knows of installs options.delay later, until deleted",
    "propagation_delay": "what is deployed of an app is in force options.delay later",
}

PROGRAMS = ("acme", "service")
"""Programs that follow the world's clock; any other is known once it has read it by its name."""

_SLOW_SHARE = 0.06
_HOSTILE: tuple[tuple[float, FaultName], ...] = (
    (_SLOW_SHARE, "slow"),
    (0.075, "status"),
    (0.085, "maintenance_page"),
    (0.095, "truncated_answer"),
    (0.105, "lost_answer"),
    (0.115, "connection_reset"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Which requests a fault meets; what is None matches all."""

    path: str | None = None
    org_id: str | None = None
    grant_type: str | None = None

    def holds(self, *, path: str, org_id: str | None, grant_type: str | None) -> bool:
        """Tell whether a request is meant."""
        return (
            (self.path is None or fnmatchcase(path, self.path))
            and (self.org_id is None or same_org(org_id, self.org_id))
            and (self.grant_type is None or self.grant_type == grant_type)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a fault needs to know; each fault reads its own."""

    bytes: int = 20
    delay: timedelta = timedelta(seconds=1)
    status: int = 500
    body: Literal["json", "html"] = "json"
    program: str | None = None
    by: timedelta = timedelta()
    error: str = ""
    description: str | None = None
    delivery: Literal["body", "error_page", "redirect", "json"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault that was asked for; `left` is None where it lasts until deleted."""

    id: str
    name: FaultName
    match: Match
    options: Options
    times: int
    left: int | None


class FaultBook:
    """The faults that are set, in the order in which they were asked for."""

    def __init__(self) -> None:
        self._faults: dict[str, Fault] = {}
        self._numbers = count(1)

    def __iter__(self) -> Iterator[Fault]:
        return iter(list(self._faults.values()))

    def add(self, *, name: FaultName, match: Match, options: Options, times: int) -> Fault:
        """Set a fault; `times` 0 lasts until deleted."""
        fault = Fault(
            id=f"fault_{next(self._numbers)}",
            name=name,
            match=match,
            options=options,
            times=times,
            left=times or None,
        )
        self._faults[fault.id] = fault
        return fault

    def remove(self, fault_id: str) -> bool:
        """Delete a fault; False where there is none of that id."""
        return self._faults.pop(fault_id, None) is not None

    def clear(self) -> None:
        """Delete all faults."""
        self._faults.clear()

    def hit(self, *, path: str, org_id: str | None, grant_type: str | None) -> Fault | None:
        """Return the first fault that meets this request, and count it."""
        for fault in self:
            if fault.name in _STANDING:
                continue
            if fault.match.holds(path=path, org_id=org_id, grant_type=grant_type):
                self._count(fault)
                return fault
        return None

    def _count(self, fault: Fault) -> None:
        if fault.left is None:
            return
        if fault.left <= 1:
            del self._faults[fault.id]
        else:
            self._faults[fault.id] = replace(fault, left=fault.left - 1)

    def delay_of(self, name: FaultName) -> timedelta:
        """Return the longest delay of that name that is set."""
        delays = [fault.options.delay for fault in self if fault.name == name]
        return max(delays, default=timedelta())

    def skew_of(self, program: str) -> timedelta:
        """Return by how much a program's clock is off."""
        return sum(
            (
                fault.options.by
                for fault in self
                if fault.name == "clock_skew" and fault.options.program in (None, program)
            ),
            timedelta(),
        )


def hostile_fault(dice: float, second: float) -> Fault | None:
    """Turn two throws of the seed's dice into a fault, mostly none."""
    name = next((name for limit, name in _HOSTILE if dice < limit), None)
    if name is None:
        return None
    options = Options(
        bytes=int(second * 40),
        delay=timedelta(seconds=0.05 + second / 2),
        status=503 if second < _SLOW_SHARE * 10 else 500,
        body="json",
    )
    return Fault(id="hostile", name=name, match=Match(), options=options, times=1, left=1)
