"""Named steps of a long command: told as they begin, timed, and listed in the result."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step that ended. `sf_seconds` of them passed inside `sf`."""

    name: str
    seconds: float
    sf_seconds: float


@dataclass(kw_only=True)
class Steps:
    """The steps of one run. `tell` shows a line to people."""

    tell: Callable[[str], None]
    done: list[Step] = field(default_factory=list)
    _in_sf: float = 0.0

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Carry out a step."""
        self.tell(name)
        begun, in_sf = time.monotonic(), self._in_sf
        try:
            yield
        finally:
            ended = time.monotonic()
            self.done.append(
                Step(
                    name=name,
                    seconds=round(ended - begun, 2),
                    sf_seconds=round(self._in_sf - in_sf, 2),
                )
            )

    @contextmanager
    def outside(self) -> Iterator[None]:
        """Count the time inside as another program's."""
        begun = time.monotonic()
        try:
            yield
        finally:
            self._in_sf += time.monotonic() - begun

    def summed(self) -> dict[str, object]:
        """Return the steps and the times, as a result shows them."""
        whole = sum(step.seconds for step in self.done)
        return {
            "steps": [
                {"name": step.name, "seconds": step.seconds, "sf_seconds": step.sf_seconds}
                for step in self.done
            ],
            "seconds": {
                "keyturn": round(whole - sum(step.sf_seconds for step in self.done), 2),
                "sf": round(sum(step.sf_seconds for step in self.done), 2),
            },
        }
