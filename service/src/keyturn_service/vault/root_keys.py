"""The rotation of key-encryption keys: a new one, data keys under it, the old ones destroyed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Protocol

from keyturn_service.domain.audit import AuditEvent
from keyturn_service.ports import AuditLog, Clock
from keyturn_service.vault.data_keys import DataKeyId, DataKeys, WrappedDataKey
from keyturn_service.vault.errors import CannotOpen, KeyMissing
from keyturn_service.vault.key_source import KeySource
from keyturn_service.vault.key_uri import KeyUri

BACKUP_AGE: Final = timedelta(days=35)  # the longest age of a backup; design.md 5.9
HEARD: Final = timedelta(minutes=2)  # several times the pace at which spools say their keys
_AT_ONCE: Final = 200


class RootKeyState(StrEnum):
    """What a key-encryption key is for: all of them unwrap."""

    ACTIVE = "active"
    STAGED = "staged"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True, kw_only=True)
class RootKey:
    """A key-encryption key of the key file, without its value.

    `unneeded_since` is when a run of `rewrap` found that no data key in the database needs it;
    `uri` where a key management service holds it.
    """

    id: str
    state: RootKeyState
    uri: KeyUri | None = None
    retired_at: datetime | None = None
    unneeded_since: datetime | None = None


class RootKeyFile(KeySource, Protocol):
    """What a rotation needs of a key source whose keys are ours to make and destroy."""

    def described(self) -> Sequence[RootKey]:
        """Return its keys, the active one first."""
        ...

    def stage(self, uri: KeyUri | None = None) -> str:
        """Add the key that the next rotation makes active; return its id."""
        ...

    def rotate(self, *, now: datetime, uri: KeyUri | None = None) -> str:
        """Make the staged key active, or a new one; return its id."""
        ...

    def mark_unneeded(self, key_ids: Collection[str], *, now: datetime) -> None:
        """Note since when nothing in the database needs these keys; the others are needed."""
        ...

    def destroy(self, key_id: str) -> None:
        """Take a key out, for good."""
        ...


class RewrappableDataKeys(DataKeys, Protocol):
    """Data keys that can be looked through and put under another key."""

    async def after(
        self, last: DataKeyId, *, but_under: str, limit: int
    ) -> Sequence[WrappedDataKey]:
        """Return data keys that are not under a key, in order of their ids, from after `last`."""
        ...

    async def rewrap(self, key: WrappedDataKey, *, key_id: str, wrapped: bytes) -> bool:
        """Keep the new wrapping where the old one still stands; False where it does not."""
        ...

    async def needs(self) -> Mapping[str, int]:
        """Return how many data keys each key-encryption key wraps."""
        ...

    async def bar(self, key_id: str, *, at: datetime) -> int:
        """Keep that a key is destroyed, unless data keys need it; return how many do.

        From then on no data key is kept under it, however long ago it was wrapped.
        """
        ...

    async def allow(self, key_id: str) -> None:
        """Forget that a key was destroyed: it is known again."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolNeed:
    """A replica's spool, and how many of its files a key-encryption key opens.

    A spool is registered before its first file, so a need of none may still become one. `key_id`
    is None for a spool of which only the attempts know: it never said what it needs.
    """

    spool_id: str
    key_id: str | None
    files: int
    seen_at: datetime | None


