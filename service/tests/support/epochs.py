"""Which database it is, as a test says it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from service.tests.support.replicas import World
from service.tests.support.values import SPOOL

from keyturn_service.domain.ids import ConnectionId, SpoolId
from keyturn_service.ports import Awaited, Standing, StoreUnavailable


@dataclass
class FakeEpochs:
    """A database of which a test says what it is."""

    world: World
    epoch: str | None = None
    identity: str = "one"
    begun_at: str = "one"
    seen: dict[ConnectionId, int] = field(default_factory=dict)
    spools: Sequence[SpoolId] = ()
    age: float = 100.0
    lost: int = 0
    fails: int = 0  # how often naming an epoch does
    journal: list[str] = field(default_factory=list)
    remembered: int = 0
    met: list[SpoolId] = field(default_factory=list)

    async def look(self) -> Standing:
        """Return how it stands."""
        same = self.identity == self.begun_at
        return Standing(identity=self.identity, epoch=self.epoch, same=same)

    async def meet(self, spool_id: SpoolId) -> None:
        """Learn who else runs."""
        self.met.append(spool_id)

    async def remember(self) -> None:
        """Count how often that was asked for."""
        self.remembered += 1

    async def accept(self, standing: Standing) -> tuple[Mapping[ConnectionId, int], int]:
        """Go over to it."""
        self.journal.append(f"accept {standing.identity}")
        return self.seen, self.lost

    async def begin(
        self, epoch: str, standing: Standing, spool_id: SpoolId, *, expects: bool
    ) -> str:
        """Name a new epoch."""
        assert spool_id == SPOOL
        if self.fails:
            self.fails -= 1
            raise StoreUnavailable("read-only")
        self.journal.append(f"begin, {expects=}")
        self.epoch, self.begun_at = epoch, standing.identity
        return epoch

    async def expect(self, epoch: str, spool_id: SpoolId) -> None:
        """Wait for a spool."""
        assert (epoch, spool_id) == (self.epoch, SPOOL)
        self.journal.append("expect")

    async def replayed(self, epoch: str, spool_id: SpoolId) -> None:
        """Do not wait for it."""
        assert (epoch, spool_id) == (self.epoch, SPOOL)
        self.journal.append("replayed")

    async def awaited(self, epoch: str) -> Awaited:
        """Return who is waited for."""
        assert epoch == self.epoch
        return Awaited(spools=self.spools, age=self.age)

    async def behind(self, seen: Mapping[ConnectionId, int]) -> Sequence[ConnectionId]:
        """Return what is behind."""
        now = (await self.world.connection()).generation
        return [one for one, generation in seen.items() if now < generation]


@dataclass(frozen=True)
class Keys:
    """Notes in the epochs' journal when a spool says which keys it needs."""

    epochs: FakeEpochs

    async def say(self, spool_id: str, needs: Mapping[str, int]) -> None:
        """Note it."""
        del needs
        assert spool_id == SPOOL
        self.epochs.journal.append("say keys")
