"""`MakeCheckpoint`: the ends of all chains, in order, with time and signature."""

from __future__ import annotations

from service.tests.support.audit_chains import MemoryAuditChains, a_chain, end_of
from service.tests.support.fakes import FakeClock

from keyturn_service.domain.checkpoint import Checkpoint
from keyturn_service.use_cases.make_checkpoint import MakeCheckpoint


class SlowChains(MemoryAuditChains):
    """Chains whose ends take a second to find."""

    clock: FakeClock

    async def ends(self):
        """Return the ends, a second later."""
        self.clock.advance(seconds=1)
        return await super().ends()


class Signer:
    """A signer that one sees through."""

    public_key = b"p" * 32

    def sign(self, message: bytes) -> bytes:
        """Return what was to be signed."""
        return b"signed " + message


async def test_it_says_where_each_chain_ended_when_it_was_begun() -> None:
    """In the order of their names; what was recorded meanwhile is none of it."""
    one, two = a_chain("run_one", 3), a_chain("run_two", 2, closed=True)
    chains = SlowChains({"run_two": two, "run_one": one})
    chains.clock = FakeClock()
    begun = chains.clock.now()

    made = await MakeCheckpoint(chains=chains, signer=Signer(), clock=chains.clock)()

    expected = Checkpoint(made_at=begun, chains=[end_of(one), end_of(two)])
    assert made.checkpoint == expected
    assert made.signature == b"signed " + expected.message()
    assert made.public_key == Signer.public_key
