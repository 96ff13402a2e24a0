"""The judge of what replicas did: an oracle written from the design, not from the code.

It looks at the org, the disks and the database, and asks the product nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from service.tests.support import fakes
from service.tests.support.strict_org import StrictOrg, carries, says_unspent

from keyturn_service.domain.attempt import Attempt, SpooledAnswer
from keyturn_service.domain.connection import ConnectionState
from keyturn_service.domain.ids import ConnectionId

_TWICE: Final = 2
_SPENT_NOTHING: Final = frozenset({"not_presented", "not_processed", "refused"})


class Watched(Protocol):
    """What the oracle sees of a world."""

    connection_id: ConnectionId
    org: StrictOrg

    async def look(self, statement: str, *given: object) -> list[tuple[Any, ...]]:
        """Look into the database, past everything."""
        ...

    async def events(self, like: str) -> list[tuple[Any, ...]]:
        """Return the presentations on record whose detail is like that."""
        return await self.look(
            "SELECT type FROM audit_events WHERE connection_id = ? AND detail LIKE ?"
            " AND type IN ('token.presented', 'token.presented_again')",
            self.connection_id,
            like,
        )

    async def count_events(self, type_: str, *, like: str = "%") -> int:
        """Count the connection's audit events of a type whose detail is like that."""
        [(found,)] = await self.look(
            "SELECT count(*) FROM audit_events"
            " WHERE connection_id = ? AND type = ? AND detail LIKE ?",
            self.connection_id,
            type_,
            like,
        )
        return int(found)


class Violation(AssertionError):
    """A rule of the design did not hold; the text says which."""


