"""The world's one clock: it runs like the machine's and can be moved forwards."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

_DURATION = re.compile(
    r"(?P<sign>[+-])?P(?=[0-9T])(?:(?P<weeks>[0-9]{1,6})W)?(?:(?P<days>[0-9]{1,6})D)?"
    r"(?:T(?=[0-9])(?:(?P<hours>[0-9]{1,9})H)?(?:(?P<minutes>[0-9]{1,9})M)?"
    r"(?:(?P<seconds>[0-9]{1,10}(?:\.[0-9]{1,6})?)S)?)?",
    re.ASCII,
)
LONGEST = timedelta(days=36_500)


class NotADuration(ValueError):
    """The text is no ISO 8601 duration of weeks, days and smaller units, or is too long."""


def parse_duration(text: str) -> timedelta:
    """Read an ISO 8601 duration such as `PT2H` or `-P1DT30M`.

    Years and months have no fixed length and are refused.

    Raises:
        NotADuration: not of that form, or longer than a hundred years.

    Spec: ISO 8601-1:2019 section 5.5.2.
    """
    found = _DURATION.fullmatch(text)
    if found is None:
        raise NotADuration("write a duration such as PT2H, P30D or PT0.5S")
    parts = {name: float(value) for name, value in found.groupdict("0").items() if name != "sign"}
    length = timedelta(**parts)
    if length > LONGEST:
        raise NotADuration("at most a hundred years")
    return -length if found["sign"] == "-" else length


def machine_now() -> datetime:
    """Return the machine's time in UTC."""
    return datetime.now(UTC)  # noqa: TID251 - the world clock is built on this one reading


class WorldClock:
    """Machine time plus an offset that only grows."""

    def __init__(
        self,
        *,
        offset: timedelta = timedelta(),
        machine: Callable[[], datetime] = machine_now,
    ) -> None:
        self._machine = machine
        self._offset = offset

    @property
    def offset(self) -> timedelta:
        """How far the world is ahead of the machine."""
        return self._offset

    def now(self) -> datetime:
        """Return the world's time in UTC."""
        return self._machine() + self._offset

    def advance(self, by: timedelta) -> None:
        """Move the world forwards.

        Raises:
            NotADuration: backwards, or out of the calendar.
        """
        if by < timedelta():
            raise NotADuration("the clock moves forwards only")
        if self._offset + by > LONGEST:
            raise NotADuration("the clock would leave the calendar")
        self._offset += by


def rfc3339(moment: datetime) -> str:
    """Write a moment as RFC 3339 in UTC with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
