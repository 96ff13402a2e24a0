"""`use_cases.say_spool_keys`: what only a stopped replica's disk needs is known to others."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from service.tests.support.fakes import MemorySpool
from service.tests.support.values import SPOOL

from keyturn_service.use_cases.say_spool_keys import SaySpoolKeys


class Told:
    """Remembers in which order what was said and done."""

    def __init__(self) -> None:
        self.steps: list[object] = []

    async def say(self, spool_id: str, needs: Mapping[str, int]) -> None:
        """Remember it."""
        self.steps.append((spool_id, dict(needs)))


class RenewingSpool(MemorySpool):
    """A spool that says when it takes a new key."""

    def __init__(self, told: Told) -> None:
        super().__init__([])
        self.told = told

    async def renew_key(self, announced: Collection[str]) -> None:
        """Remember it."""
        self.told.steps.append(("renewed", set(announced)))


async def test_it_is_said_before_a_new_key_is_used() -> None:
    """What nobody said could be destroyed under it."""
    told = Told()

    await SaySpoolKeys(spool=RenewingSpool(told), keys=told)()

    assert told.steps == [(SPOOL, {"kek_test": 0}), ("renewed", {"kek_test"})]