@dataclass
class Oracle:
    """What happened, as the org, the disks and the database show it.

    Written from the design (sections 5 and 6), not from the code. `window_open` says that a
    process was paused between its look at the deadline and the first byte: the one place where a
    token may be presented twice, which has to be counted then.
    """

    world: Watched
    window_open: bool = False
    given_up: set[Path] = field(default_factory=set)
    on_disk: dict[Path, dict[str, SpooledAnswer]] = field(default_factory=dict)
    intended: dict[Path, dict[str, SpooledAnswer]] = field(default_factory=dict)
    unawaited: set[Path] = field(default_factory=set)
    """Disks that an exchanged database does not know of, and whose replica was not there then:
    nobody can wait for their journals (ADR 46)."""
    decided: set[bytes] = field(default_factory=set)  # hashes; in databases that are gone
    unseen: bool = field(default=False, init=False)  # a token was used up, as a lost disk knew
    before: dict[str, Attempt] = field(default_factory=dict)  # intents, and so are these
    exchanges: int = 0
    intents: dict[str, Attempt] = field(default_factory=dict)
    presentations: Counter[str] = field(default_factory=Counter)
    handed_out: list[int] = field(default_factory=list)
    in_window: int = 0
    hashes: Callable[[str, str], bytes] = fakes.fake_hash
    """How the replicas hash a token that they are about to present."""

    def intends(self, attempt: Attempt) -> None:
        """An intent is about to be committed."""
        self.intents[attempt.id] = attempt

    def presents(self, generation: int, *, served: int) -> None:
        """A process is about to present a token, and has served what a later one brought."""
        if generation < served:
            self._found(f"a token of generation {generation} was presented by who served {served}")

    def spools(self, disk: Path, answer: SpooledAnswer) -> None:
        """An answer is about to be on a disk."""
        self.on_disk.setdefault(disk, {})[answer.attempt_id] = answer

    def intends_on(self, disk: Path, nothing: SpooledAnswer) -> None:
        """An intent is about to be on a disk."""
        self.intended.setdefault(disk, {})[nothing.attempt_id] = nothing

    def did_not_send(self, disk: Path, attempt_id: str) -> None:
        """An intent is about to be taken from a disk again: its token did not leave."""
        self.intended.get(disk, {}).pop(attempt_id, None)

    def moved(self, disk: Path, to: Path) -> None:
        """A disk is somewhere else now, or nowhere."""
        self.on_disk[to] = self.on_disk.pop(disk, {})
        self.intended[to] = self.intended.pop(disk, {})
        if disk in self.unawaited:
            self.unawaited ^= {disk, to}

    async def exchanging(self) -> None:
        """An older copy of the database is about to take its place, under what runs.

        What the org saw and what lies on disks stays known, and so does which token was decided
        to be presented again.
        """
        for hashed in {one.token_hash for one in self.intents.values()}:
            if await self._decisions(hashed, [row[0] for row in await self._attempts(hashed)]):
                self.decided.add(hashed)
        self.exchanges += 1
        self.before.update(self.intents)
        self.presentations.clear()
        self.handed_out.clear()

    def restored(self) -> None:
        """An older copy of the database took its place: what it knew since is on no record.

        What the org saw and what lies on the disks stays known, and decides what can be kept.
        """
        self.intents.clear()
        self.presentations.clear()
        self.handed_out.clear()

    async def presented(self, token: str) -> None:
        """See that a refresh token may be presented now (design 5.3, 5.8)."""
        hashed = self.hashes("refresh_token", token)
        if self.exchanges and self._journals(hashed, self.given_up):
            self.unseen = True  # threat-model.md: only a lost replica knew, of an older database
        rows = await self._attempts(hashed)
        recorded = await self.world.events(f"%{hashed.hex()}%")
        decided = await self._decisions(hashed, [row[0] for row in rows])
        self.presentations[token] += 1
        number = self.presentations[token]
        doubtful = [row for row in rows if row[1] not in _SPENT_NOTHING]
        told = {row[0] for row in rows}
        doubtful += [
            (id_, "in a journal", "") for id_ in self._journals(hashed, self._there()) - told
        ]
        gone = sum(one.token_hash == hashed for one in self.before.values())
        if len(rows) + gone < number:
            self._found("a token was presented without an intent in the database")
        if len(recorded) + gone < number:
            self._found("a token was presented that the audit does not know of")
        # This presentation is one of those in doubt; an earlier one needs a decision, given once.
        if len(doubtful) > 1 + min(decided, 1):
            if self.window_open or self.unawaited:
                self.in_window += 1
                return
            self._found(
                f"a token was presented {number} times, with {decided} decisions on record:"
                f" {sorted(row[1] for row in {*rows, *doubtful})}"
            )

    async def _attempts(self, hashed: bytes) -> list[tuple[Any, ...]]:
        """Return what the database has of presentations of a token.

        An attempt of no spool is none: it says that another replica's journal has one.
        """
        return await self.world.look(
            "SELECT id, coalesce(outcome, 'open'), spool_id FROM attempts"
            " WHERE connection_id = ? AND token_hash = ? AND spool_id <> ''",
            self.world.connection_id,
            hashed,
        )

    async def _decisions(self, hashed: bytes, attempts: Sequence[str]) -> int:
        """Count the decisions to present a token once more after one of these attempts."""
        found = int(hashed in self.decided)
        for attempt_id in attempts:
            found += await self.world.count_events(
                "token.decided_to_present_again", like=f"%{attempt_id}%"
            )
        return found

    def _there(self) -> set[Path]:
        """Return the disks that survive; what is presented against an unawaited one is counted."""
        known = {*self.on_disk, *self.intended}
        return {disk for disk in known if disk.exists() and disk not in self.given_up}

    def _journals(self, hashed: bytes, disks: Collection[Path]) -> set[str]:
        """Return the attempts that may have used a token up, as these disks tell."""
        return {
            one.attempt_id
            for kept in (self.on_disk, self.intended)
            for disk, answers in kept.items()
            if disk in disks
            for one in answers.values()
            if one.token_hash == hashed and not says_unspent(one)
        }

    def _lasts(self, disk: Path) -> bool:
        return disk.exists() and disk not in self.given_up and disk not in self.unawaited

    def used_before_spooled(self, place: str) -> None:
        """An answer is in hand and not on the disk, and something else is about to be done."""
        self._found(f"{place} came before the answer was on the disk")

    async def given(self, generation: int) -> None:
        """A caller was handed an access token: it has to be durable, and so its record."""
        self.handed_out.append(generation)
        [(kept,)] = await self.world.look(
            "SELECT generation FROM token_sets WHERE connection_id = ?", self.world.connection_id
        )
        if kept < generation:
            self._found(f"a token of generation {generation} was handed out; {kept} is durable")
        if await self.world.count_events("token.read") < len(self.handed_out):
            self._found("a token was handed out without a record")

    def recoverable(self, kept: str | None) -> str | None:
        """Why the connection can be kept, None where it cannot; `kept` is the database's token.

        The token in force last reached a disk that survives, or the database; or the app has a
        certificate that the org lets in.
        """
        if self.world.org.admits and not self.unseen:
            return "the app has a certificate"
        token = self.world.org.last_in_force
        if token == kept:  # then no disk knows more
            known = self._doubts(token) < _TWICE
            return "the token in the database is the one in force" if known else None
        return "the answer reached a disk that survives" if self._survives(token) else None

    def _survives(self, token: str) -> bool:
        return any(
            carries(answer.body, token)
            for disk, answers in self.on_disk.items()
            if self._lasts(disk)
            for answer in answers.values()
        )

    def _doubts(self, token: str) -> int:
        """Count the intents to present a token whose outcome nobody can know.

        One is tried once more; after the second the customer is asked.
        """
        hashed = self.hashes("refresh_token", token)
        return sum(
            one.token_hash == hashed and not self._known(one) for one in self.intents.values()
        )

    def _known(self, attempt: Attempt) -> bool:
        """Tell whether a disk has the org's own word that the attempt used nothing up."""
        return any(
            self._lasts(disk) and says_unspent(answers[attempt.id])
            for disk, answers in self.on_disk.items()
            if attempt.id in answers
        )

    async def judge(
        self,
        state: ConnectionState,
        *,
        kept: str | None,
        serves: bool,
        waits_for_disk: bool = False,
    ) -> None:
        """Say whether a connection ended rightly, when everything is calm again."""
        await self._drop_intents_that_never_were()
        why = self.recoverable(kept)
        if serves:
            if state is not ConnectionState.ACTIVE:
                self._found(f"it serves, and is {state}")
        elif state is ConnectionState.REAUTHORIZATION_REQUIRED:
            if why is not None and not self.in_window:
                self._found(f"lost though recoverable: {why}")
        elif not (waits_for_disk and state is ConnectionState.UNCERTAIN):
            self._found(f"it does not come to rest: {state}")
        if why is not None:
            self._see_the_grant(why)
        counted = self.exchanges or await self.world.count_events("token.presented_late")
        if self.in_window and not counted:
            self._found("a token was presented in the window, and nobody counted it")

    def see_the_grant(self) -> None:
        """See that the grant is not over whose latest token is on a disk that survives."""
        if self._survives(self.world.org.last_in_force):
            self._see_the_grant("the answer reached a disk that survives")

    def _see_the_grant(self, why: str) -> None:
        killed = any(one.killed for one in self.world.org.presented)
        if killed and not self.in_window:
            self._found(f"the grant was ended by us though it was recoverable: {why}")

    async def _drop_intents_that_never_were(self) -> None:
        """Doubt only what became durable: without its intent a token is not presented."""
        rows = await self.world.look(
            "SELECT id FROM attempts WHERE connection_id = ?", self.world.connection_id
        )
        durable = {id_ for (id_,) in rows}
        self.intents = {id_: one for id_, one in self.intents.items() if id_ in durable}

    def _found(self, what: str) -> None:
        raise Violation(what)
