"""Make a checkpoint of the audit: where every chain ends now, signed."""

from __future__ import annotations

from dataclasses import dataclass

from keyturn_service.domain.checkpoint import Checkpoint, SignedCheckpoint
from keyturn_service.ports import AuditChains, CheckpointSigner, Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeCheckpoint:
    """Sign the ends of all chains.

    Whether the chains are whole is not looked at: that is what `VerifyAudit` is for, before.
    """

    chains: AuditChains
    signer: CheckpointSigner
    clock: Clock

    async def __call__(self) -> SignedCheckpoint:
        """Return the checkpoint.

        Raises:
            ChainUnreadable: the last row of a chain is no record.
            StoreUnavailable: the database does not answer.
        """
        now = self.clock.now()  # before: what the checkpoint lacks was recorded later
        ends = sorted(await self.chains.ends(), key=lambda end: end.writer)
        checkpoint = Checkpoint(made_at=now, chains=ends)
        return SignedCheckpoint(
            checkpoint=checkpoint,
            public_key=self.signer.public_key,
            signature=self.signer.sign(checkpoint.message()),
        )