class SpoolNeeds(Protocol):
    """What every spool said that it needs, those of stopped replicas too."""

    async def all(self, *, since: datetime) -> Sequence[SpoolNeed]:
        """Return the needs; and the spools of attempts since then that never said any."""
        ...

    async def say(self, spool_id: str, needs: Mapping[str, int]) -> None:
        """Keep what a spool needs, in place of what it said before, and when that was."""
        ...

    async def was_heard(self, spool_id: str, *, within: timedelta) -> bool:
        """Tell whether a spool said what it needs so lately, by the clock that notes it."""
        ...

    async def forget(self, spool_id: str, *, at: datetime) -> bool:
        """Count a spool as lost: it needs nothing, and answers no attempt that waits for it.

        False where nobody knows it.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Who needs a key-encryption key."""

    key: RootKey
    data_keys: int
    spools: Sequence[SpoolNeed] = field(default_factory=tuple)
    destroyable_at: datetime | None = None

    @property
    def files(self) -> int:
        """How many spooled answers need it."""
        return sum(spool.files for spool in self.spools)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Every key-encryption key with who needs it, and what nobody can count."""

    keys: Sequence[Need]
    unknown_keys: Mapping[str, int]  # ids that data keys name and the key file lacks
    silent_spools: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrapped:
    """What a run put under the active key, and which data keys did not open."""

    key_id: str
    rewrapped: int
    refused: Sequence[DataKeyId]


async def _of_its_own() -> KeyUri | None:
    return None


class StillNeeded(Exception):
    """The key is not destroyed; the text says what needs it."""


class SpoolHeard(Exception):
    """A spool is not counted as lost: its replica seems to run."""


class KeyUnknown(Exception):
    """The key file has no such key; the text says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RootKeys:
    """Rotate, re-wrap, count and destroy; replicas go on meanwhile."""

    key_file: RootKeyFile
    data_keys: RewrappableDataKeys
    spools: SpoolNeeds
    audit: AuditLog
    clock: Clock
    newest: Callable[[], Awaitable[KeyUri | None]] = field(default=_of_its_own)

    async def stage(self) -> str:
        """Add a key that opens from now on and wraps from the next rotation on.

        Raises:
            KeySourceUnavailable: the service that is to hold the key does not answer, or refuses.
            StoreUnavailable: the database does not answer; the key is staged.
        """
        key_id = self.key_file.stage(await self._new_key())
        await self._allow(key_id)
        await self._note("root_key.staged", key_id)
        return key_id

    async def rotate(self) -> str:
        """Make the staged key active, or a new one where none is staged; return its id.

        It is staged and recorded first: said again after a failure, it goes on with the same key.

        Raises:
            AuditUnavailable: it could not be recorded; the key is staged.
            KeySourceUnavailable: the service that is to hold the key does not answer, or refuses.
            StoreUnavailable: the database does not answer; the key is staged, or active.
        """
        uri = await self._new_key()
        staged = self.key_file.stage(uri)
        await self._allow(staged)  # before replicas wrap under it
        await self._note("root_key.rotated", staged)
        key_id = self.key_file.rotate(now=self.clock.now(), uri=uri)
        await self._allow(key_id)  # where somebody gave the staged key up in between
        if key_id != staged:
            await self._note("root_key.rotated", key_id)
        return key_id

    async def _new_key(self) -> KeyUri | None:
        """Return the key that a service holds ready for us; None for one of the key file's own."""
        if any(key.state is RootKeyState.STAGED for key in self.key_file.described()):
            return None
        return await self.newest()

    async def _allow(self, key_id: str) -> None:
        """Let data keys be put under a key again that was destroyed, or was about to be.

        The id of one that a service holds comes from its URI. One of the key file's own is never
        made again; but where it is active, its destruction was cut off while it was staged.
        """
        found = next((key for key in self.key_file.described() if key.id == key_id), None)
        if found is not None and (found.uri is not None or found.state is RootKeyState.ACTIVE):
            await self.data_keys.allow(key_id)

    async def rewrap(self, progress: Callable[[int, int], None] = lambda *_: None) -> Rewrapped:
        """Put every data key under the active key; safe to kill, to repeat and to run twice.

        Each data key is changed by itself, where its old wrapping still stands; a later run finds
        what is left. `progress` is told how many are done of how many.

        Raises:
            KeySourceUnavailable: the key source does not answer.
            StoreUnavailable: the database does not answer.
        """
        active = self.key_file.active_key_id
        await self._allow(active)  # the key file may have been made again
        needs = await self.data_keys.needs()
        self._mark_unneeded(needs)  # what is needed again waits for the backups made meanwhile
        total = sum(count for key_id, count in needs.items() if key_id != active)
        done, last = 0, DataKeyId("")
        refused: list[DataKeyId] = []
        while batch := await self.data_keys.after(last, but_under=active, limit=_AT_ONCE):
            for key in batch:
                try:
                    done += await self._under(active, key)
                except (CannotOpen, KeyMissing):
                    refused.append(key.id)
            last = batch[-1].id
            progress(done, max(total, done))
        self._mark_unneeded(await self.data_keys.needs())
        await self._note("data_keys.rewrapped", active, count=done, refused=len(refused))
        return Rewrapped(key_id=active, rewrapped=done, refused=refused)

    def _mark_unneeded(self, needs: Mapping[str, int]) -> None:
        unneeded = [
            key.id
            for key in self.key_file.described()
            if key.state is RootKeyState.RETIRED and key.id not in needs
        ]
        self.key_file.mark_unneeded(unneeded, now=self.clock.now())

    async def _under(self, active: str, key: WrappedDataKey) -> bool:
        bound = key.associated_data()
        secret = await self.key_file.unwrap(key.key_id, key.wrapped, associated_data=bound)
        if self.key_file.active_key_id != active:
            return False  # rotated meanwhile: the next run puts it under that key
        wrapped = await self.key_file.wrap(secret, associated_data=bound)
        return await self.data_keys.rewrap(key, key_id=active, wrapped=wrapped)

    async def standing(self) -> Standing:
        """Count who needs which key, over the database and every registered spool."""
        needs = dict(await self.data_keys.needs())
        spools = await self.spools.all(since=self.clock.now() - BACKUP_AGE)
        found = [
            Need(
                key=key,
                data_keys=needs.pop(key.id, 0),
                spools=[spool for spool in spools if spool.key_id == key.id],
                destroyable_at=(
                    key.unneeded_since + BACKUP_AGE if key.unneeded_since is not None else None
                ),
            )
            for key in self.key_file.described()
        ]
        silent = [spool.spool_id for spool in spools if spool.key_id is None]
        return Standing(keys=found, unknown_keys=needs, silent_spools=silent)

    async def destroy(self, key_id: str, *, backups_are_gone: bool = False) -> RootKey:
        """Destroy a key that nothing needs any more, and return what it was.

        One that a service holds is forgotten here; its owner destroys it there.

        Raises:
            KeyUnknown: the key file has no such key.
            StillNeeded: something needs it, may need it, or nobody can tell.
        """
        standing = await self.standing()
        need = next((need for need in standing.keys if need.key.id == key_id), None)
        if need is None:
            raise KeyUnknown(f"the key file has no key {key_id}: see `keyturn keys status`")
        because = list(self._against(need, standing, backups_are_gone=backups_are_gone))
        if because:
            raise StillNeeded(f"{key_id} is not destroyed: {'; '.join(because)}")
        needed = await self.data_keys.bar(key_id, at=self.clock.now())
        if needed:
            raise StillNeeded(
                f"{key_id} is not destroyed: {needed} data keys were put under it meanwhile; run"
                " `keyturn keys rewrap`"
            )
        await self._note("root_key.destroyed", key_id, backups_are_gone=backups_are_gone)
        try:
            self.key_file.destroy(key_id)
        finally:
            if self.key_file.active_key_id == key_id:  # staged, it became active meanwhile
                await self.data_keys.allow(key_id)
        return need.key

    async def forget_spool(self, spool_id: str, *, disk_is_gone: bool = False) -> bool:
        """Count a spool as lost with its disk: what lay on it is not waited for any more.

        Raises:
            SpoolHeard: its replica said something lately, and nobody says that its disk is gone.
        """
        if not disk_is_gone and await self.spools.was_heard(spool_id, within=HEARD):
            raise SpoolHeard(spool_id)
        known = await self.spools.forget(spool_id, at=self.clock.now())
        if known:
            await self._note("spool.declared_lost", None, spool_id=spool_id)
        return known

    def _against(self, need: Need, standing: Standing, *, backups_are_gone: bool) -> Sequence[str]:
        """Return what stands against destroying a key, each with who mends it how."""
        if need.key.state is RootKeyState.ACTIVE:
            return ["it is the active key; run `keyturn keys rotate` first"]
        because = []
        if need.data_keys:
            because.append(f"{need.data_keys} data keys need it; run `keyturn keys rewrap`")
        because += [
            f"spool {spool.spool_id} needs it for {spool.files} answers, as its replica said at"
            f" {spool.seen_at:%Y-%m-%d %H:%M}; run the replica until they are older than 35 days,"
            " or, if its disk is lost,"
            f" say `keyturn keys forget-spool {spool.spool_id}`"
            for spool in need.spools
        ]
        if need.key.state is RootKeyState.STAGED:
            return because  # only one that a service holds can have been in use before
        because += [
            f"spool {spool_id} never said what it needs; start its replica once with this release,"
            f" or, if its disk is lost, say `keyturn keys forget-spool {spool_id}`"
            for spool_id in standing.silent_spools
        ]
        ripe = need.destroyable_at
        if not because and not backups_are_gone:
            if ripe is None:
                because.append("no run of `keyturn keys rewrap` has found it unneeded yet")
            elif ripe > self.clock.now():
                because.append(
                    f"backups made before {need.key.unneeded_since:%Y-%m-%d} need it until"
                    f" {ripe:%Y-%m-%d}; say --backups-are-gone if none will be restored"
                )
        return because

    async def _note(self, type_: str, key_id: str | None, **detail: str | int | bool) -> None:
        named = {} if key_id is None else {"key_id": key_id}
        await self.audit.record(
            AuditEvent(
                type=type_,
                at=self.clock.now(),
                workspace_id=None,
                actor="operator",
                detail={**named, **detail},
            )
        )
